"""BPR: matrix factorisation that ranks what was played above what was not (Rendle et al. 2009), by implicit."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions, known_rows, seen
from recsys.candidates.collaborative.latent_factors import Factors
from recsys.candidates.contract import State
from recsys.queries import Query
from recsys.ranked import Ranked

BIAS = -1


class BprSettings(BaseModel):
    """The factorisation, on one thread: on several it is not reproducible."""

    factors: PositiveInt = 64
    learning_rate: PositiveFloat = 0.05
    regularization: PositiveFloat = 0.01
    iterations: PositiveInt = 60
    history: bool = True
    "Describe a query by the mean factors of its history; else by the listener's own factors where training knows them."
    half_life: float | None = 20.0
    seed: int = 20260101


class Bpr:
    """Scores songs against the listener's factors or, for playlists and new listeners, those of the history's songs."""

    name = "bpr"

    def __init__(self, settings: BprSettings | None = None) -> None:
        self.settings = settings or BprSettings()

    def fit(self, dataset: Dataset) -> Self:
        s, matrix = self.settings, interactions(dataset)
        model = BayesianPersonalizedRanking(
            s.factors, s.learning_rate, s.regularization, iterations=s.iterations, num_threads=1, random_state=s.seed
        )
        with threadpool_limits(1, "blas"):
            model.fit(matrix, show_progress=False)
        listeners = len(dataset.user_ids)
        self.factors = Factors(
            model.item_factors, model.user_factors[:listeners], seen(matrix), known_rows(matrix, listeners)
        )
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return self.factors.rank(queries, k, self.settings.half_life, own=not self.settings.history, bias=BIAS)

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        return [None] * len(tracks)

    def state(self) -> State:
        return self.factors.to_state()

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.factors = Factors.from_state(state)
        return self
