"""How much of the truth a short cut finds: recall against exact search, on a sample of the songs' own vectors."""

from dataclasses import dataclass
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from recsys.index.contract import VectorIndex
from recsys.index.input_checks import unit_vectors

K = 100
QUERIES = 400
"""Songs that are asked for their neighbours. Over eight samples of 20,000 simulated clustered songs, recalls near 0.95
differed by 0.005 (one standard deviation), near 0.99 by less than 0.001."""
SEED = 20260101
_ROUNDING = 1e-6
# FAISS ships type stubs that lack some of its own names.
_faiss: Any = faiss


@dataclass(frozen=True)
class NearestSongs:
    """The truth about a sample of songs. tracks: (N,) ascending, all songs; unit: (N, D), their vectors of length 1.

    sample: (Q,) places of the songs that are asked for. bar: (Q,) the similarity of each one's `k`-th nearest other.
    """

    tracks: NDArray[np.int32]
    unit: NDArray[np.float32]
    sample: NDArray[np.int64]
    bar: NDArray[np.float32]
    k: int

    @classmethod
    def of(
        cls,
        tracks: NDArray[np.int32],
        vectors: NDArray[np.float32],
        k: int = K,
        queries: int = QUERIES,
        seed: int = SEED,
    ) -> Self:
        """Found by exact search. vectors: (N, D), of any length; N at least 2."""
        unit = unit_vectors(vectors, vectors.shape[1])
        sample = np.sort(np.random.default_rng(seed).choice(len(unit), min(queries, len(unit)), replace=False))
        k = min(k, len(unit) - 1)
        # A song is the nearest to itself, so that the last of k + 1 is the k-th other one.
        nearest, _ = _faiss.knn(unit[sample], unit, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
        return cls(tracks, unit, sample, nearest[:, k], k)

    def recall(self, index: VectorIndex) -> float:
        """The share of each sampled song's `k` nearest other songs that `index` returns, in the mean.

        A song as near as the k-th counts, whichever of several it is.
        """
        found = index.search(self.unit[self.sample], self.k, list(self.tracks[self.sample, None]))
        shares = []
        for place, bar, (answer, _) in zip(self.sample, self.bar, found, strict=True):
            similar = self.unit[np.searchsorted(self.tracks, answer)] @ self.unit[place]
            shares.append(np.count_nonzero(similar >= bar - _ROUNDING) / self.k)
        return float(np.mean(shares))
