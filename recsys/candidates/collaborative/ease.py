"""EASE: a linear autoencoder over songs that may not copy a song to itself, in closed form (Steck 2019).

With X the training matrix and P = (X'X + lambda I)^-1, song i contributes -P[i, j] / P[j, j] to song j. The matrix is
dense, so where the catalogue is larger than the memory allows, only the most played songs take part.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from data.errors import UserError
from data.reporting import logger
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import Range, Reason
from recsys.candidates.history import HistorySettings, add_repeats, history_shares, votes
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

log = logger(__name__)

BYTES_PER_PAIR = 12
"""float64 to invert, for in float32 a small lambda is lost, and the float32 weights made of it."""
BLOCK_ROWS = 256


class EaseSettings(HistorySettings):
    """The regularisation, the memory, and how the history counts."""

    regularization: Annotated[PositiveFloat, Range(1.0, 1e7, log=True)] = 100.0
    "Lambda: what is added to each song's summed squares."
    memory_gb: PositiveFloat = 0.3
    """What the matrices may take while it learns: 0.3 are 5,000 songs, 1.6 are 11,547. The most played ones take part.
    Time is bounded as well: 1.6 were 75 s for each of the fits that tuning makes, and 5,000 songs take a twelfth."""


class Ease:
    """Sums what the history's songs say about every other song that takes part."""

    name = "ease"
    Settings = EaseSettings
    reason = Reason("played together with {song}")

    def __init__(self, settings: EaseSettings | None = None) -> None:
        self.settings = settings or EaseSettings()

    def fit(self, dataset: Dataset) -> Self:
        matrix = interactions(dataset)
        counts = matrix.getnnz(axis=0)
        room = int((self.settings.memory_gb * 1e9 / BYTES_PER_PAIR) ** 0.5)
        ranked = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        self.songs, self.left_out = np.sort(ranked[:room]).astype(np.int32), max(len(ranked) - room, 0)
        self.tracks = len(dataset.track_ids)
        if self.left_out:
            _say_once(
                f"ease: the {room:,} most played of {len(ranked):,} songs take part, for memory_gb is "
                f"{self.settings.memory_gb:g}; all would take {BYTES_PER_PAIR * len(ranked) ** 2 / 1e9:.1f}."
            )
        with threadpool_limits(1, "blas"):
            self.weights = _weights(csr_matrix(matrix[:, self.songs]), self.settings.regularization)
        return self._in_units()

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_shares(block, self.tracks, self.settings.half_life)[:, self.songs]
            history.eliminate_zeros()
            scores = np.zeros((len(block), self.tracks), np.float32)
            scores[:, self.songs] = history @ self.weights / self.unit
            add_repeats(scores, block, self.settings, self.row_of >= 0)
            allowed = np.zeros(scores.shape, np.bool_)
            # A query without a song that takes part says nothing, and neither does the model.
            allowed[np.ix_(history.getnnz(axis=1) + (scores > 0).sum(axis=1) > 0, self.songs)] = True
            return scores, allowed

        return rank_in_blocks(queries, k, self.tracks, score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        given, asked = self.row_of[query.history], self.row_of[tracks]
        spoken = np.zeros((len(given), len(asked)), np.float32)
        spoken[np.ix_(given >= 0, asked >= 0)] = self.weights[np.ix_(given[given >= 0], asked[asked >= 0])] / self.unit
        return votes(query, tracks, spoken, self.settings, self.row_of >= 0)

    def state(self) -> State:
        return {"weights": self.weights, "songs": self.songs, "left_out": np.array(self.left_out)}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.weights, self.songs, self.left_out = state["weights"], state["songs"], int(state["left_out"])
        self.tracks = len(dataset.track_ids)
        return self._in_units()

    def _in_units(self) -> Self:
        self.row_of = np.full(self.tracks, -1, np.int64)
        self.row_of[self.songs] = np.arange(len(self.songs))
        # What the song that it says most for is given, in the mean: what `again` is counted in.
        best = self.weights.max(axis=1, initial=0)
        self.unit = np.float32(best[best > 0].mean() if (best > 0).any() else 1)
        return self


def _weights(matrix: csr_matrix, regularization: float) -> NDArray[np.float32]:
    """(M, M): row i is what song i says about the others. Every column of `matrix` (R, M) needs an entry."""
    songs = matrix.shape[1]
    if not songs:
        return np.zeros((0, 0), np.float32)
    inverse = _invert(_gram(matrix), regularization)
    diagonal = inverse.diagonal().copy()
    weights = np.empty((songs, songs), np.float32)
    for start in range(0, songs, BLOCK_ROWS):
        weights[start : start + BLOCK_ROWS] = -inverse[start : start + BLOCK_ROWS] / diagonal
    np.fill_diagonal(weights, 0)
    return weights


def _gram(matrix: csr_matrix) -> NDArray[np.float64]:
    """X'X, some rows at a time: in one piece the sparse product would take more than the dense one."""
    songs = matrix.shape[1]
    matrix = matrix.astype(np.float64)
    transposed = matrix.T.tocsr()
    gram = np.empty((songs, songs), np.float64)
    for start in range(0, songs, BLOCK_ROWS):
        gram[start : start + BLOCK_ROWS] = (transposed[start : start + BLOCK_ROWS] @ matrix).toarray()
    return gram


def _invert(gram: NDArray[np.float64], regularization: float) -> NDArray[np.float64]:
    """(gram + regularization I)^-1 by Cholesky, in the memory of `gram`. Raises UserError where rounding forbids it."""
    gram[np.diag_indices_from(gram)] += regularization
    # LAPACK works on columns: the transpose of a symmetric matrix in C order is the matrix itself, without a copy.
    factor, failed = dpotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    inverse, failed_too = dpotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise UserError(f"ease: regularization {regularization:g} is lost in rounding", "Take a larger one.")
    for row in range(len(inverse)):
        inverse[row, row + 1 :] = inverse[row + 1 :, row]
    return np.asarray(inverse, np.float64)


@cache
def _say_once(text: str) -> None:
    """Tuning fits a source many times."""
    log.warning(text)
