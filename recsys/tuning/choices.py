"""What validation chose: the settings of each source for each task, and the fusion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from data.storage.hashing import short_hash
from recsys.candidates import State
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings
from recsys.ranking.learned.ranker import TITLE, RankerChoice
from recsys.settings import RankerSettings, RankingSettings, TuningSettings
from recsys.tasks import TASKS, Task
from recsys.tuning.search_space import QUERY_SETTINGS


class Choices(BaseModel):
    """What validation chose: settings per task and source, the fusion per task, and the NDCG@100 each reached."""

    settings: dict[Task, dict[str, dict[str, Any]]] = {}
    fusion: dict[Task, FusionSettings] = {}
    title_fusion: FusionSettings | None = None
    "Of playlists by their title alone; None where validation has none with a title."
    rankers: dict[str, RankerChoice] = {}
    "By task, or TITLE: whether the learned ranker or the weighted sum answers, and what each reached."
    validation: dict[Task, dict[str, float]] = {}
    trials: dict[str, int] = {}
    left_out: dict[str, str] = {}
    "Sources that were too dear for so much listening, and why: they take no part in the fusion."
    tuning: TuningSettings = Field(default_factory=TuningSettings)
    ranking: RankingSettings = Field(default_factory=RankingSettings)
    ranker: RankerSettings = Field(default_factory=RankerSettings)
    "What they were chosen by, and are answered with."

    def fusion_for(self, task: Task, titles_alone: bool) -> FusionSettings:
        """What answers a task; titles_alone: where the queries are titles without a song."""
        return self.title_fusion if titles_alone and self.title_fusion is not None else self.fusion[task]

    def ranker_for(self, task: Task, titles_alone: bool) -> RankerChoice | None:
        """The learned ranker that answers; None where the weighted sum does."""
        choice = self.rankers.get(TITLE if titles_alone else task)
        return choice if choice is not None and choice.answers and choice.readable else None

    def answered_by(self, task: Task, titles_alone: bool = False) -> str:
        """Which of the two answers a task, and why, in words."""
        choice = self.rankers.get(TITLE if titles_alone else task)
        if choice is None:
            return "the weighted sum answers: there is no learned ranker for this"
        return choice.in_words()

    def add(self, name: str, chosen: "Chosen") -> None:
        """Note what was chosen for a source."""
        self.trials[name] = chosen.trials
        for task in TASKS:
            self.settings.setdefault(task, {})[name] = chosen.settings.get(task, {})
            self.validation.setdefault(task, {})[name] = chosen.reached.get(task, 0.0)


@dataclass
class Chosen:
    """One source's best settings by task, what they reached and answered, and the fits that they need."""

    settings: dict[Task, dict[str, Any]] = field(default_factory=dict)
    reached: dict[Task, float] = field(default_factory=dict)
    ranked: dict[Task, Ranked] = field(default_factory=dict)
    fits: dict[str, State] = field(default_factory=dict)
    trials: int = 0
    tried: list[tuple[dict[str, Any], dict[Task, float]]] = field(default_factory=list)
    "Settings, and what they reached."
    a_query: float = 0.0
    "Seconds that it takes to answer one query, in the mean over the trials."


def fit_key(name: str, settings: Mapping[str, Any]) -> str:
    """Names a fit: sources that differ only in settings at asking share it."""
    return f"{name}-{short_hash({key: value for key, value in settings.items() if key not in QUERY_SETTINGS})[:8]}"
