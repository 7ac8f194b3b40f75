"""Dislikes push away what resembles them: such songs stand behind all others, however well other sources rank them."""

import numpy as np
from numpy.typing import NDArray

from encoders.encoding.vector_files import Vectors

NEAR = 0.05
"""The share of the catalogue nearest to a disliked song that resembles it."""


class Dislikes:
    """Which songs resemble what a listener disliked more than what they like."""

    def __init__(self, artists: NDArray[np.int32], vectors: Vectors | None) -> None:
        """artists: (N,), -1 unknown. vectors: unit vectors of songs; None where nothing is known about likeness."""
        self._artists, self._vectors = artists, vectors
        if vectors is not None:
            self._row = np.full(len(artists), -1, np.int64)
            self._row[vectors.tracks] = np.arange(len(vectors.tracks))

    def resembling(self, disliked: NDArray[np.int32], liked: NDArray[np.int32]) -> NDArray[np.bool_]:
        """(N,) songs by an artist of whom more was disliked than liked, and songs among the `NEAR` nearest to a
        disliked one that are nearer to it than to every liked one."""
        found = self._by_artist(disliked, liked)
        if self._vectors is not None:
            found[self._vectors.tracks] |= self._by_vector(self._vectors.values, disliked, liked)
        return found

    def _by_artist(self, disliked: NDArray[np.int32], liked: NDArray[np.int32]) -> NDArray[np.bool_]:
        size = int(self._artists.max(initial=0)) + 1
        both = (self._artists[rows] for rows in (disliked, liked))
        against, in_favour = (np.bincount(by[by >= 0], minlength=size) for by in both)
        return np.asarray((self._artists >= 0) & (against > in_favour)[self._artists])

    def _by_vector(
        self, values: NDArray[np.float32], disliked: NDArray[np.int32], liked: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        against, in_favour = (values[rows[rows >= 0]] for rows in map(self._row.take, (disliked, liked)))
        if not len(against):
            return np.zeros(len(values), np.bool_)
        near = values @ against.T
        floors = np.quantile(near, 1 - NEAR, axis=0)
        found = (near > floors).any(axis=1)
        rows = np.flatnonzero(found)  # whoever is not near need not be compared with all that is liked
        closest = (values[rows] @ in_favour.T).max(axis=1, initial=-1)
        found[rows] = near[rows].max(axis=1) > closest
        return np.asarray(found, np.bool_)
