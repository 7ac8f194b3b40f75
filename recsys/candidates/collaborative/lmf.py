"""LMF: the probability that a listener plays a song, as a logistic factorisation (Johnson 2014), by implicit."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from implicit.cpu.lmf import LogisticMatrixFactorization
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions, known_rows, seen
from recsys.candidates.collaborative.latent_factors import Factors
from recsys.candidates.contract import State
from recsys.queries import Query
from recsys.ranked import Ranked

BIAS = -2
"""implicit appends two columns: the songs' biases, which meet a 1 in listeners, then the listeners', which meet a 1."""


class LmfSettings(BaseModel):
    """The factorisation, on one thread: on several it is not reproducible."""

    factors: PositiveInt = 32
    learning_rate: PositiveFloat = 1.0
    regularization: PositiveFloat = 0.6
    alpha: PositiveFloat = 1.0
    "Confidence of a play over a sampled song that was not played."
    iterations: PositiveInt = 30
    negatives: PositiveInt = 30
    "Songs sampled as not played per song played; implicit takes no more than factors + 2 a listener."
    history: bool = True
    "Describe a query by the mean factors of its history; else by the listener's own factors where training knows them."
    half_life: float | None = 20.0
    "Plays of the query's history after which one counts half."
    seed: int = 20260101


class Lmf:
    """Scores songs against the listener's factors or, for playlists and new listeners, those of the history's songs."""

    name = "lmf"

    def __init__(self, settings: LmfSettings | None = None) -> None:
        self.settings = settings or LmfSettings()

    def fit(self, dataset: Dataset) -> Self:
        s, matrix = self.settings, interactions(dataset)
        model = LogisticMatrixFactorization(
            s.factors,
            s.learning_rate,
            s.regularization,
            iterations=s.iterations,
            neg_prop=s.negatives,
            num_threads=1,
            random_state=s.seed,
        )
        with threadpool_limits(1, "blas"):
            model.fit(matrix * np.float32(s.alpha), show_progress=False)
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
