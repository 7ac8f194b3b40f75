"""Sparse song-by-song matrices: the best neighbours of every song, found in bounded memory, and how they are asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from recsys.candidates.contract import State, rank_in_blocks, runs
from recsys.queries import Query, history_matrix
from recsys.ranked import Ranked

BLOCK_ENTRIES = 4_000_000
"""Entries of a product that exist at once: some 100 MB with what it takes to choose among them."""

Rescale = Callable[[csr_matrix, slice], csr_matrix]


def best_products(left: csr_matrix, right: csr_matrix, keep: int, rescale: Rescale | None = None) -> csr_matrix:
    """The `keep` largest positive entries of each row of left @ right, float32; of equal ones the lower columns.

    left: (N, R), right: (R, M). rescale(block, rows): a block of the product with other values, before the best of it
    are chosen.
    """
    left, right = csr_matrix(left), csr_matrix(right)
    parts = []
    for rows in runs(_entries_at_most(left, right), BLOCK_ENTRIES):
        block = (left[rows] @ right).tocsr()
        block = block if rescale is None else rescale(block, rows).tocsr()
        parts.append(best_of_rows(block, keep))
    return vstack(parts, format="csr", dtype=np.float32) if parts else csr_matrix((0, right.shape[1]), dtype=np.float32)


def rank_neighbours(
    similarity: csr_matrix, queries: Sequence[Query], k: int, half_life: float | None, wanted_only: bool = False
) -> Ranked:
    """Songs by their summed similarity to the history's songs, which weigh less with age; only sums above 0.

    wanted_only: songs that were skipped or disliked say nothing, instead of speaking against.
    """

    def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        history = history_matrix(block, similarity.shape[0], half_life)
        scores = ((history.maximum(0) if wanted_only else history) @ similarity).toarray()
        return scores, scores > 0

    return rank_in_blocks(queries, k, similarity.shape[0], score)


def speaks_most(
    similarity: csr_matrix, query: Query, tracks: NDArray[np.int32], half_life: float | None
) -> list[int | None]:
    """For each song, the song of the history that adds most to its sum; None where none adds anything."""
    if not len(query.history):
        return [None] * len(tracks)
    spoken = similarity[query.history][:, tracks].toarray() * query.weights(half_life)[:, None]
    best = spoken.argmax(axis=0)
    return [int(query.history[row]) if spoken[row, at] > 0 else None for at, row in enumerate(best)]


def to_state(similarity: csr_matrix) -> State:
    return {"data": similarity.data, "indices": similarity.indices, "indptr": similarity.indptr}


def from_state(state: Mapping[str, NDArray[Any]], songs: int) -> csr_matrix:
    return csr_matrix((state["data"], state["indices"], state["indptr"]), shape=(songs, songs))


def pattern(matrix: csr_matrix) -> csr_matrix:
    """The same matrix with 1 for every entry."""
    return csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


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
