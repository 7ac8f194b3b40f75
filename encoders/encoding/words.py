"""How well words find sounds: retrieval over songs that took part in no training, against chance.

Every published encoder's manifest carries the answer (`facts["words"]`), so that a search by words can refuse where the
encoder has learned nothing of them.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import binomtest
from torch.nn.functional import normalize

from data.split import Split
from data.storage.manifest import Manifest
from encoders.encoding.retrieval import ranks_of_own, vectors_of
from encoders.encoding.song_batches import SongReader
from encoders.model.network import HtclNetwork

FIRST = 10
"""A text should find its own sound among the first so many."""
LEAST = 40
"""Held-out songs below which nothing can be told: chance alone finds a quarter of them."""
MOST = 500
SEED = 20260101
LEVEL = 0.01
"""One-sided binomial test against chance. Songs of one album are alike, so a usual 5 % would be too generous."""


class WordSense(BaseModel):
    """What is known of an encoder's words.

    songs: measured, 0 where too few were held out. found: share of their texts that find their own sound among the
    first ten. chance: the share that luck finds. learned: False where the encoder is neither pre-trained nor trained.
    """

    learned: bool = True
    songs: int = 0
    found: float = 0.0
    chance: float = 0.0
    p_value: float = 1.0

    @property
    def refused(self) -> str:
        """Why a search by words is refused; empty where it is not."""
        if not self.learned:
            return "this encoder never learned what words mean: no song has both audio and text, or pairs of listening"
        if self.songs and self.p_value > LEVEL:
            return f"this encoder's words find songs no better than chance: {self.in_words()}"
        return ""

    def in_words(self) -> str:
        """The measurement, as one clause."""
        if not self.songs:
            return f"not measured: fewer than {LEAST} songs with audio and text were left out, or by an older version"
        return (
            f"of {self.songs:,} songs kept out of training, {self.found:.0%} of the texts find their own sound among "
            f"the first {FIRST} (chance {self.chance:.0%})"
        )

    @classmethod
    def of(cls, manifest: Manifest | None) -> Self:
        """What the manifest of an encoder says; nothing known where it is older than this measure."""
        return cls.model_validate(manifest.facts.get("words", {}) if manifest is not None else {})


def held_out_songs(split: Split, reader: SongReader) -> NDArray[np.int32]:
    """At most MOST tracks with audio and text that no training of this split reads, drawn with a fixed seed."""
    tracks = np.flatnonzero(split.held_out_only & reader.has_audio & reader.has_text).astype(np.int32)
    if len(tracks) > MOST:
        tracks = np.sort(np.random.default_rng(SEED).choice(tracks, MOST, replace=False))
    return tracks


def measure_words(model: HtclNetwork, reader: SongReader, songs: NDArray[np.int32], learned: bool) -> WordSense:
    """Retrieval of each song's sound by its text among all of `songs`. learned: whether anything was trained."""
    if len(songs) < LEAST or not learned:
        return WordSense(learned=learned)
    training = model.training
    vectors = vectors_of(model.eval(), reader, songs)
    model.train(training)
    assert vectors.audio is not None
    assert vectors.text is not None
    ranks = ranks_of_own(normalize(vectors.text, dim=1) @ normalize(vectors.audio, dim=1).T)
    hits, chance = int((ranks <= FIRST).sum()), FIRST / len(songs)
    p_value = float(binomtest(hits, len(songs), chance, alternative="greater").pvalue)
    return WordSense(songs=len(songs), found=hits / len(songs), chance=chance, p_value=p_value)
