"""iALS: matrix factorisation for implicit feedback (Hu, Koren, Volinsky 2008) by the library implicit."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from threadpoolctl import ThreadpoolController, threadpool_limits

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions, seen
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Range, Reason
from recsys.candidates.votes import Votes
from recsys.queries import Query, history_matrix
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
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_matrix(block, len(self.seen), self.settings.half_life).maximum(0).tocsr()
            history = history.multiply(self.seen.astype(np.float32)).tocsr()
            history.eliminate_zeros()
            with _pools().limit(limits=1, user_api="blas"):
                users = self.model.recalculate_user(np.arange(len(block)), history)
            # A query without a known song has the zero vector: it says nothing, and neither does the model.
            return users @ self.model.item_factors.T, self.seen & (history.getnnz(axis=1) > 0)[:, None]

        return rank_in_blocks(queries, k, len(self.seen), score)

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


@cache
def _pools() -> Any:
    """The pools of the libraries that are loaded; to find them at every question takes milliseconds."""
    return ThreadpoolController()
