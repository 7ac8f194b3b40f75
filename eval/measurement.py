"""One task measured: rankings of every model against the held-out choices, per slice, with intervals and tests."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.reporting import meter
from data.split import Split
from data.storage.manifest import Manifest
from encoders.encoding.vector_files import Vectors
from eval.metrics.beyond_accuracy import beyond
from eval.metrics.catalogue_facts import CatalogueFacts, QueryFacts
from eval.metrics.curves import CUTOFFS, over_k
from eval.metrics.metric import Metric
from eval.metrics.registry import METRICS, TESTED, all_metrics, lower_is_better
from eval.metrics.slices import EXPLAINED, HEADLINE, Slice, slices
from eval.models import Model
from eval.results.per_query import PerQuery
from eval.results.task_result import DatasetFacts, Protocol, TaskResult
from eval.statistics import Interval, adjust, bootstrap_intervals, compare_all
from recsys.line_up import HTCL_NAMES
from recsys.line_up import SOURCE_NAMES as BASELINES
from recsys.ranked import Ranked
from recsys.tasks import HeldOut
from recsys.tasks.accuracy import DEPTH

GAINED = (*TESTED, "recall@100", "ndcg@500")
"""The metrics that report what stage 2 adds to stage 1."""
HONEST = ("split", "train", "past")
"""Of what a manifest may say that a thing was trained on: whatever holds nothing of the test."""
FITTED = (
    "settings are chosen on validation with models of the training part; with them every model is then fitted again, "
    "validation folded in, so that all have seen the same past"
)
Values = dict[str, NDArray[np.float64]]


def refuse_leaks(trained: Mapping[str, Manifest], split: Split) -> None:
    """Raises UserError where something was trained on more than the data before this split's test."""
    for name, manifest in trained.items():
        seen = manifest.trained_on or {}
        if seen.get("part") not in HONEST or seen.get("split") != split.fingerprint:
            what = "all data" if seen.get("part") == "all" else "another split"
            raise UserError(
                f"the {name} was trained on {what} and has seen what this would test",
                "Run python -m recsys.build_index --train-on split, or measure in another --workspace.",
            )


def measure(
    dataset: Dataset,
    split: Split,
    question: HeldOut,
    models: Mapping[str, Model],
    resamples: int = 1000,
    baselines: Collection[str] = BASELINES,
    vectors: Vectors | None = None,
    fitted: str = FITTED,
    differ: bool = True,
) -> tuple[TaskResult, PerQuery]:
    """The result of one task as it goes into JSON, and what every query contributed to it.

    The best of the baselines is what the others are tested against. vectors: of the songs, for the diversity of the
    answers. fitted: what the models have seen, in words. differ: whether songs have vectors of their own; where they
    have not, or nothing was learned from, no model is called better than another. Raises UserError where the dataset
    asks nothing of the kind.
    """
    if not question.queries:
        raise UserError(
            f"nothing to measure for {question.task}: the held-out part of {dataset.summary()} has no such query",
            "Take another --task, or more data.",
        )
    started = time.monotonic()
    past = split.past(dataset)
    songs = CatalogueFacts.of(dataset, past, vectors, split.cold_before("test"))
    parts = slices(question, split, songs.plays)
    answers = _ask(
        question, models, parts, dataset, songs, QueryFacts.of(question.queries, question.targets, past), resamples
    )
    # A listener's queries resemble each other, so whole listeners are drawn; a playlist is one query.
    groups = {part.prefix: question.groups[part.asked] for part in parts}
    learned = not (past.listens.is_empty() and past.playlist_tracks.is_empty())
    tests = _tests(answers.values, groups, baselines) if learned and differ else []
    protocol = _protocol(question, parts, dataset, split, fitted, resamples, len(tests))
    protocol["notes"] = _notes(split, groups[""], learned, differ)
    result: TaskResult = {
        "task": question.task,
        "dataset": describe(dataset),
        "protocol": protocol,
        "models": {name: _intervals(found, groups, resamples) for name, found in answers.values.items()},
        "beyond": answers.beyond,
        "curves": answers.curves,
        "tests": tests,
        "stage2_gain": _gain(answers.values, groups) if learned and differ else {},
        "seconds": round(time.monotonic() - started, 2),
        "seconds_per_model": answers.seconds,
    }
    return result, PerQuery.of(dataset, question, parts, answers.values)


@dataclass(frozen=True)
class Answers:
    """What is kept of every model's answers: model -> values, beyond accuracy, seconds; and curves by metric."""

    values: dict[str, Values] = field(default_factory=dict)
    beyond: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=lambda: {"k": list(CUTOFFS), "recall": {}, "ndcg": {}})


def _ask(
    question: HeldOut,
    models: Mapping[str, Model],
    parts: list[Slice],
    dataset: Dataset,
    songs: CatalogueFacts,
    facts: QueryFacts,
    resamples: int,
) -> Answers:
    """Ask one model after the other; of its rankings only what they reach is kept."""
    answers = Answers()
    with meter(question.task, len(models)) as progress:
        for name, model in models.items():
            begun = time.monotonic()
            ranked = model(question.queries, DEPTH)
            answers.seconds[name] = round(time.monotonic() - begun, 3)
            answers.values[name] = values_of(ranked, parts, dataset)
            answers.beyond[name] = beyond(ranked, facts, songs, question.groups, resamples)
            for metric, points in over_k(ranked, question.targets, len(songs)).items():
                answers.curves[metric][name] = points
            progress.advance(name)
    return answers


def _intervals(found: Values, groups: Mapping[str, NDArray[np.int64]], resamples: int) -> dict[str, Interval]:
    """Mean and interval of each metric of one model. groups: prefix of a slice -> who asks its queries."""
    intervals: dict[str, Interval] = {}
    for prefix, of_slice in groups.items():
        wanted = {metric: value for metric, value in found.items() if Metric.parse(metric).prefix == prefix}
        intervals |= bootstrap_intervals(wanted, groups=of_slice, resamples=resamples)
    return intervals


def _protocol(
    question: HeldOut, parts: list[Slice], dataset: Dataset, split: Split, fitted: str, resamples: int, tests: int
) -> Protocol:
    """What is asked, of whom and of how many, and how sure the numbers are. tests: how many there are."""
    protocol: Protocol = {
        "text": question.protocol,
        "fitted": fitted,
        "queries": {part.prefix or "all": int(part.asked.sum()) for part in parts},
        "targets": {part.prefix or "all": len(part.targets.tracks) for part in parts},
        "listeners": {part.prefix or "all": len(np.unique(question.groups[part.asked])) for part in parts},
        "catalogue": len(dataset.track_ids),
        "depth": DEPTH,
        "intervals": f"95 % percentile bootstrap, {resamples} resamples of listeners (playlists)",
        "slices": EXPLAINED,
        "family": f"paired sign-flip tests; Holm over all {tests} of this task",
        "split": split.fingerprint,
    }
    if question.given == "seeds":
        protocol["seeds"] = question.seeds
    return protocol


def _notes(split: Split, groups: NDArray[np.int64], learned: bool, differ: bool) -> list[str]:
    """What readers must know of the numbers before they believe them."""
    notes = [str(split.manifest.facts["why"])] if "why" in split.manifest.facts else []
    if len(np.unique(groups)) == 1:
        notes.append("one listener is no sample: no intervals, no tests")
    if not learned:
        notes.append("nothing was learned from: the training part holds no play and no entry; nothing is compared")
    if not differ:
        notes.append("songs have no vectors of their own: no model is called better than another")
    return notes


def describe(dataset: Dataset) -> DatasetFacts:
    """What the numbers were measured on."""
    facts = dataset.manifest.facts
    return {
        "name": facts.get("importer") or dataset.manifest.settings.get("importer", "unknown"),
        "simulated": dataset.simulated,
        "summary": dataset.summary(),
        "fingerprint": dataset.fingerprint,
    }


def values_of(ranked: Ranked, parts: list[Slice], dataset: Dataset) -> Values:
    """What each query contributes: metric -> (queries of its slice,). parts: the first is of all targets."""
    found: Values = {}
    whole = parts[0].targets.counts()
    for part in parts:
        if part.prefix and np.array_equal(part.targets.counts()[part.asked], whole[part.asked]):
            # The slice leaves queries out, but asks those that are in for all their targets.
            of_slice = {metric: found[metric][part.asked] for metric in METRICS}
        else:
            of_slice = all_metrics(
                ranked.select(part.asked), part.targets.select(part.asked), dataset.artists, len(dataset.track_ids)
            )
        found |= {f"{part.prefix}{metric}": value for metric, value in of_slice.items()}
    return found


def _tested(groups: Mapping[str, NDArray[np.int64]]) -> list[str]:
    """The headline slices there are; a single one beside all targets is all of them, and would be tested twice."""
    kinds = [prefix for prefix in HEADLINE if prefix in groups]
    return [""] if len(kinds) == 2 else kinds


def _tests(
    values: Mapping[str, Values], groups: Mapping[str, NDArray[np.int64]], baselines: Collection[str]
) -> list[dict[str, Any]]:
    """The other models against the best baseline, by TESTED on every headline slice: one family for Holm."""
    tests = []
    for prefix in _tested(groups):
        for metric in TESTED:
            name = f"{prefix}{metric}"
            tests += compare_all(
                {model: found[name] for model, found in values.items()},
                metric=name,
                baselines=set(baselines),
                lower_is_better=lower_is_better(metric),
                groups=groups[prefix],
            )
    return [dict(row) for row in adjust(tests)]


def _gain(values: Mapping[str, Values], groups: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """What stage 2 adds to stage 1: metric -> a paired test; empty unless both are measured. A family of its own."""
    first, second = HTCL_NAMES
    if not {first, second} <= values.keys():
        return {}
    tests = []
    for prefix in _tested(groups):
        for metric in (f"{prefix}{name}" for name in GAINED):
            stages = {name: values[name][metric] for name in (first, second)}
            tests += compare_all(stages, metric=metric, baselines={first}, groups=groups[prefix])
    told = ("difference", "low", "high", "p", "p_holm", "verdict")
    return {test["metric"]: {key: test[key] for key in told} for test in adjust(tests)}  # type: ignore[literal-required]
