"""Rows of a sparse matrix for one query: added up, or looked up at some columns.

SciPy makes a matrix of every step, which for one query takes longer than the sums.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

LARGER = 4
"""Times the bytes of its entries that a matrix may take with all its zeros: rows without gaps are added up in a
twentieth of the time. Item-kNN of 200 neighbours is kept so up to 1,600 songs."""


@dataclass(frozen=True)
class RowSums:
    """Sums of a matrix's rows (R, N), each times its weight."""

    matrix: csr_matrix

    def add(self, scores: NDArray[np.float32], rows: NDArray[np.integer], weights: NDArray[np.float32]) -> None:
        """Add some rows, each times its weight, to scores (N,), in place."""
        if self._whole is None:
            add_rows(scores, self.matrix, rows, weights)
        else:
            scores += weights.astype(np.float32, copy=False) @ self._whole[rows]

    @cached_property
    def _whole(self) -> NDArray[np.float32] | None:
        rows, columns = self.matrix.shape
        if 4 * rows * columns > LARGER * 8 * self.matrix.nnz or not self.matrix.nnz:
            return None
        return np.asarray(self.matrix.toarray(), np.float32)


def add_rows(
    scores: NDArray[np.float32], matrix: csr_matrix, rows: NDArray[np.integer], weights: NDArray[np.float32]
) -> None:
    """Add some rows of a matrix (R, N), each times its weight, to scores (N,), in place."""
    lengths, columns, values = rows_of(matrix, rows)
    np.add.at(scores, columns, values * np.repeat(weights.astype(np.float32, copy=False), lengths))


def rows_of(
    matrix: csr_matrix, rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """How many entries each of the rows has, and the columns and values of all of them, row after row."""
    starts = matrix.indptr[rows]
    lengths = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(lengths)
    at = np.arange(int(lengths.sum())) + np.repeat(starts - (ends - lengths), lengths)
    return lengths, matrix.indices[at], matrix.data[at]


def at_columns(
    lengths: NDArray[np.int64],
    columns: NDArray[np.int32],
    values: NDArray[np.floating],
    wanted: NDArray[np.int32],
    tracks: int,
) -> NDArray[np.float32]:
    """(R, W) float32 of rows as `rows_of` gives them: their values at the wanted columns, summed; 0 where nothing is.

    wanted: (W,), each once. tracks: N, the columns that the matrix has.
    """
    return summed_at(np.repeat(np.arange(len(lengths)), lengths), len(lengths), columns, values, wanted, tracks)


def summed_at(
    rows: NDArray[np.integer],
    count: int,
    columns: NDArray[np.int32],
    values: NDArray[np.floating],
    wanted: NDArray[np.int32],
    tracks: int,
) -> NDArray[np.float32]:
    """The same of entries in any order, each with its row, of which there are `count`."""
    place = np.zeros(tracks, np.int32)
    place[wanted] = np.arange(1, len(wanted) + 1)
    found = place[columns]
    hit = found.nonzero()[0]
    dense = np.zeros(count * len(wanted), np.float32)
    np.add.at(dense, rows[hit] * len(wanted) + found[hit] - 1, values[hit].astype(np.float32, copy=False))
    return dense.reshape(count, len(wanted))
