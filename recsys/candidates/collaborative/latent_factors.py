"""Latent factors of songs and listeners, and scoring with them: shared by BPR and logistic factorisation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.candidates.contract import State, rank_in_blocks
from recsys.queries import Query, history_matrix
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

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_matrix(block, len(self.seen), half_life)
            history = history.multiply(self.seen.astype(np.float32)).tocsr()
            history.eliminate_zeros()
            total = np.abs(history).sum(axis=1)
            vectors = np.asarray(history @ self.items / np.maximum(np.asarray(total).reshape(-1, 1), 1e-9), np.float32)
            vectors[:, bias] = 1.0
            answers = history.getnnz(axis=1) > 0
            for row, query in enumerate(block):
                if own and query.user is not None and self.known[query.user]:
                    vectors[row], answers[row] = self.users[query.user], True
            return vectors @ self.items.T, self.seen & answers[:, None]

        return rank_in_blocks(queries, k, len(self.seen), score)
