"""The time that choosing settings may take, shared out: each source in turn gets an equal part of what is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from recsys.settings import TuningSettings
from recsys.tuning.choices import Choices
from recsys.tuning.search_space import SPACE


@dataclass
class Budget:
    """seconds: of all together. waiting: sources that have had no share yet. clock: seconds, from any moment on."""

    seconds: float
    waiting: int
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()
        self.equal = self.seconds / max(self.waiting, 1)

    def share(self) -> "Share":
        """The next source's, which begins now; what others left unused is in it."""
        left = max(self.begun + self.seconds - self.clock(), 0.0)
        share = left / max(self.waiting, 1)
        self.waiting -= 1
        return Share(share, self.equal, self.clock)


@dataclass
class Share:
    """seconds: after which no further trial begins. equal: what everybody would get if nothing were left unused."""

    seconds: float
    equal: float
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @classmethod
    def endless(cls) -> Self:
        """No bound."""
        return cls(float("inf"), float("inf"))

    def keep(self, seconds: float) -> None:
        """For what follows the trials."""
        self.seconds -= seconds

    def over(self) -> bool:
        """Whether it is spent."""
        return self.clock() - self.begun >= self.seconds


def other_time(tuning: TuningSettings) -> list[float]:
    """What choices are made by beside the rest: minutes that are not the default ones, which may choose otherwise."""
    return [] if tuning.minutes == TuningSettings().minutes else [tuning.minutes]


def trials_in_words(choices: Choices) -> str:
    """How many trials there were, and whose ended early for lack of time."""
    each, had = choices.tuning.trials, choices.trials
    words = f"{len(had)} sources, {sum(had.values())} trials" if len(had) > 1 else f"{sum(had.values())} trials"
    early = [f"{name} {count}" for name, count in had.items() if SPACE[name] and 0 < count < each]
    if not early:
        return words
    return f"{words}; the {choices.tuning.minutes:g} minutes of [tuning] ended early those of {', '.join(early)}"
