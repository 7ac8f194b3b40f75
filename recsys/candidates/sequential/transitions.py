"""The transition matrix (which songs follow which) that Markov chains and sequential rules learn and score with."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from data.dataset import Dataset
from recsys.candidates.collaborative.item_similarity import from_state, to_state
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.sequential.sequences import Sequences
from recsys.candidates.sparse_rows import RowSums, at_columns, rows_of
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

PAIRS_AT_ONCE = 10_000_000
"""Pairs of songs counted at once: 120 MB."""


def followers(sequences: Sequences, weights: NDArray[np.float64], tracks: int) -> csr_matrix:
    """(N, N) float32: how much song b followed song a; d places later counts `weights[d - 1]`."""
    counts = csr_matrix((tracks, tracks), dtype=np.float32)
    ends = np.repeat(sequences.offsets[1:], sequences.lengths())
    for distance, weight in enumerate(weights, start=1):
        for start in range(0, len(ends) - distance, PAIRS_AT_ONCE):
            first = np.arange(start, min(start + PAIRS_AT_ONCE, len(ends) - distance))
            first = first[first + distance < ends[first]]
            pairs = (sequences.tracks[first], sequences.tracks[first + distance])
            counts += csr_matrix((np.full(len(first), weight, np.float32), pairs), shape=(tracks, tracks))
    counts.eliminate_zeros()
    return counts


def shares(counts: csr_matrix, shrinkage: float = 0.0) -> csr_matrix:
    """Rows divided by their sum plus `shrinkage`, so that songs rarely followed by anything say less."""
    total = np.asarray(counts.sum(axis=1), np.float64).ravel() + shrinkage
    return csr_matrix(diags(np.divide(1, total, out=np.zeros_like(total), where=total > 0)) @ counts, dtype=np.float32)


class Transitions:
    """Adds up what followed the songs of the history, the latest song most. Who skipped a song is not led on by it."""

    matrix: csr_matrix
    "(N, N) float32, all entries positive."

    def __init__(self, half_life: float | None) -> None:
        self.half_life = half_life
        self._made: RowSums | None = None

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return rank_rows(queries, k, map(self._score, queries))

    def _score(self, query: Query) -> NDArray[np.float32]:
        scores = np.zeros(self.matrix.shape[0], np.float32)
        songs, given = query.song_weights(self.half_life)
        leads = given > 0
        self._sums.add(scores, songs[leads], given[leads])
        return scores

    @property
    def _sums(self) -> RowSums:
        """Of the matrix, which a fit or a restored state has set."""
        if self._made is None or self._made.matrix is not self.matrix:
            self._made = RowSums(self.matrix)
        return self._made

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        songs, given = query.song_weights(self.half_life)
        followed = at_columns(*rows_of(self.matrix, songs), tracks, self.matrix.shape[1])
        return Votes(songs, followed * np.maximum(given, 0)[:, None])

    def state(self) -> State:
        return to_state(self.matrix)

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.matrix = from_state(state, len(dataset.track_ids))
        return self
