"""What rankers learn from: validation queries answered by sources of the training part, and once more by sources that
are kept from a share of the songs, as if these were new."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.reporting import logger
from data.split import Split
from data.storage.workspace import Workspace
from recsys.candidates import CandidateSource, State
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.store import song_facts
from recsys.fitted.tuning_data import TuningData
from recsys.line_up import HTCL_NAMES
from recsys.ranked import Ranked
from recsys.ranking.fusion import Proposals
from recsys.ranking.learned.features import SongFacts
from recsys.ranking.learned.forest import Forest
from recsys.ranking.learned.ranker import TITLE, RankerChoice
from recsys.settings import RankerSettings
from recsys.tasks import ONLY_NEW, UNTUNED, HeldOut, Task, held_out
from recsys.tuning.budget import Pace
from recsys.tuning.choices import Choices
from recsys.tuning.ranker_learning import Lesson, learn_ranker

log = logger(__name__)
RANKED: tuple[Task, ...] = ("next-song", "discovery", "playlist", "cold-start")
"""Tasks that a ranker is learned for."""
SHORT_SEEDS = (1, 3)
"""Songs given of each playlist, beside the first half and the title alone."""
SEED = 20260101


@dataclass(frozen=True)
class World:
    """Sources by task that were fitted on the same listening, and what is known of the songs from it."""

    sources: Callable[[Task], Mapping[str, CandidateSource]]
    songs: SongFacts
    hidden: NDArray[np.bool_]
    "(N,) songs that the sources were kept from, and that queries do not know either."


class Worlds(NamedTuple):
    """As it was, and as if a share of the songs were new; the latter is None where no share is."""

    real: World
    pretended: World | None


def worlds(
    tuning: Workspace, ground: TuningData, choices: Choices, fits: dict[str, State], names: Sequence[str]
) -> Worlds:
    """The named sources with the settings chosen, each fitted when it is first asked.

    tuning: where the encoder of the training part is. fits: of the training part, so far.
    """
    nobody = np.zeros(len(ground.dataset.track_ids), np.bool_)
    real = _world(tuning, ground, choices, fits, names, nobody)
    if not choices.ranker.kept_back:
        return Worlds(real, None)
    hidden = drawn_songs(ground.training, choices.ranker.kept_back)
    less = replace(ground, training=ground.training.without(hidden))
    return Worlds(real, _world(tuning, less, choices, {}, names, hidden))


def _world(
    tuning: Workspace,
    ground: TuningData,
    choices: Choices,
    fits: dict[str, State],
    names: Sequence[str],
    hidden: NDArray[np.bool_],
) -> World:
    learned = ground.likeness is not None

    def sources(task: Task) -> dict[str, CandidateSource]:
        chosen = choices.settings[task]
        asked = [name for name in names if name in chosen and (learned or name not in HTCL_NAMES)]
        return {name: ground.source(name, chosen[name], fits) for name in asked}

    return World(sources, song_facts(ground.dataset, play_counts(ground.training), tuning), hidden)


def learn_rankers(
    dataset: Dataset,
    split: Split,
    choices: Choices,
    known: Worlds,
    progress: Callable[[str], None],
    pace: Pace | None = None,
) -> tuple[dict[str, Forest], dict[str, RankerChoice]]:
    """Forests by the task they were learned for, and what was chosen for every task and for titles alone.

    pace: how many queries there is time for; None bounds nothing.
    """
    forests: dict[str, Forest] = {}
    chosen: dict[str, RankerChoice] = {}
    for task in RANKED:
        settings = choices.ranker if pace is None else _in_time(task, choices.ranker, known, pace)
        judged, others = _questions(dataset, split, task, settings)
        if settings.queries < settings.fewest:
            judged, others = {}, []
        lessons = {name: _lesson(question, choices, known.real, name == TITLE) for name, question in judged.items()}
        more = [_lesson(question, choices, known.real) for question in others]
        if known.pretended is not None and task in judged and lessons:
            question = judged[task]
            if task in ONLY_NEW:
                pretended = split.hiding(known.pretended.hidden)
                question = held_out(dataset, pretended, task, "validation", max_queries=settings.queries)
            more.append(_lesson(question, choices, known.pretended))
        sources = list(known.real.sources(task))
        if lessons:
            forest, said = learn_ranker(list(lessons.values()), more, sources, settings)
            chosen |= dict(zip(lessons, said, strict=False))
            if forest is not None:
                forests[task] = forest
        progress(task)
    return forests, chosen


def rounds(settings: RankerSettings, known: Worlds, tasks: Sequence[Task] = RANKED) -> float:
    """How often the queries of these tasks are answered by all sources."""
    related = [tuned for tuned in UNTUNED.values() if tuned in tasks]
    others = (1 + len(SHORT_SEEDS)) * ("playlist" in tasks)
    return (
        len(tasks) * (1 + (known.pretended is not None)) + others + len(related) * settings.related / settings.queries
    )


def _in_time(task: Task, settings: RankerSettings, known: Worlds, pace: Pace) -> RankerSettings:
    """The same with as many queries as there is time for."""
    queries = pace.queries(settings.queries, rounds(settings, known, [task]))
    if queries < settings.fewest:
        log.warning(f"  {task:<11} [tuning] minutes leave no time to learn a ranker: the weighted sum answers")
    return settings.model_copy(update={"queries": max(queries, 1), "related": min(settings.related, max(queries, 1))})


def drawn_songs(training: Dataset, share: float) -> NDArray[np.bool_]:
    """(N,) so many of the songs that training knows."""
    known = np.flatnonzero(play_counts(training) > 0)
    hidden = np.zeros(len(training.track_ids), np.bool_)
    hidden[np.random.default_rng([SEED, 3]).permutation(known)[: round(share * len(known))]] = True
    return hidden


def _questions(
    dataset: Dataset, split: Split, task: Task, settings: RankerSettings
) -> tuple[dict[str, HeldOut], list[HeldOut]]:
    """What a task's ranker is judged on, by the name it then answers, and what it learns from beside that."""

    def asked(task: Task, most: int, seeds: int | None = None) -> HeldOut:
        return held_out(dataset, split, task, "validation", seeds, most)

    judged: dict[str, HeldOut] = {task: asked(task, settings.queries)}
    others: Sequence[HeldOut] = []
    if task == "playlist":
        judged[TITLE] = asked(task, settings.queries, 0)
        others = [asked(task, settings.queries, seeds) for seeds in SHORT_SEEDS]
    for untuned, tuned in UNTUNED.items():
        if tuned == task:
            judged[untuned] = asked(untuned, settings.related)
    if not judged[task].queries:
        return {}, []
    found = {name: question for name, question in judged.items() if question.queries}
    return found, [question for question in others if question.queries]


def _lesson(question: HeldOut, choices: Choices, world: World, titles_alone: bool = False) -> Lesson:
    task: Task = UNTUNED.get(question.task, question.task)
    if task in ONLY_NEW:
        question = question.among(world.songs.plays == 0)
    queries = [query.without(world.hidden) for query in question.queries] if world.hidden.any() else question.queries
    depth = choices.ranking.depth
    rankings: dict[str, Ranked] = {
        name: source.candidates(queries, depth) for name, source in world.sources(task).items()
    }
    fusion = choices.fusion_for(task, titles_alone)
    taking_part = {name: rankings[name] for name in fusion.taking_part() if name in rankings}
    proposals = Proposals.gather(taking_part or rankings, fusion.method, world.songs.plays == 0)
    fused = proposals.ranked(fusion, depth)
    name = TITLE if titles_alone else question.task
    return Lesson.of(name, queries, question.targets, question.groups, fused, rankings, world.songs, choices.ranker)
