"""The tasks and scenarios by name. Imports nothing, so that `--help` and refusals can list them at once."""

from dataclasses import dataclass
from typing import Literal

Task = Literal["next-song", "playlist", "cold-start", "discovery", "session", "cold-user", "new-user"]
TASKS: tuple[Task, ...] = ("next-song", "playlist", "cold-start", "discovery")
"""The tasks that settings are tuned for."""
UNTUNED: dict[Task, Task] = {"session": "next-song", "cold-user": "discovery", "new-user": "discovery"}
"""The other tasks, and whose settings each of them uses: the nearest, by what is given and what may be answered."""
ONLY_NEW: tuple[Task, ...] = ("cold-start",)
"""The tasks that want none but songs without plays: the product answers them with none but these."""
NEEDS_ORDER: tuple[Task, ...] = ("next-song", "session", "cold-user", "new-user")
"""What comes next, and who is new, mean nothing where the order of plays is drawn. Discovery and cold-start then ask
for the held-out songs of a listener of whom the others are known."""
HISTORY = 100
"""Plays of the past that a query brings along."""


def tuned_for(task: Task) -> Task:
    """The task whose settings are used."""
    return UNTUNED.get(task, task)


@dataclass(frozen=True)
class Scenario:
    """What one scenario of the challenge gives of a playlist."""

    name: str
    seeds: int
    title: bool = True
    at_random: bool = False

    @property
    def given(self) -> str:
        """In words."""
        songs = f"{self.seeds} songs at random" if self.at_random else f"the first {self.seeds}" if self.seeds else ""
        return " and ".join(["the title"] * self.title + [songs] * bool(songs)) + ("" if self.title else ", no title")


SCENARIOS = (
    Scenario("title", 0),
    Scenario("title+1", 1),
    Scenario("title+5", 5),
    Scenario("5", 5, title=False),
    Scenario("title+10", 10),
    Scenario("10", 10, title=False),
    Scenario("title+25", 25),
    Scenario("title+25-random", 25, at_random=True),
    Scenario("title+100", 100),
    Scenario("title+100-random", 100, at_random=True),
)
"""RecSys Challenge 2018 (Chen et al. 2018; Zamani et al. 2019, arXiv 1810.01520), in its order."""
