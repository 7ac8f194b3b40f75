"""Likeness: for each song the songs nearest to it in a space of vectors, among those that training knows."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from encoders.encoding.vector_files import Vectors
from recsys.candidates.contract import CandidateSource, SourceKind
from recsys.index import BACKENDS

MANY = 50_000
"""Known songs from which they are searched in cells of an inverted file instead of one by one."""


class Nearest(NamedTuple):
    """tracks: (N, M) int32, best first, -1 where there are fewer. cosines: (N, M) float32, 0 there."""

    tracks: NDArray[np.int32]
    cosines: NDArray[np.float32]

    def weights(self, temperature: float) -> csr_matrix:
        """(N, N) float32, rows that sum up to 1: a song at cosine c counts exp(c / temperature). Empty rows stay so."""
        songs, places = np.nonzero(self.tracks >= 0)
        best = self.cosines[:, :1] if self.cosines.shape[1] else np.zeros((len(self.tracks), 1), np.float32)
        values = np.exp((self.cosines - best) / np.float32(temperature)) * (self.tracks >= 0)
        values /= np.maximum(values.sum(axis=1, keepdims=True), 1e-12)
        shape = (len(self.tracks), len(self.tracks))
        return csr_matrix((values[songs, places].astype(np.float32), (songs, self.tracks[songs, places])), shape=shape)


class Likeness:
    """Over one set of vectors; what was found last is kept, since many fits ask for the same."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self._asked: tuple[bytes, bytes, int] | None = None

    def nearest(self, asking: NDArray[np.bool_], known: NDArray[np.bool_], most: int) -> Nearest:
        """The nearest known songs of each song that asks, itself left out.

        asking, known: (N,). Songs without a vector neither ask nor are found.
        """
        asked = (asking.tobytes(), known.tobytes(), most)
        if asked != self._asked:
            self._asked, self._found = asked, self._search(asking, known, most)
        return self._found

    def _search(self, asking: NDArray[np.bool_], known: NDArray[np.bool_], most: int) -> Nearest:
        tracks, values = self.vectors.tracks, self.vectors.values
        near = np.full((len(known), most), -1, np.int32)
        cosines = np.zeros((len(known), most), np.float32)
        among, rows = known[tracks], np.flatnonzero(asking[tracks])
        if not among.any() or not len(rows):
            return Nearest(near, cosines)
        index = BACKENDS["faiss-ivf" if among.sum() > MANY else "exact"](self.vectors.dimension)
        index.add(tracks[among], values[among])
        found = index.search(values[rows], min(most, len(index)), exclude=list(tracks[rows][:, None]))
        for row, (songs, scores) in zip(tracks[rows], found, strict=True):
            near[row, : len(songs)], cosines[row, : len(songs)] = songs, scores
        return Nearest(near, cosines)


class LikenessKind(SourceKind, Protocol):
    """The class of a source that fits itself to where songs lie."""

    def __call__(self, settings: Any = None, likeness: Likeness | None = None) -> CandidateSource:
        """likeness: needed to fit, not to restore."""
