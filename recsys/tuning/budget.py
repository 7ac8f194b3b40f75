"""The time that tuning may take, shared out: trials have a part of it, of which each source in turn gets an equal part
of what is left; then fusions and learned rankers ask as many queries as the rest has room for.

Where all of it suffices, nothing that is chosen depends on the clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from recsys.settings import TuningSettings
from recsys.tuning.choices import Choices
from recsys.tuning.search_space import SPACE

TRIALS = 0.6
"Share of the minutes that trials may take; fusions and learned rankers have the rest, and what trials leave."
FUSIONS = 0.4
"Share of what trials leave that fusions may take."

DEAREST = 0.25
"Part of the time left for all trials that one source's defaults may take; others may then have no time but for theirs."


@dataclass
class Budget:
    """seconds: of all sources' trials. waiting: sources that have had no share yet. clock: seconds, from any moment
    on."""

    seconds: float
    waiting: int
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    def share(self) -> "Share":
        """The next source's, which begins now; what others left unused is in it."""
        left = max(self.begun + self.seconds - self.clock(), 0.0)
        share = left / max(self.waiting, 1)
        self.waiting -= 1
        return Share(share, max(share, DEAREST * left), self.clock)

    def left(self, seconds: float) -> float:
        """Of so many seconds that began with the trials."""
        return max(self.begun + seconds - self.clock(), 0.0)


@dataclass
class Share:
    """seconds: after which no further trial begins. most: what its defaults alone may take.

    fits: of all listening, that it has room for beside trials on a sample; 0: for the defaults alone, None: any number.
    """

    seconds: float
    most: float
    clock: Callable[[], float] = time.monotonic
    fits: int | None = None
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


@dataclass
class Pace:
    """How many queries each of several steps may ask, so that together they end in time.

    seconds: of all steps. rounds: how often all steps together ask their queries. a_query: seconds of one query, a
    first guess; what the steps before took replaces it.
    """

    seconds: float
    rounds: float
    a_query: float
    clock: Callable[[], float] = time.monotonic
    begun: float = field(init=False)
    asked: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.begun = self.step = self.clock()

    def queries(self, wanted: int, rounds: float = 1.0) -> int:
        """For the step that begins now, which asks its queries so often: as many as are wanted, or as fit into an
        equal part of what is left."""
        now = self.clock()
        if self.asked:
            self.a_query = (now - self.step) / self.asked
        left = max(self.begun + self.seconds - now, 0.0)
        room = left / max(self.rounds, rounds) / max(self.a_query, 1e-9)
        found = wanted if room >= wanted else int(room)
        self.rounds, self.step, self.asked = self.rounds - rounds, now, found * rounds
        return found


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
