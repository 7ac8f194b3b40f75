"""How well words find sounds: retrieval over songs that took part in no training, against chance.

Every published encoder's manifest carries the answer (`facts["words"]`), so that a search by words can refuse where the
encoder has learned nothing of them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch.nn.functional import normalize

from data.split import Split
from encoders.encoding.retrieval import ranks_of_own, vectors_of
from encoders.encoding.song_batches import SongReader
from encoders.model.network import HtclNetwork
from encoders.word_sense import FIRST, LEAST, WordSense

MOST = 500
SEED = 20260101


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
