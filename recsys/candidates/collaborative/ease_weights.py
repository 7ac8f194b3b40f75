"""What EASE's songs say about one another, in the form that fits the memory.

With P = (X'X + lambda I)^-1 the weights are B[i, j] = -P[i, j] / P[j, j], and 0 on the diagonal. Where all pairs of
songs fit, they are a matrix. Else, by Woodbury's identity, P = (I - S) / lambda with S = X'(X X' + lambda I)^-1 X, so
that B[i, j] = S[i, j] / (1 - S[j, j]): where all pairs of listeners and playlists fit, S is kept by its inverse, and
nothing is lost. Else S = V diag(s^2 / (s^2 + lambda)) V' is kept by the largest singular values of X and their vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_matrix

from data.errors import UserError
from recsys.candidates.contract import State

BLOCK_ROWS = 256
CELLS_AT_ONCE = 16_000_000
"""Weights that are made at once to look for the best ones: 64 MB, and as much again on the way."""
SAMPLED = 1000
"""Songs whose best weight is looked up where the weights are no matrix."""
SEED = 20260101


class SongWeights(Protocol):
    """Weights between the M songs that take part."""

    def spoken(self, history: csr_matrix) -> NDArray[np.float32]:
        """(Q, M): history (Q, M) @ B."""

    def between(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        """(G, A): B at some rows and columns."""

    def best(self) -> NDArray[np.float32]:
        """The largest weight of every song, or of SAMPLED of them."""

    def state(self) -> State:
        """The arrays that it is made of; `restored` is the counterpart."""


@dataclass(frozen=True)
class Pairs:
    """weights: (M, M) float32, B itself."""

    weights: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: csr_matrix, regularization: float) -> "Pairs":
        """Every column of `matrix` (R, M) needs an entry."""
        songs = matrix.shape[1]
        if not songs:
            return cls(np.zeros((0, 0), np.float32))
        inverse = invert(gram(matrix), regularization)
        diagonal = inverse.diagonal().copy()
        weights = np.empty((songs, songs), np.float32)
        for start in range(0, songs, BLOCK_ROWS):
            weights[start : start + BLOCK_ROWS] = -inverse[start : start + BLOCK_ROWS] / diagonal
        np.fill_diagonal(weights, 0)
        return cls(weights)

    def spoken(self, history: csr_matrix) -> NDArray[np.float32]:
        return np.asarray(history @ self.weights, np.float32)

    def between(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.weights[np.ix_(given, asked)]

    def best(self) -> NDArray[np.float32]:
        return np.asarray(self.weights.max(axis=1, initial=0))

    def state(self) -> State:
        return {"weights": self.weights}


class Smoother(Protocol):
    """S (M, M) in a form that it can be multiplied with."""

    @property
    def own(self) -> NDArray[np.float64]:
        """(M,) the diagonal of S."""

    def smooth(self, history: csr_matrix) -> NDArray[np.float32]:
        """(Q, M): history @ S."""

    def pairs(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        """(G, A): S at some rows and columns."""

    def state(self) -> State:
        """The arrays that it is made of."""


@dataclass(frozen=True)
class Smoothed:
    """B from S."""

    by: Smoother

    def spoken(self, history: csr_matrix) -> NDArray[np.float32]:
        smoothed = self.by.smooth(history)
        itself = history.tocoo()
        smoothed[itself.row, itself.col] -= itself.data * self.by.own[itself.col].astype(np.float32)
        return smoothed * self._scale

    def between(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        others = given[:, None] != asked[None, :]
        return np.asarray(self.by.pairs(given, asked) * others * self._scale[asked], np.float32)

    def best(self) -> NDArray[np.float32]:
        songs = len(self.by.own)
        sample = np.unique(np.linspace(0, songs - 1, min(songs, SAMPLED)).astype(np.int64))
        step = min(max(CELLS_AT_ONCE // max(songs, 1), 1), BLOCK_ROWS)
        parts = [self.between(sample[at : at + step], np.arange(songs)) for at in range(0, len(sample), step)]
        return np.concatenate([np.zeros(0, np.float32), *(part.max(axis=1, initial=0) for part in parts)])

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        # Below 1 but for rounding, which a lambda near nothing leaves.
        return np.asarray(1 / np.maximum(1 - self.by.own, 1e-9), np.float32)

    def state(self) -> State:
        return self.by.state()


@dataclass(frozen=True)
class Dual:
    """matrix: (R, M), X. inverse: (R, R) float32, (X X' + lambda I)^-1."""

    matrix: csr_matrix
    inverse: NDArray[np.float32]
    own: NDArray[np.float64]

    @classmethod
    def of(cls, matrix: csr_matrix, regularization: float) -> Smoothed:
        """Every column of `matrix` (R, M) needs an entry."""
        inverse = invert(gram(csr_matrix(matrix.T)), regularization)
        columns, own = csr_matrix(matrix.T), np.zeros(matrix.shape[1])
        for at in range(0, len(own), BLOCK_ROWS):
            block = columns[at : at + BLOCK_ROWS].astype(np.float64)
            own[at : at + BLOCK_ROWS] = np.asarray(block.multiply(block @ inverse).sum(axis=1)).ravel()
        return Smoothed(cls(matrix, inverse.astype(np.float32), own))

    def smooth(self, history: csr_matrix) -> NDArray[np.float32]:
        by_row = (history @ self._columns).toarray() @ self.inverse
        return np.asarray((self._columns @ by_row.T).T, np.float32)

    def pairs(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        by_row = self._columns[given] @ self.inverse
        return np.asarray((self._columns[asked] @ by_row.T).T, np.float32)

    def state(self) -> State:
        entries = {"data": self.matrix.data, "indices": self.matrix.indices, "indptr": self.matrix.indptr}
        return entries | {"inverse": self.inverse, "own": self.own}

    @cached_property
    def _columns(self) -> csr_matrix:
        return csr_matrix(self.matrix.T)


@dataclass(frozen=True)
class LowRank:
    """factors: (M, F) float32, S = factors @ factors.T."""

    factors: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: csr_matrix, regularization: float, rank: int) -> Smoothed:
        """By randomised subspace iteration (Halko et al. 2011), the same for the same matrix."""
        from sklearn.utils.extmath import randomized_svd

        _, strengths, rows = randomized_svd(matrix, min(rank, *matrix.shape), n_iter=4, random_state=SEED)
        kept = strengths.astype(np.float64) ** 2
        return Smoothed(cls(np.asarray(rows.T * np.sqrt(kept / (kept + regularization)), np.float32)))

    @cached_property
    def own(self) -> NDArray[np.float64]:
        return np.asarray(np.einsum("ij,ij->i", self.factors, self.factors, dtype=np.float64))

    def smooth(self, history: csr_matrix) -> NDArray[np.float32]:
        return np.asarray((history @ self.factors) @ self.factors.T)

    def pairs(self, given: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(self.factors[given] @ self.factors[asked].T)

    def state(self) -> State:
        return {"factors": self.factors}


def restored(state: Mapping[str, NDArray[Any]]) -> SongWeights:
    """The weights whose `state` this is."""
    if "weights" in state:
        return Pairs(state["weights"])
    if "factors" in state:
        return Smoothed(LowRank(state["factors"]))
    shape = (len(state["inverse"]), len(state["own"]))
    matrix = csr_matrix((state["data"], state["indices"], state["indptr"]), shape=shape)
    return Smoothed(Dual(matrix, state["inverse"], state["own"]))


def gram(matrix: csr_matrix) -> NDArray[np.float64]:
    """X'X, some rows at a time: in one piece the sparse product would take more than the dense one."""
    songs = matrix.shape[1]
    matrix = matrix.astype(np.float64)
    transposed = matrix.T.tocsr()
    product = np.empty((songs, songs), np.float64)
    for start in range(0, songs, BLOCK_ROWS):
        product[start : start + BLOCK_ROWS] = (transposed[start : start + BLOCK_ROWS] @ matrix).toarray()
    return product


def invert(product: NDArray[np.float64], regularization: float) -> NDArray[np.float64]:
    """(product + regularization I)^-1 by Cholesky, in the memory of `product`. Raises UserError where rounding forbids
    it."""
    product[np.diag_indices_from(product)] += regularization
    # LAPACK works on columns: the transpose of a symmetric matrix in C order is the matrix itself, without a copy.
    factor, failed = dpotrf(product.T, lower=1, overwrite_a=1, clean=0)
    inverse, failed_too = dpotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise UserError(f"ease: regularization {regularization:g} is lost in rounding", "Take a larger one.")
    for row in range(len(inverse)):
        inverse[row, row + 1 :] = inverse[row + 1 :, row]
    return np.asarray(inverse.T, np.float64)  # rows in one piece, as sparse products need them
