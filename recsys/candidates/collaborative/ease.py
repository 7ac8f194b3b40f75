"""EASE: a linear autoencoder over songs that may not copy a song to itself, in closed form (Steck 2019).

With X the training matrix and P = (X'X + lambda I)^-1, song i contributes -P[i, j] / P[j, j] to song j. Where pairs of
songs take more than the memory allowed, pairs of listeners do as well, and where these do too, the largest singular
values of X are taken for all of it (`ease_weights`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from data.reporting import logger
from recsys.candidates.collaborative.ease_weights import Dual, LowRank, Pairs, SongWeights, restored
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
BYTES_PER_FACTOR = 16
"""Of each song, listener and playlist: float32, and what the iteration needs beside it."""
LEAST_RANK, MOST_RANK = 16, 512
"""Singular values: where fewer fit, pairs of the most played songs are taken; more would take minutes for a trial."""


class EaseSettings(HistorySettings):
    """The regularisation, the memory, and how the history counts."""

    regularization: Annotated[PositiveFloat, Range(1.0, 1e7, log=True)] = 100.0
    "Lambda: what is added to each song's summed squares."
    memory_gb: PositiveFloat = 0.3
    """What the matrices may take while it learns: 0.3 are 5,000 songs or 5,000 listeners and playlists, 1.6 are 11,547.
    Above both, 0.3 are 93 singular values of 100,000 songs and 100,000 listeners. On the demo's validation (simulated)
    lambda 500 reaches 0.181 NDCG@100 for the next song with all pairs; in the memory for pairs of 400 songs, which have
    71 % of the plays, 0.178 with the 43 singular values that fit, and 0.153 with these songs. Time is bounded as well:
    1.6 were 75 s for each of the fits that tuning makes, and 5,000 songs take a twelfth."""


class Ease:
    """Sums what the history's songs say about every other song that takes part."""

    name = "ease"
    Settings = EaseSettings
    reason = Reason("played with {song}")

    def __init__(self, settings: EaseSettings | None = None) -> None:
        self.settings = settings or EaseSettings()

    def fit(self, dataset: Dataset) -> Self:
        matrix = interactions(dataset)
        matrix = csr_matrix(matrix[matrix.getnnz(axis=1) > 0])
        counts = matrix.getnnz(axis=0)
        ranked = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        form, room = self._form(len(ranked), matrix.shape[0])
        self.songs, self.left_out = np.sort(ranked[:room]).astype(np.int32), max(len(ranked) - room, 0)
        self.tracks = len(dataset.track_ids)
        if self.left_out:
            _say_once(
                f"ease: the {room:,} most played of {len(ranked):,} songs take part, for memory_gb is "
                f"{self.settings.memory_gb:g}; all would take {self._least(len(ranked), matrix.shape[0]) / 1e9:.1g}."
            )
        with threadpool_limits(1, "blas"):
            self.weights = form(csr_matrix(matrix[:, self.songs]))
        return self._in_units(mean_best(self.weights))

    def _form(self, songs: int, rows: int) -> tuple[Callable[[csr_matrix], SongWeights], int]:
        """What makes the weights within the memory, and of how many songs at most. rows: listeners and playlists."""
        memory, regularization = self.settings.memory_gb * 1e9, self.settings.regularization
        if BYTES_PER_PAIR * songs**2 > memory >= BYTES_PER_PAIR * rows**2:
            return partial(Dual.of, regularization=regularization), songs
        if BYTES_PER_PAIR * songs**2 > memory >= self._least(songs, rows):
            rank = min(int(memory / BYTES_PER_FACTOR / (songs + rows)), MOST_RANK)
            return partial(LowRank.of, regularization=regularization, rank=rank), songs
        return partial(Pairs.of, regularization=regularization), int((memory / BYTES_PER_PAIR) ** 0.5)

    @staticmethod
    def _least(songs: int, rows: int) -> int:
        """Bytes below which not all songs can take part, where pairs take even more."""
        return BYTES_PER_FACTOR * LEAST_RANK * (songs + rows)

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        return rank_in_blocks(queries, k, self.tracks, self._scores)

    def _scores(self, block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        scores = np.zeros((len(block), self.tracks), np.float32)
        allowed = np.zeros(scores.shape, np.bool_)
        history = self._history(block)
        scores[:, self.songs] = self.weights.spoken(history) / self.unit
        for row, query in enumerate(block):
            add_repeats(scores[row], query, self.settings, self.known)
            # A query without a song that takes part says nothing, and neither does the model.
            allowed[row, self.songs] = history.indptr[row] < history.indptr[row + 1] or (scores[row] > 0).any()
        return scores, allowed

    def _history(self, block: Sequence[Query]) -> csr_matrix:
        """(B, M) each song's share in its query's history, of those that take part."""
        found = []
        for query in block:
            songs, shares = history_shares(query, self.settings.half_life)
            speak = (self.row_of[songs] >= 0) & (shares != 0)
            found.append((self.row_of[songs[speak]], shares[speak]))
        offsets = np.cumsum([0, *(len(songs) for songs, _ in found)])
        songs, shares = (np.concatenate(column) for column in zip(*found, strict=True))
        return csr_matrix((shares, songs, offsets), shape=(len(block), len(self.songs)))

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        given, asked = self.row_of[query.songs], self.row_of[tracks]
        spoken = np.zeros((len(given), len(asked)), np.float32)
        known = self.weights.between(given[given >= 0], asked[asked >= 0])
        spoken[np.ix_(given >= 0, asked >= 0)] = known / self.unit
        return votes(query, tracks, spoken, self.settings, self.known)

    def state(self) -> State:
        return self.weights.state() | {
            "songs": self.songs,
            "left_out": np.array(self.left_out),
            "unit": np.array(self.unit),
        }

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.weights, self.songs, self.left_out = restored(state), state["songs"], int(state["left_out"])
        self.tracks = len(dataset.track_ids)
        # Fits made before units were kept have none.
        return self._in_units(np.float32(state["unit"]) if "unit" in state else mean_best(self.weights))

    def _in_units(self, unit: np.float32) -> Self:
        self.unit, self.row_of = unit, np.full(self.tracks, -1, np.int64)
        self.row_of[self.songs] = np.arange(len(self.songs))
        self.known = self.row_of >= 0
        return self


def mean_best(weights: SongWeights) -> np.float32:
    """What the song that it says most for is given, in the mean over songs: what `again` is counted in."""
    best = weights.best()
    return np.float32(best[best > 0].mean() if (best > 0).any() else 1)


@cache
def _say_once(text: str) -> None:
    """Tuning fits a source many times."""
    log.warning(text)
