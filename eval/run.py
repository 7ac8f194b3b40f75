"""`python -m eval.run`: how good is it? Held-out listening, full ranking, intervals, tests, a table and a JSON file."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from data.command import WorkspaceOption, run
from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.progress import say
from data.split import Split, ensure_split
from data.workspace import Manifest, Workspace, read_manifest, write_text
from encoders.external import ExternalModel
from encoders.stages import STAGES
from eval.measure import measure, refuse_leaks
from eval.models import check_names, line_up
from eval.semantic import COLUMNS as SEMANTIC_COLUMNS
from eval.semantic import measure_semantic
from eval.spaces import open_externals, spaces_of
from eval.table import cost_lines, gain_line, result_table, test_lines
from recsys.build_index import build
from recsys.held_out import TASKS, HeldOut, Task, held_out
from recsys.models import Models, load_models
from recsys.published_index import read_index

app = typer.Typer(add_completion=False, help=__doc__)

HEADLINES = ("ndcg@100", "cold/ndcg@100")
"""The tests that are printed; all of them are in the report."""

COLUMNS: dict[Task, list[str]] = {
    "next-song": ["recall@20", "ndcg@100", "mrr@20", "discovery/recall@20", "cold/recall@20"],
    "discovery": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
    "playlist": ["recall@100", "ndcg@100", "r_precision", "clicks", "cold/recall@100"],
    "cold-start": ["recall@20", "recall@100", "ndcg@100", "mrr@20"],
}
GAIN_SHOWN = ("recall@20", "recall@100", "ndcg@100", "ndcg@500", "cold/recall@100", "cold/ndcg@100")
SEMANTIC_HEADLINES = ("text_to_audio_recall@10", "probe_genre_accuracy", "probe_album_accuracy")


@app.command()
def main(
    task: Annotated[str, typer.Option(help="next-song, playlist, cold-start, discovery, semantic or all.")] = "all",
    workspace: WorkspaceOption = "workspace",
    models: Annotated[str | None, typer.Option(help="Only these, comma-separated; default all nine.")] = None,
    seeds: Annotated[int | None, typer.Option(min=0, help="Songs given of a playlist; 0 = title only.")] = None,
    max_queries: Annotated[int, typer.Option(min=1, help="Random sample of the queries beyond this many.")] = 5000,
    external: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a transformers audio model, measured under semantic; repeatable."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
) -> None:
    """Measure every model on held-out listening. Builds whatever the workspace lacks first."""
    if task not in (*get_args(Task), "semantic", "all"):
        raise UserError(f'no task "{task}"', f"Take {', '.join(TASKS)}, semantic or all.")
    tasks: tuple[Task, ...] = tuple(one for one in TASKS if task in (one, "all"))
    names = [name.strip() for name in models.split(",")] if models else None
    check_names(names or [])
    if external and task not in ("semantic", "all"):
        raise UserError(f"--external is not measured by --task {task}", "Take --task semantic.")
    externals = open_externals(external or [])
    space = Workspace(Path(workspace))
    dataset, split, fitted = ready(space)
    questions = {one: held_out(dataset, split, one, "test", seeds, max_queries) for one in tasks}
    results = []
    for one, question in questions.items():
        if not question.queries and task == "all":
            say(f"{one}: skipped, the dataset has nothing of the kind.")
            continue
        results.append(_measured(dataset, split, fitted, one, question, names))
    if task in ("semantic", "all"):
        results += _measured_semantic(space, dataset, split, externals, asked_for=task == "semantic")
    report = write_report(space, task, results if task == "all" else results[0], json_file)
    _what_next(workspace, task, report)


def ready(space: Workspace) -> tuple[Dataset, Split, Models]:
    """Everything an evaluation reads, built where it is missing. Raises UserError where it saw the test part."""
    with space.lock():
        refuse_production(space)
        build(space)
    dataset = load_dataset(space)
    split = ensure_split(space, dataset)
    index, manifest = read_index(space, dataset)
    fitted = load_models(space, dataset, index)
    refuse_leaks({**trained_things(space), "models": fitted.manifest, "index": manifest}, split)
    return dataset, split, fitted


def trained_things(space: Workspace) -> dict[str, Manifest]:
    """The manifests of the published encoders and vectors."""
    folders = {f"encoder of stage {at}": space.encoder(stage) for at, stage in enumerate(STAGES, start=1)}
    folders |= {f"vectors of stage {at}": space.vectors(stage) for at, stage in enumerate(STAGES, start=1)}
    return {name: found for name, folder in folders.items() if (found := read_manifest(folder)) is not None}


def refuse_production(space: Workspace) -> None:
    """A workspace trained on all data is not silently trained again: that would take the production index away."""
    for name, manifest in trained_things(space).items():
        if (manifest.trained_on or {}).get("part") == "all":
            raise UserError(
                f"the {name} in {space.root} was trained on all data and has seen the test part",
                "Run python -m recsys.build_index --train-on split there, or measure in another --workspace.",
            )


def write_report(space: Workspace, task: str, results: Any, also: Path | None) -> Path:
    """One JSON file per evaluation below reports/, and a copy where the user wants one."""
    content = {"tasks": results} if isinstance(results, list) else results
    text = json.dumps(content, indent=1, ensure_ascii=False)
    space.reports.mkdir(parents=True, exist_ok=True)
    report = space.reports / f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    write_text(report, text)
    if also is not None:
        also.parent.mkdir(parents=True, exist_ok=True)
        write_text(also, text)
    return also or report


def _measured(
    dataset: Dataset, split: Split, fitted: Models, task: Task, question: HeldOut, names: list[str] | None
) -> dict[str, Any]:
    result = measure(dataset, split, question, line_up(fitted, task, names))
    result["chosen_on_validation"] = {
        "settings": fitted.choices.settings[task],
        "fusion": fitted.choices.fusion[task].model_dump(),
        "ndcg@100": fitted.choices.validation.get(task, {}),
    }
    show(result, COLUMNS[task], HEADLINES)
    return result


def _measured_semantic(
    space: Workspace, dataset: Dataset, split: Split, externals: Sequence[ExternalModel], asked_for: bool
) -> list[dict[str, Any]]:
    try:
        result = measure_semantic(dataset, split, spaces_of(space, dataset, externals))
    except UserError as error:
        if asked_for:
            raise
        say(f"semantic: skipped, {error}")
        return []
    show(result, SEMANTIC_COLUMNS, SEMANTIC_HEADLINES)
    return [result]


def show(result: dict[str, Any], columns: Sequence[str], headlines: Sequence[str]) -> None:
    """A result as a table, its protocol and its headline tests."""
    console = Console(width=None if Console().is_terminal else 110, highlight=False)
    shown = [name for name in columns if any(name in found for found in result["models"].values())]
    console.print()
    console.print(result_table(result, shown))
    protocol = result["protocol"]
    counts = ", ".join(f"{count:,} {kind.rstrip('/')}" for kind, count in protocol["queries"].items())
    console.print(f"Protocol: {protocol['text']}.", markup=False, soft_wrap=True)
    for note in protocol.get("notes", []):
        console.print(f"Note: {note}.", markup=False, soft_wrap=True)
    console.print(f"Queries: {counts}. Catalogue: {protocol['catalogue']:,} tracks.", markup=False, soft_wrap=True)
    headline = [test for test in result["tests"] if test["metric"] in headlines]
    for line in [*test_lines({"tests": headline}), *cost_lines(result, shown), *gain_line(result, GAIN_SHOWN)]:
        console.print(line, markup=False, soft_wrap=True)


def _what_next(workspace: str, task: str, report: Path) -> None:
    where = "" if workspace == "workspace" else f" --workspace {workspace}"
    out = Console(width=None if Console().is_terminal else 110, highlight=False, soft_wrap=True)
    out.print(f"\nReport: {report}", markup=False)
    other = "python -m recsys.recommend --user USER" if task == "all" else "python -m eval.run --task all"
    out.print(f"Next:   python -m eval.report {report}{where}\n        {other}{where}", markup=False)


if __name__ == "__main__":
    run(app)
