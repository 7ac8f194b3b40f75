"""Sparse item-item similarity: every song's best neighbours, found in bounded memory, and scoring with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_rows, runs
from recsys.candidates.history import HistorySettings, add_repeats, history_shares, votes
from recsys.candidates.sparse_rows import RowSums, at_columns, rows_of
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

BLOCK_ENTRIES = 4_000_000
"""Entries of a product that exist at once: some 100 MB with what it takes to choose among them."""

KEPT = 50_000_000
"""Entries of a matrix that are kept at most: 400 MB. A million songs keep 50 neighbours each, 100,000 keep 500."""

Rescale = Callable[[csr_matrix, slice], csr_matrix]


def best_others(left: csr_matrix, right: csr_matrix, keep: int, rescale: Rescale | None = None) -> csr_matrix:
    """The `keep` largest positive entries of each row of left @ right beside the diagonal, float32; of equal ones the
    lower columns. In a large catalogue fewer are kept: KEPT altogether.

    left: (N, R), right: (R, N). rescale(block, rows): a block of the product with other values, before the best of it
    are chosen.
    """
    left, right = csr_matrix(left), csr_matrix(right)
    keep, parts = most_for_each(left, keep), []
    for rows in runs(_entries_at_most(left, right), BLOCK_ENTRIES):
        block = (left[rows] @ right).tocsr()
        block = block if rescale is None else rescale(block, rows).tocsr()
        block.data[np.repeat(np.arange(rows.start, rows.stop), np.diff(block.indptr)) == block.indices] = 0
        parts.append(best_of_rows(block, keep))
    return vstack(parts, format="csr", dtype=np.float32) if parts else csr_matrix((0, right.shape[1]), dtype=np.float32)


@dataclass(frozen=True)
class Neighbours:
    """What songs say for one another, and how a history is asked through it.

    similarity: (N, N) float32, at least 0, nothing on the diagonal: what a song says for itself counts by
    `HistorySettings.again`. known: (N,), the songs that training has.
    """

    similarity: csr_matrix
    known: NDArray[np.bool_]

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        return cls(from_state(state, len(state["known"])), state["known"])

    def to_state(self) -> State:
        return to_state(self.similarity) | {"known": self.known}

    @cached_property
    def sums(self) -> RowSums:
        """Of what songs say."""
        return RowSums(self.similarity)

    @cached_property
    def unit(self) -> float:
        """What the most similar song is given, in the mean over the songs that have one."""
        best = self.similarity.max(axis=1).toarray().ravel()
        return float(best[best > 0].mean()) if (best > 0).any() else 1.0

    def rank(self, queries: Sequence[Query], k: int, settings: HistorySettings) -> Ranked:
        """Songs by the weighted mean over the history of what its songs say for them; only means above 0."""

        return rank_rows(queries, k, (self._score(query, settings) for query in queries))

    def _score(self, query: Query, settings: HistorySettings) -> NDArray[np.float32]:
        scores = np.zeros(len(self.known), np.float32)
        songs, shares = history_shares(query, settings.half_life)
        self.sums.add(scores, songs, shares / np.float32(self.unit))
        add_repeats(scores, query, settings, self.known)
        return scores

    def votes(self, query: Query, tracks: NDArray[np.int32], settings: HistorySettings) -> Votes:
        """What each song of the history adds to the mean of each song."""
        similarity = at_columns(*rows_of(self.similarity, query.songs), tracks, len(self.known))
        return votes(query, tracks, similarity / np.float32(self.unit), settings, self.known)


class SimilaritySource:
    """What item-kNN and RP3beta share. A subclass has a name, settings, and `fit`, which sets `songs`."""

    settings: HistorySettings
    songs: Neighbours

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return self.songs.rank(self.settings.awake(queries), k, self.settings)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return self.songs.votes(query, tracks, self.settings)

    def state(self) -> State:
        return self.songs.to_state()

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.songs = Neighbours.from_state(state)
        return self


def to_state(similarity: csr_matrix) -> State:
    return {"data": similarity.data, "indices": similarity.indices, "indptr": similarity.indptr}


def from_state(state: Mapping[str, NDArray[Any]], songs: int) -> csr_matrix:
    return csr_matrix((state["data"], state["indices"], state["indptr"]), shape=(songs, songs))


def pattern(matrix: csr_matrix) -> csr_matrix:
    """The same matrix with 1 for every entry."""
    return csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def most_for_each(matrix: csr_matrix, keep: int) -> int:
    """`keep`, or less where the rows that are not empty would together keep more than KEPT."""
    return max(min(keep, KEPT // max(int(np.count_nonzero(matrix.getnnz(axis=1))), 1)), 1)


def _entries_at_most(left: csr_matrix, right: csr_matrix) -> NDArray[np.int64]:
    """(N,) how many entries each row of left @ right can have."""
    lengths = right.getnnz(axis=1).astype(np.float64)
    return np.asarray(np.minimum(pattern(left) @ lengths, right.shape[1]), np.int64)


def best_of_rows(block: csr_matrix, keep: int) -> csr_matrix:
    """Only the `keep` largest positive entries of each row, float32; of equal ones those with the lower column."""
    block = block.copy()
    block.sort_indices()
    kept = block.data > 0
    for row in np.flatnonzero(np.diff(block.indptr) > keep):
        inside = slice(block.indptr[row], block.indptr[row + 1])
        values = block.data[inside]
        threshold = np.partition(values, -keep)[-keep]
        chosen = values > threshold
        chosen[np.flatnonzero(values == threshold)[: keep - chosen.sum()]] = True
        kept[inside] &= chosen
    offsets = np.concatenate([[0], np.cumsum(kept)])[block.indptr]
    return csr_matrix((block.data[kept].astype(np.float32), block.indices[kept], offsets), shape=block.shape)
