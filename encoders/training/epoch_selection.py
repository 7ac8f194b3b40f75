"""Selects the epoch to keep by retrieval among songs left out of training."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from torch.nn.functional import normalize

from data.listening.pairs import are_pairs, pair_keys
from encoders.encoding.retrieval import ranks_of_own, vectors_of
from encoders.encoding.song_batches import SongReader
from encoders.model.network import HtclNetwork

LEAST = 128
"""Songs below which a choice would be luck; the last epoch is kept then.

On the demo 44 of them cost stage 1 a third of its next-song Recall@20.
"""
MOST = 512
POOL = 768
"""Songs among which the partners of those of stage 2 have to be found."""
PARTNERS = 4
"""Partners of each of them that are put there on purpose."""


def choose_songs(tracks: NDArray[np.int32], share: float, seed: int) -> NDArray[np.int32]:
    """The tracks that choose instead of being trained on, ascending; none where the share makes too few."""
    count = min(MOST, round(share * len(tracks)))
    if count < LEAST:
        return np.zeros(0, np.int32)
    return np.sort(np.random.default_rng([seed, 4]).permutation(tracks)[:count]).astype(np.int32)


def text_and_audio(model: HtclNetwork, reader: SongReader, songs: NDArray[np.int32]) -> float:
    """Stage 1: mean reciprocal rank of each song's text among all sounds, and of its sound among all texts."""
    vectors = vectors_of(model, reader, songs)
    assert vectors.audio is not None
    assert vectors.text is not None
    cosines = normalize(vectors.text, dim=1) @ normalize(vectors.audio, dim=1).T
    return float((1 / torch.cat([ranks_of_own(cosines), ranks_of_own(cosines.T)])).mean())


class Partners:
    """Stage 2: how high do the partners of the chosen songs stand among a few hundred songs? NDCG@100."""

    def __init__(self, reader: SongReader, songs: NDArray[np.int32], pairs: pl.DataFrame, seed: int) -> None:
        """pairs: all pairs, those of the chosen songs among them."""
        rng = np.random.default_rng([seed, 5])
        first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
        song, partner = np.concatenate([first, second]), np.concatenate([second, first])
        order = rng.permutation(np.flatnonzero(np.isin(song, songs)))
        drawn = pl.DataFrame({"song": song[order], "partner": partner[order]}).group_by("song", maintain_order=True)
        wanted = np.unique(np.concatenate([songs, drawn.head(PARTNERS)["partner"].to_numpy()]))
        others = np.setdiff1d(np.flatnonzero(reader.has_audio | reader.has_text), wanted)
        filled = rng.permutation(others)[: max(0, POOL - len(wanted))]
        self.reader = reader
        self.pool = np.concatenate([wanted, filled]).astype(np.int32)
        related = are_pairs(
            pair_keys(pairs, len(reader.texts)), songs.astype(np.int64), self.pool.astype(np.int64), len(reader.texts)
        )
        own = songs[:, None] == self.pool[None, :]
        asked = (related & ~own).any(axis=1)
        self.relevant, self.own = (related & ~own)[asked], own[asked]

    def __call__(self, model: HtclNetwork) -> float:
        vectors = normalize(vectors_of(model, self.reader, self.pool).fusion, dim=1).numpy()
        scores = vectors[self.own.argmax(axis=1)] @ vectors.T
        scores[self.own] = -2.0
        return float(ndcg_score(self.relevant, scores, k=100))
