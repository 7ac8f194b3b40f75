"""An evaluation's result on the terminal and as a JSON file."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.console.results import results_console
from data.storage.atomic_files import write_text
from data.storage.workspace import Workspace
from eval.metrics.registry import semantic_kind
from eval.results.per_query import PerQuery, save_per_query
from eval.results.task_result import TaskResult
from eval.results.terminal import cost_lines, gain_line, new_songs_table, repeats_table, result_table, test_lines
from recsys.fitted.store import FittedSources
from recsys.tasks import Task, tuned_for

GAIN_SHOWN = ("recall@20", "recall@100", "ndcg@100", "ndcg@500", "cold/recall@100", "cold/ndcg@100")


def write_report(
    space: Workspace,
    task: str,
    results: TaskResult | list[TaskResult],
    also: Path | None,
    per_query: Mapping[str, PerQuery] | None = None,
) -> Path:
    """A JSON file per evaluation below reports/, and a copy where the user wants one; values per query beside each."""
    content = {"tasks": results} if isinstance(results, list) else results
    report = space.reports / f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    for path in (report, *([also] if also is not None else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".npz")
        if per_query:
            save_per_query(beside, per_query)
        told = {**content, "per_query": beside.name} if per_query else content
        write_text(path, json.dumps(told, indent=1, ensure_ascii=False))
    return also or report


def chosen_on_validation(fitted: FittedSources, task: Task) -> dict[str, Any]:
    """What validation chose for a task, or for the nearest that is tuned, as it goes into JSON."""
    tuned, choices = tuned_for(task), fitted.choices
    ranker = choices.rankers.get(task)
    return {
        "settings": choices.settings[tuned],
        "fusion": choices.fusion[tuned].model_dump(),
        "ndcg@100": choices.validation.get(tuned, {}),
        "ranker": None if ranker is None else ranker.model_dump(),
    }


def show(result: TaskResult, columns: Sequence[str], headlines: Sequence[str]) -> None:
    """A result as a table, its protocol and its headline tests."""
    console = results_console()
    shown = [name for name in columns if any(name in found for found in result["models"].values())]
    console.print()
    console.print(result_table(result, shown))
    protocol = result["protocol"]
    counts = ", ".join(f"{count:,} {kind.rstrip('/')}" for kind, count in protocol["queries"].items())
    console.print(f"Protocol: {protocol['text']}.", markup=False, soft_wrap=True)
    if "fitted" in protocol:
        console.print(f"Models: {protocol['fitted']}.", markup=False, soft_wrap=True)
    for note in protocol.get("notes", []):
        console.print(f"Note: {note}.", markup=False, soft_wrap=True)
    console.print(f"Queries: {counts}. Catalogue: {protocol['catalogue']:,} tracks.", markup=False, soft_wrap=True)
    if (of_new := new_songs_table(result)) is not None:
        console.print(of_new)
    if "repeats" in result:
        console.print(repeats_table(result["repeats"], shown))
    costs = [name for name in result.get("semantic_cost", {}) if name in shown or semantic_kind(name) == "probes"]
    headline = [test for test in result["tests"] if test["metric"] in headlines]
    for line in [*test_lines(headline), *cost_lines(result, costs), *gain_line(result, GAIN_SHOWN)]:
        console.print(line, markup=False, soft_wrap=True)
