"""Chooses the settings of each source for each task, and the fusion, on validation."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.split import Split
from recsys.candidates import CandidateSource, State
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings
from recsys.settings import TuningSettings
from recsys.tasks import ONLY_NEW, TASKS, HeldOut, Task, held_out
from recsys.tasks.accuracy import hits, ndcg
from recsys.tasks.targets import Targets
from recsys.tuning import search_space
from recsys.tuning.choices import Chosen, fit_key
from recsys.tuning.fusion_weights import tune_fusion
from recsys.tuning.optuna_search import run_trials

OBJECTIVE_AT = 100


def validation_questions(dataset: Dataset, split: Split, most: int) -> dict[Task, HeldOut]:
    """What settings or fusions are chosen on, for every task: a sample of at most so many queries."""
    return {task: held_out(dataset, split, task, "validation", max_queries=most) for task in TASKS}


def choose_settings(
    name: str,
    defaults: Mapping[str, Any],
    asked: Mapping[Task, HeldOut],
    source_of: Callable[[dict[str, Any], dict[str, State]], CandidateSource],
    tracks: int,
    progress: Callable[[], None],
    trials: int,
    depth: int,
    over: Callable[[], bool] = lambda: False,
    fits: Mapping[str, State] | None = None,
) -> Chosen:
    """The settings of the source's search space that reach the best NDCG@100 for each task.

    defaults: tried first. source_of: settings and fits so far -> a ready source; it adds its fit. depth:
    candidates it is asked for. over: asked before every trial but the first; none follows where it says so. fits: those
    there are already.
    """
    chosen = Chosen(fits=dict(fits or {}))
    asking = 0.0
    measured = [task for task, question in asked.items() if question.queries]
    known: dict[tuple[Any, ...], list[float]] = {}

    def evaluate(settings: dict[str, Any]) -> list[float]:
        """What they reach; a small space offers the same settings again."""
        drawn = tuple(settings.items())
        if drawn not in known:
            known[drawn] = measure(settings)
        progress()
        return known[drawn]

    def measure(settings: dict[str, Any]) -> list[float]:
        nonlocal asking
        fits = dict(chosen.fits)
        source = source_of(settings, fits)
        values = []
        reached: dict[Task, float] = {}
        for task, question in asked.items():
            started = time.monotonic()
            ranked = source.candidates(question.queries, depth)
            asking += time.monotonic() - started
            value = reached[task] = quality(ranked, question, tracks)
            if task not in chosen.reached or value > chosen.reached[task]:
                chosen.reached[task], chosen.ranked[task], chosen.settings[task] = value, ranked, settings
            if task in measured:
                values.append(value)
        chosen.tried.append((settings, reached))
        needed = {fit_key(name, settings) for settings in chosen.settings.values()}
        chosen.fits = {key: state for key, state in fits.items() if key in needed}
        return values

    space = search_space.SPACE[name]
    chosen.trials = run_trials(space, evaluate, len(measured), trials, defaults, over=over)
    for _ in range(chosen.trials, trials if space and measured else 1):
        progress()
    answers = len(chosen.tried) * sum(len(question.queries) for question in asked.values())
    chosen.a_query = asking / max(answers, 1)
    return chosen


def sharing_one_fit(name: str, chosen: Chosen) -> dict[Task, dict[str, Any]]:
    """The settings for each task where all tasks must do with one fit: the fit that keeps most of what each task's own
    best settings reach, in the mean over the tasks."""
    best: dict[str, dict[Task, tuple[float, dict[str, Any]]]] = {}
    for settings, reached in chosen.tried:
        of_fit = best.setdefault(fit_key(name, settings), {})
        for task, value in reached.items():
            if task not in of_fit or value > of_fit[task][0]:
                of_fit[task] = value, settings
    kept = {
        key: sum(value / (chosen.reached[task] or 1.0) for task, (value, _) in of_fit.items())
        for key, of_fit in best.items()
    }
    return {task: settings for task, (_, settings) in best[max(kept, key=lambda key: kept[key])].items()}


def choose_fusion(
    rankings: Mapping[str, Ranked], question: HeldOut, unplayed: NDArray[np.bool_], tuning: TuningSettings
) -> FusionSettings:
    """The fusion that is best on validation by NDCG@100, on all and on new songs; on all no worse than any source.

    Where a task wants none but new songs, the question is to be put among these: which of them a source ranks first
    depends on what else it may answer. They then have no weights of their own.
    """
    if question.task in ONLY_NEW:
        unplayed = np.zeros_like(unplayed)
    gain = target_gains(question.targets, unplayed, tuning.new_songs)
    _, settings = tune_fusion(rankings, question.targets, gain, unplayed, OBJECTIVE_AT, tuning)
    return settings


def quality(ranked: Ranked, question: HeldOut, tracks: int) -> float:
    """What settings are chosen by: NDCG@100."""
    if not question.queries:
        return 0.0
    found = hits(ranked, question.targets, OBJECTIVE_AT, tracks)
    return float(ndcg(found, question.targets.counts(), OBJECTIVE_AT).mean())


def target_gains(targets: Targets, unplayed: NDArray[np.bool_], new_songs: float) -> NDArray[np.float64]:
    """(targets, 2) what each target adds when it stands first: with a discount of 1 / log2(rank + 1) they sum up to
    `quality`, and to `new_songs` times that on the songs without a play.
    """
    value, new = np.stack([_shares(targets), np.zeros(len(targets.tracks))], axis=1), targets.restrict(unplayed)
    if 0 < new.nonempty().sum() < len(targets):
        value[unplayed[targets.tracks], 1] = new_songs * _shares(new)
    return value


def _shares(targets: Targets) -> NDArray[np.float64]:
    """1 / (queries that ask for anything * their ideal DCG@100) of every target."""
    ideal = np.cumsum(1 / np.log2(np.arange(2, OBJECTIVE_AT + 2)))
    counts = targets.counts()[targets.queries()]
    return np.asarray(1 / (ideal[np.minimum(counts, OBJECTIVE_AT) - 1] * targets.nonempty().sum()), np.float64)
