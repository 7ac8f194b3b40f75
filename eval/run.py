"""`python -m eval.run`: how good is it? Held-out listening, full ranking, intervals, tests, a table and a JSON file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.dataset import Dataset
from data.errors import UserError
from data.split import Split
from data.storage.atomic_files import write_text
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import read_vectors
from encoders.pretrained.audio_model import ExternalModel
from eval.line_up import chosen_names, line_up
from eval.measurement import measure
from eval.metrics.curves import SEED_QUERIES, over_seeds
from eval.metrics.registry import COLUMNS
from eval.new_songs_only import among_new, answering_with_new
from eval.results.comparison import compare, lines, name_of, read_report
from eval.results.per_query import PerQuery
from eval.results.show_and_write import chosen_on_validation, show, write_report
from eval.semantic.cross_validation import folds as cross_validation
from eval.semantic.embeddings import open_externals, spaces_of
from eval.semantic.measure import COLUMNS as SEMANTIC_COLUMNS
from eval.semantic.measure import Fold, measure_semantic
from eval.training_variance import ensure_repeats, measure_repeats
from eval.workspace_checks import answerable, has_features, ready
from recsys.fitted.store import Models
from recsys.tasks import NEEDS_ORDER, SCENARIOS, TASKS, UNTUNED, Scenario, Task, held_out, scenario, tuned_for

app = typer.Typer(add_completion=False, help=__doc__)

SCENARIO_QUERIES = 1000
"""Playlists of each scenario, as in the challenge."""
HEADLINES = ("ndcg@100", "cold/ndcg@100")
"""The tests that are printed; all of them are in the report."""

KNOWN = (*get_args(Task), "semantic", "all")
TASK_HELP = (
    f"{', '.join(KNOWN[:-1])} or all, which is {', '.join(TASKS)} and semantic. Where nobody knows the order of plays, "
    f"{', '.join(NEEDS_ORDER)} are not asked."
)
SCENARIO_HELP = f"Of RecSys Challenge 2018, for playlist: {', '.join(one.name for one in SCENARIOS)} or all."
FOLDS_HELP = (
    "With --task semantic: train the encoder so often, each time without another part of the songs; measure all."
)
AMONG_NEW_HELP = "Only songs nobody has played may be answered: nothing is gained by knowing that a song is new."
REPEATS_HELP = "Train what depends on a seed so many times, and say how far the trainings lie apart."
SEMANTIC_HEADLINES = ("text_to_audio_recall@10", "probe_genre_accuracy", "probe_album_accuracy")


@app.command()
def main(
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "all",
    workspace: WorkspaceOption = "workspace",
    models: Annotated[
        str | None,
        typer.Option(help="Only these, comma-separated, or all; default those that the product is made of."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=0, help="Songs given of a playlist; 0 = title only.")] = None,
    scenario_name: Annotated[str | None, typer.Option("--scenario", help=SCENARIO_HELP)] = None,
    max_queries: Annotated[int, typer.Option(min=1, help="Random sample of the queries beyond this many.")] = 5000,
    external: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a transformers audio model, measured under semantic; repeatable."),
    ] = None,
    new_only: Annotated[bool, typer.Option("--among-new", help=AMONG_NEW_HELP)] = False,
    folds: Annotated[int | None, typer.Option(min=2, max=50, help=FOLDS_HELP)] = None,
    repeats: Annotated[int, typer.Option(min=1, help=REPEATS_HELP)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
    two_reports: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", help="Measure nothing; tell what changed from report A to report B."),
    ] = None,
) -> None:
    """Measure every model on held-out listening. Builds whatever the workspace lacks first."""
    if two_reports is not None:
        _compare(*two_reports, json_file)
        return
    if task not in KNOWN:
        raise UserError(f'no task "{task}"', f"Take {', '.join(KNOWN[:-1])} or all.")
    tasks: tuple[Task, ...] = TASKS if task == "all" else tuple(one for one in get_args(Task) if task == one)
    scenarios = chosen_scenarios(task, scenario_name, seeds)
    space = Workspace(Path(workspace))
    names = chosen_names(models, features=has_features(space))
    if external and task not in ("semantic", "all"):
        raise UserError(f"--external is not measured by --task {task}", "Take --task semantic.")
    if new_only and (repeats > 1 or task == "semantic"):
        raise UserError("--among-new is about recommending by one training", "Leave out --repeats; not with semantic.")
    if folds is not None and task != "semantic":
        raise UserError("--folds trains the encoder again to measure what it knows", "Take it with --task semantic.")
    tasks = answerable(space, task, tasks)
    externals = open_externals(external or [])
    dataset, split, fitted = ready(space, names)
    others: list[Models] = []
    if tasks and repeats > 1:
        with space.lock():
            others = ensure_repeats(space, dataset, split, names, repeats)
    questions = [(held_out(dataset, split, one, "test", seeds, max_queries), "") for one in tasks if not scenarios]
    most = min(max_queries, SCENARIO_QUERIES)
    questions += [(scenario(dataset, split, "test", asked, most), asked.name) for asked in scenarios]
    vectors = read_vectors(space.vectors("preference"), "item", dataset)
    new = split.cold_before("test")
    results = []
    per_query: dict[str, PerQuery] = {}
    for question, name in questions:
        if new_only:
            question = among_new(question, new)
        if not question.queries and len(questions) > 1:
            say(f"{' '.join([question.task, name]).strip()}: skipped, the dataset has nothing of the kind.")
            continue
        line = line_up(fitted, question.task, names)
        if new_only:
            line = {one: answering_with_new(model, new) for one, model in line.items()}
        result, values = measure(dataset, split, question, line, vectors=vectors)
        if name:
            result["scenario"] = name
        elif question.task == "playlist" and seeds is None and not new_only:
            result["curves"]["seeds"] = over_seeds(dataset, split, line, min(max_queries, SEED_QUERIES))
        result["chosen_on_validation"] = chosen_on_validation(fitted, question.task)
        if others:
            columns = COLUMNS[question.task]
            result["repeats"] = measure_repeats(dataset, split, question, result["models"], others, columns)
        if question.task in UNTUNED:
            result["protocol"]["notes"] = [f"settings as validation chose them for {tuned_for(question.task)}"]
        show(result, COLUMNS[question.task], HEADLINES)
        results.append(result)
        per_query[name_of(result)] = values
    if not results and task not in ("semantic", "all"):
        raise UserError(f"nothing to measure for {task}: {dataset.summary()}", "Take another --task, or more data.")
    if task in ("semantic", "all"):
        results += _measured_semantic(space, dataset, split, externals, folds, asked_for=task == "semantic")
    single = task != "all" and len(questions) <= 1
    report = write_report(space, task, results[0] if single else results, json_file, per_query)
    _what_next(workspace, task, report)


def chosen_scenarios(task: str, name: str | None, seeds: int | None) -> tuple[Scenario, ...]:
    """What --scenario asks for. Raises UserError for an unknown name, or where the task is not playlist."""
    if name is None:
        return ()
    if task != "playlist" or seeds is not None:
        raise UserError("--scenario says what is given of playlists", "Take it with --task playlist, without --seeds.")
    found = tuple(one for one in SCENARIOS if name in (one.name, "all"))
    if not found:
        raise UserError(f'no scenario "{name}"', f"There are {', '.join(one.name for one in SCENARIOS)}; or take all.")
    return found


def _compare(a: Path, b: Path, json_file: Path | None) -> None:
    found = compare(read_report(a), read_report(b))
    out = Console(width=None if Console().is_terminal else 110, highlight=False, soft_wrap=True)
    for line in lines(found):
        out.print(line, markup=False)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(json_file, json.dumps(found, indent=1, ensure_ascii=False))


def _measured_semantic(
    space: Workspace,
    dataset: Dataset,
    split: Split,
    externals: Sequence[ExternalModel],
    count: int | None,
    asked_for: bool,
) -> list[dict[str, Any]]:
    try:
        if count is None:
            measured = [Fold(split.held_out_only, spaces_of(space.tuning, dataset, externals))]
        else:
            measured = list(cross_validation(space, dataset, split, count, externals))
        result = measure_semantic(dataset, split, measured)
    except UserError as error:
        if asked_for:
            raise
        say(f"semantic: skipped, {error}")
        return []
    show(result, SEMANTIC_COLUMNS, SEMANTIC_HEADLINES)
    return [result]


def _what_next(workspace: str, task: str, report: Path) -> None:
    where = "" if workspace == "workspace" else f" --workspace {workspace}"
    out = Console(width=None if Console().is_terminal else 110, highlight=False, soft_wrap=True)
    out.print(f"\nReport: {report}", markup=False)
    other = "python -m recsys.recommend --user USER" if task == "all" else "python -m eval.run --task all"
    out.print(f"Next:   python -m eval.report {report}{where}\n        {other}{where}", markup=False)


if __name__ == "__main__":
    run(app)
