"""`python -m eval.run --compare A.json,B.json`: what changed between two runs, and whether it is more than noise.

Queries that both runs asked are paired; the difference is B minus A. Where a run kept no values per query the means are
shown and nothing is tested.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data.console.results import results_console
from data.errors import UserError
from data.storage.atomic_files import write_text
from eval.metrics.metric import Metric
from eval.metrics.registry import TESTED, lower_is_better, semantic_kind
from eval.results.per_query import PerQuery, load_per_query
from eval.results.task_result import TaskResult
from eval.results.terminal import label
from eval.statistics import Comparison, PairedTest, adjust, paired_tests

NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Report:
    """A report that was read: results by task, and their values per query as far as they were kept."""

    path: Path
    results: dict[str, TaskResult]
    per_query: dict[str, PerQuery]


def read_report(path: Path) -> Report:
    """Raises UserError where the file is no report of eval.run or its values per query are not beside it."""
    try:
        content = json.loads(path.read_text("utf-8"))
        results = {name_of(result): result for result in content.get("tasks", [content])}
        for result in results.values():
            result["models"], result["dataset"], result["protocol"]["text"]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no report of eval.run", "Take the file that --json wrote, or one below reports/."
        ) from error
    beside = content.get("per_query")
    if beside is None:
        return Report(path, results, {})
    file = path.with_name(Path(beside).name)
    if not file.is_file():
        raise UserError(f"{file} is missing: {path.name} keeps its values per query there", "Copy both files together.")
    return Report(path, results, load_per_query(file))


def name_of(result: TaskResult) -> str:
    """The task, and the scenario where there are several of one task."""
    return " ".join([str(result["task"]), *([str(result["scenario"])] if result.get("scenario") else [])])


def compare(a: Report, b: Report) -> dict[str, Any]:
    """What changed, as it goes into JSON: per task in both what differs around it and a row per model and metric.

    A row: {"model", "metric", "a", "b", "difference", "low", "high", "p", "p_holm", "verdict"}; of the queries
    that both asked. Holm runs over all rows of all tasks. Raises UserError where the runs have no task in common.
    """
    common = [task for task in a.results if task in b.results]
    if not common:
        raise UserError(
            f"{a.path.name} and {b.path.name} have no task in common",
            f"The one has {', '.join(a.results)}, the other {', '.join(b.results)}.",
        )
    tasks: list[dict[str, Any]] = []
    tested: list[Comparison] = []
    means: list[tuple[str, float, float]] = []
    for task in common:
        facts = circumstances(a.results[task], b.results[task])
        rows: list[dict[str, Any]] = []
        if task in a.per_query and task in b.per_query:
            pairs, shared = _paired(a.per_query[task], b.per_query[task])
            facts["queries"] = {"a": len(a.per_query[task].keys), "b": len(b.per_query[task].keys), "both": shared}
            tested += [test for test, _, _ in pairs]
            means += [(task, before, after) for _, before, after in pairs]
        else:
            rows = _untested(a.results[task], b.results[task])
        names = [list(report.results[task]["models"]) for report in (a, b)]
        facts["only_a"], facts["only_b"] = ([n for n in names[at] if n not in names[1 - at]] for at in (0, 1))
        tasks.append({"task": task, **facts, "rows": rows})
    by_task = {task["task"]: task for task in tasks}
    for test, (name, before, after) in zip(adjust(tested), means, strict=True):
        row = {key: value for key, value in test.items() if key != "baseline"}
        by_task[name]["rows"].append({**row, "a": before, "b": after})
    return {"a": str(a.path), "b": str(b.path), "family": len(tested), "tasks": tasks}


def circumstances(a: TaskResult, b: TaskResult) -> dict[str, Any]:
    """What two results of a task do not have in common beside the models, as sentences: {"changed"}."""
    changed = []
    for what, shown, fact in (
        ("the data differ", " (contents {} and {})", lambda result: result["dataset"].get("fingerprint")),
        ("the split differs", " (splits {} and {})", lambda result: result["protocol"].get("split")),
        ("the protocol differs", ": {} / {}", lambda result: result["protocol"].get("text")),
        ("what the models have seen differs", ": {} / {}", lambda result: result["protocol"].get("fitted")),
    ):
        one, other = fact(a), fact(b)
        if one != other:
            changed.append(what + shown.format(one, other))
    chosen = [result.get("chosen_on_validation", {}).get("settings", {}) for result in (a, b)]
    others = [name for name in chosen[0] if name in chosen[1] and chosen[0][name] != chosen[1][name]]
    if others:
        changed.append(f"validation chose other settings for {', '.join(others)}")
    return {"changed": changed}


def lines(comparison: Mapping[str, Any], headlines: Sequence[str] = ("ndcg@100",)) -> list[str]:
    """The comparison in sentences: circumstances, then what is more than noise, then the headline rows."""
    told = [f"A: {comparison['a']}", f"B: {comparison['b']}", f"Holm over {comparison['family']} tests, B minus A."]
    for task in comparison["tasks"]:
        told += ["", f"{task['task']}:"]
        told += [f"  not the same: {change}" for change in task["changed"]]
        if "queries" in task:
            count = task["queries"]
            told.append(f"  {count['both']:,} queries in both (A {count['a']:,}, B {count['b']:,})")
        for side in ("a", "b"):
            if task[f"only_{side}"]:
                told.append(f"  only in {side.upper()}: {', '.join(task[f'only_{side}'])}")
        shown = [r for r in task["rows"] if r["verdict"] in ("better", "worse") or r["metric"] in headlines]
        for row in shown:
            change = f"{row['a']:.3f} -> {row['b']:.3f}, {row['difference']:+.3f}"
            sure = (
                f" [{row['low']:+.3f}, {row['high']:+.3f}], p = {row['p_holm']:.3f} (Holm)" if "p_holm" in row else ""
            )
            told.append(f"  {row['model']}, {label(row['metric'])}: {change}{sure}: {row['verdict']}")
        silent = len(task["rows"]) - len(shown)
        if silent:
            told.append(
                f"  {silent} further rows: no difference shown" if "queries" in task else f"  {silent} further rows"
            )
    return told


def _paired(a: PerQuery, b: PerQuery) -> tuple[list[tuple[Comparison, float, float]], int]:
    """A test and both means per model and metric, on the queries that both asked; and how many these are."""
    _, in_a, in_b = np.intersect1d(a.keys, b.keys, return_indices=True)
    found = []
    for metric in (name for name in a.values if name in b.values and Metric.parse(name).plain in TESTED):
        prefix = Metric.parse(metric).prefix
        both = a.asked[prefix][in_a] & b.asked[prefix][in_b]
        if not both.any():
            continue
        rows_a, rows_b = ((np.cumsum(side.asked[prefix]) - 1)[rows[both]] for side, rows in ((a, in_a), (b, in_b)))
        before, after = (
            {model: side.values[metric][at, rows].astype(np.float64) for at, model in enumerate(side.models)}
            for side, rows in ((a, rows_a), (b, rows_b))
        )
        differences = {model: after[model] - before[model] for model in before if model in after}
        if not differences:
            continue
        tests = paired_tests(differences, groups=a.groups[in_a][both])
        found += [
            (_judged(metric, model, test), float(before[model].mean()), float(after[model].mean()))
            for model, test in tests.items()
        ]
    return found, len(in_a)


def _judged(metric: str, model: str, test: PairedTest) -> Comparison:
    """A test as if it were alone; `adjust` makes it one of a family."""
    up = (test["difference"] < 0) == lower_is_better(metric)
    verdict: Literal["better", "worse"] = "better" if up else "worse"
    return Comparison(metric=metric, model=model, baseline="", **test, p_holm=test["p"], verdict=verdict)


def _untested(a: TaskResult, b: TaskResult) -> list[dict[str, Any]]:
    rows = []
    for model, before in a["models"].items():
        after = b["models"].get(model, {})
        for metric in (name for name in before if name in after and _told(name)):
            pair = {"a": before[metric]["mean"], "b": after[metric]["mean"]}
            change = {"difference": pair["b"] - pair["a"], "verdict": NOT_TESTED}
            rows.append({"model": model, "metric": metric, **pair, **change})
    return rows


def _told(metric: str) -> bool:
    """Recommendation tasks are compared by their tested metrics, the semantic task by all of its metrics."""
    return Metric.parse(metric).plain in TESTED or semantic_kind(metric) is not None


def show_comparison(a: Path, b: Path, json_file: Path | None = None) -> None:
    """Print what changed from report `a` to report `b`, and write it as JSON where that is wanted."""
    found = compare(read_report(a), read_report(b))
    out = results_console(soft_wrap=True)
    for line in lines(found):
        out.print(line, markup=False)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_file, json.dumps(found, indent=1, ensure_ascii=False))
