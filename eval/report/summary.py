"""Who wins, by how much, and is it more than chance? One or two sentences a task, from the paired tests alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.report.figures import (
    HEADLINE,
    by_mean,
    is_baseline,
    measured,
    metric_label,
    number,
    told,
)
from eval.results.task_result import TaskResult
from eval.results.terminal import in_words, p_value

SLICES = {
    "": "Over all queries",
    "warm/": "On songs that the models know",
    "cold/": "On songs new to the models",
    "hidden/": "On the songs hidden from the models",
}
NO_DIFFERENCE = "no difference shown"


def summary(result: TaskResult) -> list[str]:
    """Sentences on all queries, on warm, cold and hidden songs, as far as they were measured."""
    if result["task"] == "semantic":
        return _semantic(result)
    queries = result["protocol"]["queries"]
    sentences = []
    if hidden := result["protocol"].get("hidden"):
        sentences.append(f"{in_words(hidden)}, were hidden from every model")
    for prefix, where in SLICES.items():
        same_as_all = bool(prefix) and queries.get(prefix) == queries.get("all") and len(queries) == 2
        if same_as_all:
            sentences.append(f"All wanted songs are {prefix.rstrip('/')} ones")
        elif by_mean(result, f"{prefix}{HEADLINE}"):
            sentences.append(f"{where}, {verdict(result, f'{prefix}{HEADLINE}')}")
    return sentences


def verdict(result: TaskResult, metric: str) -> str:
    """Who is ahead by a metric and whether the paired test against the best baseline shows it.

    A lead is called a win only where the test, adjusted for the family, says so.
    """
    ranking = by_mean(result, metric)
    best = ranking[0]
    value = f"{metric_label(metric)} {_told(result, best, metric)}"
    tests = {test["model"]: test for test in result["tests"] if test["metric"] == metric}
    if not tests:
        return f"{best} has the highest mean, {value}; nothing was tested against it"
    if best in tests:
        test = tests[best]
        against = f"{test['baseline']}, the best baseline"
        if test["verdict"] == NO_DIFFERENCE:
            return f"no difference shown: {best} has {value}, {_difference(test, against)}"
        return f"{best} wins with {value}: {_difference(test, against)}"
    ours = by_mean(result, metric, tests)[0]
    test = tests[ours]
    kind = "the baseline " if is_baseline(best) else ""
    if test["verdict"] == NO_DIFFERENCE:
        return f"no difference shown: {kind}{best} has {value}, {ours}, the best of ours, {_difference(test, 'it')}"
    return f"{kind}{best} wins with {value}; {ours}, the best of ours, has {_difference(test, 'it')}"


def _semantic(result: TaskResult) -> list[str]:
    sentences = []
    for metric, what in (
        ("text_to_audio_recall@10", "A text finds its own sound among the first ten"),
        ("probe_genre_accuracy", "A probe reads the genre"),
        ("probe_tags_roc_auc", "A probe tells tags"),
    ):
        spaces = [name for name in by_mean(result, metric) if name != "chance"]
        if not spaces:
            continue
        best = spaces[0]
        chance = measured(result, "chance", metric)
        beside = f" (chance {number(metric, chance.mean)})" if chance is not None else ""
        tests = [each for each in result["tests"] if (each["metric"], each["model"]) == (metric, best)]
        against = [f"{_difference(each, each['baseline'])}: {each['verdict']}" for each in tests]
        told_tests = f"; {'; '.join(against)}" if against else ""
        sentences.append(
            f"{what} best in {best}: {metric_label(metric)} {_told(result, best, metric)}{beside}{told_tests}"
        )
    return [*sentences, *_cost(result.get("semantic_cost", {}))]


def _cost(cost: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """Which metrics stage 2 moved beyond their interval."""
    moved = [name for name, found in cost.items() if found["low"] > 0 or found["high"] < 0]
    if not cost:
        return []
    if not moved:
        return [f"Of {len(cost)} metrics, stage 2 moves none beyond its 95 % interval against stage 1 (not adjusted)"]
    changes = ", ".join(f"{metric_label(name)} {number(name, cost[name]['difference'], signed=True)}" for name in moved)
    return [f"Stage 2 against stage 1: {changes}; the other {len(cost) - len(moved)} intervals hold 0 (not adjusted)"]


def _told(result: TaskResult, model: str, metric: str) -> str:
    value = measured(result, model, metric)
    return "" if value is None else told(metric, value)


def _difference(test: Mapping[str, Any], against: str) -> str:
    """Such as `+0.009 [+0.005, +0.012] against item-knn (p < 0.001)`."""
    difference, low, high = (number(test["metric"], test[end], signed=True) for end in ("difference", "low", "high"))
    return f"{difference} [{low}, {high}] against {against} ({p_value(test['p_holm'])})"
