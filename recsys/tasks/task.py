"""Held-out queries of one task, with their targets."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.split import HEAVY
from recsys.queries import Query
from recsys.tasks.names import Task
from recsys.tasks.targets import Targets


@dataclass(frozen=True)
class HeldOut:
    """Queries of one task. repeats: (targets,) bool, songs the listener had already played; groups: (Q,) who asks."""

    task: Task
    queries: list[Query]
    targets: Targets
    repeats: NDArray[np.bool_]
    groups: NDArray[np.int64]
    protocol: str
    given: Literal["history", "seeds"] = "history"
    "What a query's songs are: plays of a listener, or the first songs of a playlist."
    seeds: int | None = None
    "Songs given of each playlist, 0 is the title alone; None is the first half, or that it is not about playlists."

    def among(self, songs: NDArray[np.bool_]) -> "HeldOut":
        """The same questions, answered by none but these songs, a mask over the tracks."""
        return replace(self, queries=[query.only(songs) for query in self.queries])

    @property
    def has_repeats(self) -> bool:
        """Whether the targets hold both repeats and discoveries."""
        return bool(self.repeats.any()) and not self.repeats.all()


def without_excess(rows: NDArray[np.int64], users: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """The rows in their order, but of a listener with more than HEAVY medians only so many, drawn with the seed; no
    fewer than HEAVY in any case.

    users: who asks each. One account that plays all day would else be all that is measured.
    """
    if not len(rows):
        return rows
    _, which, counts = np.unique(users, return_inverse=True, return_counts=True)
    most = int(HEAVY * max(1.0, float(np.median(counts))))
    if counts.max() <= most:
        return rows
    drawn = np.random.default_rng([seed, 7]).permutation(len(rows))
    place = np.empty(len(rows), np.int64)
    by_user = drawn[np.argsort(which[drawn], kind="stable")]
    place[by_user] = np.arange(len(rows)) - (np.cumsum(counts) - counts)[which[by_user]]
    return rows[place < most]


def sample(rows: NDArray[np.generic], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of the rows, in their order; the same for the same seed."""
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return rows.astype(np.int64)
