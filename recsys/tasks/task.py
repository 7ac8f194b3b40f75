"""What every protocol gives: queries of one task with the songs that were really chosen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.queries import Query
from recsys.tasks.targets import Targets

Task = Literal["next-song", "playlist", "cold-start", "discovery", "session", "cold-user", "new-user"]
TASKS: tuple[Task, ...] = ("next-song", "playlist", "cold-start", "discovery")
"""The tasks that settings are tuned for."""
UNTUNED: dict[Task, Task] = {"session": "next-song", "cold-user": "discovery", "new-user": "discovery"}
"""The other tasks, and whose settings each of them uses: the nearest, by what is given and what may be answered."""
NEEDS_ORDER: tuple[Task, ...] = ("next-song", "session", "cold-user", "new-user")
"""What comes next, and who is new, mean nothing where the order of plays is drawn. Discovery and cold-start then ask
for the held-out songs of a listener of whom the others are known."""
HISTORY = 100
"""Plays of the past that a query brings along."""


def tuned_for(task: Task) -> Task:
    """The task whose settings are used."""
    return UNTUNED.get(task, task)


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

    @property
    def has_repeats(self) -> bool:
        """Whether repeats and discoveries are both asked for."""
        return bool(self.repeats.any()) and not self.repeats.all()


def sample(rows: NDArray[np.generic], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of the rows, in their order; the same for the same seed."""
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return rows.astype(np.int64)
