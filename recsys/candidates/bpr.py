"""BPR: matrix factorisation that ranks what was played above what was not (Rendle et al. 2009), by implicit."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.interactions import interactions, known_rows, seen
from recsys.queries import Query, history_matrix
from recsys.ranked import Ranked


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
        self.items, self.seen = model.item_factors, seen(matrix)
        self.users = model.user_factors[: len(dataset.user_ids)]
        self.known = known_rows(matrix, len(dataset.user_ids))
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_matrix(block, len(self.seen), self.settings.half_life)
            history = history.multiply(self.seen.astype(np.float32)).tocsr()
            history.eliminate_zeros()
            total = np.abs(history).sum(axis=1)
            users = np.asarray(history @ self.items / np.maximum(np.asarray(total).reshape(-1, 1), 1e-9), np.float32)
            # The last factor of a song is its bias and meets a 1 in every listener's vector.
            users[:, -1] = 1.0
            answers = history.getnnz(axis=1) > 0
            for row, query in enumerate(block):
                if not self.settings.history and query.user is not None and self.known[query.user]:
                    users[row], answers[row] = self.users[query.user], True
            return users @ self.items.T, self.seen & answers[:, None]

        return rank_in_blocks(queries, k, len(self.seen), score)

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        return [None] * len(tracks)

    def state(self) -> State:
        return {"items": self.items, "users": self.users, "seen": self.seen, "known": self.known}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.items, self.users, self.seen, self.known = (state[name] for name in ("items", "users", "seen", "known"))
        return self
