"""Latent factors of songs and listeners, and scoring with them: shared by BPR and logistic factorisation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions, known_rows, seen
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked


@dataclass(frozen=True)
class Factors:
    """items: (N, F) and users: (listeners, F), float32; seen: (N,) and known: (listeners,), who has training events."""

    items: NDArray[np.float32]
    users: NDArray[np.float32]
    seen: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        return cls(*(state[name] for name in ("items", "users", "seen", "known")))

    def to_state(self) -> State:
        return {"items": self.items, "users": self.users, "seen": self.seen, "known": self.known}

    def rank(self, queries: Sequence[Query], k: int, half_life: float | None, own: bool, bias: int) -> Ranked:
        """Songs by their product with the mean factors of the history's songs, which weigh less with age.

        own: take a listener's own factors instead where training knows them. bias: the column of the songs' biases,
        which meets a 1 in every query. A query without a known song says nothing, and neither does the model.
        """

        score = partial(self._scores, half_life=half_life, own=own, bias=bias)
        return rank_in_blocks(queries, k, len(self.seen), score)

    def _scores(
        self, block: Sequence[Query], half_life: float | None, own: bool, bias: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        vectors = np.zeros((len(block), self.items.shape[1]), np.float32)
        answers = np.zeros((len(block), 1), np.bool_)
        for row, query in enumerate(block):
            if own and query.user is not None and self.known[query.user]:
                vectors[row], answers[row] = self.users[query.user], True
                continue
            songs, weights = query.song_weights(half_life)
            speak = self.seen[songs] & (weights != 0)
            total = max(float(np.abs(weights[speak]).sum()), 1e-9)
            vectors[row], answers[row] = weights[speak] @ self.items[songs[speak]] / total, speak.any()
            vectors[row, bias] = 1.0
        return vectors @ self.items.T, self.seen & answers


class FactorSettings(BaseModel):
    """How a query is described by factors."""

    history: Annotated[bool, OneOf((True, False)), AtQuery] = True
    "Describe a query by the mean factors of its history; else by the listener's own factors where training knows them."
    half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = 20.0
    "Plays of the query's history after which one counts half."


class FactorSource(ABC):
    """What BPR and LMF share. A subclass has a name, settings, the column of the songs' biases, and `learn`."""

    reason = Reason("listeners like you play it", about_songs="listeners of these songs play it")
    bias: ClassVar[int]
    settings: FactorSettings
    factors: Factors

    @abstractmethod
    def learn(self, matrix: csr_matrix) -> Any:
        """The library's model, fitted to (listeners and playlists, songs). Called with one thread of BLAS."""

    def fit(self, dataset: Dataset) -> Self:
        matrix, listeners = interactions(dataset), len(dataset.user_ids)
        with threadpool_limits(1, "blas"):
            model = self.learn(matrix)
        users, known = model.user_factors[:listeners], known_rows(matrix, listeners)
        self.factors = Factors(model.item_factors, users, seen(matrix), known)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return self.factors.rank(queries, k, self.settings.half_life, own=not self.settings.history, bias=self.bias)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return Votes.none(len(tracks))

    def state(self) -> State:
        return self.factors.to_state()

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.factors = Factors.from_state(state)
        return self
