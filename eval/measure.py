"""One task measured: rankings of every model against the held-out choices, per slice, with intervals and tests."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.progress import meter
from data.split import Split
from data.workspace import Manifest
from eval.metrics import DEPTH, all_metrics, lower_is_better
from eval.models import BASELINES, Model
from eval.statistics import bootstrap_intervals, compare_all
from recsys.held_out import HeldOut
from recsys.models import HTCL_NAMES
from recsys.quality import Targets
from recsys.ranked import Ranked

TESTED = ("ndcg@100", "recall@20")
GAINED = (*TESTED, "recall@100", "ndcg@500")
"""What stage 2 adds to stage 1 is told by these."""
Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Slice:
    """Targets of one kind: a prefix for its metrics, the targets, and which queries have any."""

    prefix: str
    targets: Targets
    asked: NDArray[np.bool_]


def refuse_leaks(trained: Mapping[str, Manifest], split: Split) -> None:
    """Raises UserError where something was trained on more than the training part of this very split."""
    for name, manifest in trained.items():
        seen = manifest.trained_on or {}
        if seen.get("part") != "split" or seen.get("split") != split.fingerprint:
            what = "all data" if seen.get("part") == "all" else "another split"
            raise UserError(
                f"the {name} was trained on {what} and has seen what this would test",
                "Run python -m recsys.build_index --train-on split, or measure in another --workspace.",
            )


def slices(question: HeldOut, split: Split) -> list[Slice]:
    """All targets, then cold and warm ones and, for listeners, repeats and discoveries, as far as there are any."""
    targets = question.targets
    cold = split.cold
    found = [("", targets), ("cold/", targets.restrict(cold)), ("warm/", targets.restrict(~cold))]
    if question.task == "next-song":
        single = np.ones(len(targets), np.bool_)
        by_kind = {"repeat/": question.repeats, "discovery/": ~question.repeats}
        found += [(prefix, _only(targets, single & kind)) for prefix, kind in by_kind.items()]
    return [Slice(prefix, part, part.nonempty()) for prefix, part in found if part.nonempty().any()]


def measure(
    dataset: Dataset,
    split: Split,
    question: HeldOut,
    models: Mapping[str, Model],
    resamples: int = 1000,
    baselines: Collection[str] = BASELINES,
) -> dict[str, Any]:
    """The result of one task as it goes into JSON; the best of the baselines is what the others are tested against.

    Raises UserError where the dataset asks nothing of the kind.
    """
    if not question.queries:
        raise UserError(
            f"nothing to measure for {question.task}: the held-out part of {dataset.summary()} has no such query",
            "Take another --task, or more data.",
        )
    started = time.monotonic()
    parts = slices(question, split)
    values: dict[str, Values] = {}
    seconds: dict[str, float] = {}
    with meter(question.task, len(models)) as progress:
        for name, model in models.items():
            begun = time.monotonic()
            ranked = model(question.queries, DEPTH)
            seconds[name] = round(time.monotonic() - begun, 3)
            values[name] = _values(ranked, parts, dataset)
            progress.advance(name)
    # A listener's queries resemble each other, so whole listeners are drawn; a playlist is one query.
    groups = {part.prefix: question.groups[part.asked] for part in parts}
    intervals: dict[str, dict[str, Any]] = {name: {} for name in models}
    for name, found in values.items():
        for prefix, of_slice in groups.items():
            wanted = {metric: value for metric, value in found.items() if _prefix(metric) == prefix}
            intervals[name] |= bootstrap_intervals(wanted, groups=of_slice, resamples=resamples)
    return {
        "task": question.task,
        "dataset": describe(dataset),
        "protocol": {
            "text": question.protocol,
            "queries": {part.prefix or "all": int(part.asked.sum()) for part in parts},
            "targets": {part.prefix or "all": len(part.targets.tracks) for part in parts},
            "catalogue": len(dataset.track_ids),
            "depth": DEPTH,
            "intervals": f"95 % percentile bootstrap, {resamples} resamples of listeners (playlists)",
            "split": split.fingerprint,
        },
        "models": intervals,
        "tests": _tests(values, groups, baselines),
        "stage2_gain": _gain(values, groups),
        "seconds": round(time.monotonic() - started, 2),
        "seconds_per_model": seconds,
    }


def describe(dataset: Dataset) -> dict[str, Any]:
    """What the numbers were measured on."""
    facts = dataset.manifest.facts
    return {
        "name": facts.get("importer") or dataset.manifest.settings.get("importer", "unknown"),
        "simulated": dataset.simulated,
        "summary": dataset.summary(),
        "fingerprint": dataset.fingerprint,
    }


def _values(ranked: Ranked, parts: list[Slice], dataset: Dataset) -> Values:
    found: Values = {}
    for part in parts:
        of_slice = all_metrics(
            ranked.select(part.asked), part.targets.select(part.asked), dataset.artists, len(dataset.track_ids)
        )
        found |= {f"{part.prefix}{metric}": value for metric, value in of_slice.items()}
    return found


def _tests(
    values: Mapping[str, Values], groups: Mapping[str, NDArray[np.int64]], baselines: Collection[str]
) -> list[dict[str, Any]]:
    """The other models against the best baseline, for the headline metrics of every slice that all models have."""
    tests: list[dict[str, Any]] = []
    for prefix, of_slice in groups.items():
        if prefix and len(groups) == 2:
            continue  # all targets are of this one kind, and the comparison has been made
        for metric in TESTED:
            name = f"{prefix}{metric}"
            by_model = {model: found[name] for model, found in values.items()}
            compared = compare_all(
                by_model,
                metric=name,
                baselines=set(baselines),
                lower_is_better=lower_is_better(metric),
                groups=of_slice,
            )
            tests += [dict(row) for row in compared]
    return tests


def _gain(values: Mapping[str, Values], groups: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """What stage 2 adds to stage 1: metric -> a paired test; empty unless both are measured."""
    first, second = HTCL_NAMES
    if not {first, second} <= values.keys():
        return {}
    gain: dict[str, Any] = {}
    for prefix, of_slice in groups.items():
        for metric in (f"{prefix}{name}" for name in GAINED):
            stages = {name: values[name][metric] for name in (first, second)}
            (found,) = compare_all(stages, metric=metric, baselines={first}, groups=of_slice)
            gain[metric] = {key: found[key] for key in ("difference", "low", "high", "p", "verdict")}
    return gain


def _prefix(metric: str) -> str:
    return metric[: metric.rfind("/") + 1]


def _only(targets: Targets, queries: NDArray[np.bool_]) -> Targets:
    """The same queries, with the targets of some of them."""
    starts = targets.offsets
    nothing = targets.tracks[:0]
    return Targets.from_rows(
        [targets.tracks[starts[q] : starts[q + 1]] if queries[q] else nothing for q in range(len(targets))]
    )
