"""Likeness: for each song the songs nearest to it in a space of vectors, among those that training knows."""

import math
import time
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from encoders.encoding.vector_files import Vectors
from recsys.candidates.contract import CandidateSource, SourceKind
from recsys.index import BACKENDS

MANY = 50_000
"""Known songs from which they are searched in cells of an inverted file instead of one by one."""
PROBES = 8
"""Cells that are looked through for each song, of two times the root of the songs. On the trained vectors of 100,000
simulated songs that found .999 of the 20 nearest in 4 s of one core, where an eighth of twice as many cells, as an
index for answers looks through, took two minutes: there the work grows with the square of the songs."""
POINTS = 64
"Songs for each cell that its middle is learned from."
AT_ONCE = 65_536
"Songs that are searched for at once."


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


class Cells:
    """Songs in the cells of an inverted file, few of which are looked through."""

    def __init__(self, tracks: NDArray[np.int32], unit: NDArray[np.float32]) -> None:
        """unit: (M, D) vectors of length 1."""
        import faiss

        self.tracks = tracks
        cells = round(2 * math.sqrt(len(unit)))
        dimension = unit.shape[1]
        self.index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, cells, faiss.METRIC_INNER_PRODUCT)
        self.index.cp.max_points_per_centroid = POINTS
        self.index.train(unit)
        self.index.add(unit)
        self.index.nprobe = PROBES

    def nearest(
        self, unit: NDArray[np.float32], own: NDArray[np.int32], most: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(Q, most) songs, best first, -1 where there are fewer, and their cosines, 0 there. own: (Q,) songs that are
        not to be found, each by its own row."""
        cosines, places = self.index.search(unit, most + 1)
        songs = np.where(places >= 0, self.tracks[places], -1)
        others = (songs >= 0) & (songs != own[:, None])
        first = np.argsort(~others, axis=1, kind="stable")[:, :most]
        kept = np.take_along_axis(others, first, axis=1)
        songs, cosines = np.take_along_axis(songs, first, axis=1), np.take_along_axis(cosines, first, axis=1)
        return np.where(kept, songs, -1).astype(np.int32), np.where(kept, cosines, 0).astype(np.float32)


class Likeness:
    """Over one set of vectors; what was found last is kept, since many fits ask for the same.

    seconds: that all searches took.
    """

    def __init__(self, vectors: Vectors) -> None:
        self.vectors, self.seconds = vectors, 0.0
        self._asked: tuple[bytes, bytes, int] | None = None

    def nearest(self, asking: NDArray[np.bool_], known: NDArray[np.bool_], most: int) -> Nearest:
        """The nearest known songs of each song that asks, itself left out.

        asking, known: (N,). Songs without a vector neither ask nor are found.
        """
        asked = (asking.tobytes(), known.tobytes(), most)
        if asked != self._asked:
            started = time.monotonic()
            self._asked, self._found = asked, self._search(asking, known, most)
            self.seconds += time.monotonic() - started
        return self._found

    def _search(self, asking: NDArray[np.bool_], known: NDArray[np.bool_], most: int) -> Nearest:
        tracks, values = self.vectors.tracks, self.vectors.values
        near = np.full((len(known), most), -1, np.int32)
        cosines = np.zeros((len(known), most), np.float32)
        among, rows = known[tracks], np.flatnonzero(asking[tracks])
        if not among.any() or not len(rows):
            return Nearest(near, cosines)
        if among.sum() > MANY:
            cells = Cells(tracks[among], values[among])
            for block in np.split(rows, range(AT_ONCE, len(rows), AT_ONCE)):
                songs, scores = cells.nearest(values[block], tracks[block], most)
                near[tracks[block]], cosines[tracks[block]] = songs, scores
            return Nearest(near, cosines)
        index = BACKENDS["exact"](self.vectors.dimension)
        index.add(tracks[among], values[among])
        found = index.search(values[rows], min(most, len(index)), exclude=list(tracks[rows][:, None]))
        for row, (songs, scores) in zip(tracks[rows], found, strict=True):
            near[row, : len(songs)], cosines[row, : len(songs)] = songs, scores
        return Nearest(near, cosines)


class LikenessKind(SourceKind, Protocol):
    """The class of a source that fits itself to where songs lie."""

    def __call__(self, settings: Any = None, likeness: Likeness | None = None) -> CandidateSource:
        """likeness: needed to fit, not to restore."""
