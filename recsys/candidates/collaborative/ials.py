"""iALS: matrix factorisation for implicit feedback (Hu, Koren, Volinsky 2008) by the library implicit."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions, seen
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Range, Reason
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked


class IalsSettings(BaseModel):
    """The factorisation. More than any other model this one needs tuning."""

    factors: Annotated[PositiveInt, Range(8, 128, log=True)] = 64
    regularization: Annotated[PositiveFloat, Range(1e-3, 100, log=True)] = 0.01
    alpha: Annotated[PositiveFloat, Range(1, 100, log=True)] = 10.0
    "Confidence of a play over the unobserved."
    iterations: PositiveInt = 15
    half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = 20.0
    "Plays of the query's history after which one counts half."
    seed: int = 20260101


class Ials:
    """Solves each query's vector from its history against fixed song factors, so new listeners are no special case."""

    name = "ials"
    Settings = IalsSettings
    reason = Reason("listeners like you play it", about_songs="listeners of these songs play it")

    def __init__(self, settings: IalsSettings | None = None) -> None:
        self.settings = settings or IalsSettings()

    def fit(self, dataset: Dataset) -> Self:
        matrix = interactions(dataset)
        with threadpool_limits(1, "blas"):
            self.model, self.seen = self._model(), seen(matrix)
            self.model.fit(matrix, show_progress=False)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return rank_in_blocks(queries, k, len(self.seen), self._scores)

    def _scores(self, block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        vectors = np.zeros((len(block), self.model.item_factors.shape[1]), np.float32)
        answers = np.zeros((len(block), 1), np.bool_)
        for row, query in enumerate(block):
            songs, weights = query.song_weights(self.settings.half_life)
            speak = self.seen[songs] & (weights > 0)
            # A query without a known song has the zero vector: it says nothing, and neither does the model.
            if speak.any():
                vectors[row], answers[row] = self._listener(songs[speak], weights[speak]), True
        return vectors @ self.model.item_factors.T, self.seen & answers

    def _listener(self, songs: NDArray[np.int32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F,) of a listener of these songs, where the songs' factors Y are given: (Y'CY + lambda I)^-1 Y'C p."""
        factors, confidence = self.model.item_factors[songs], np.float32(self.settings.alpha) * weights
        a = self._gram + factors.T @ ((confidence - 1)[:, None] * factors)
        return np.asarray(np.linalg.solve(a, confidence @ factors), np.float32)

    @cached_property
    def _gram(self) -> NDArray[np.float32]:
        """(F, F) Y'Y + lambda I, what every listener's system has in common."""
        factors = self.model.item_factors
        return np.asarray(factors.T @ factors + self.settings.regularization * np.eye(factors.shape[1]), np.float32)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return Votes.none(len(tracks))

    def state(self) -> State:
        return {"item_factors": self.model.item_factors, "seen": self.seen}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        with threadpool_limits(1, "blas"):
            self.model, self.seen = self._model(), state["seen"]
        self.model.item_factors = state["item_factors"]
        return self

    def _model(self) -> AlternatingLeastSquares:
        s = self.settings
        return AlternatingLeastSquares(
            s.factors, s.regularization, s.alpha, iterations=s.iterations, random_state=s.seed, num_threads=1
        )
