"""`python -m eval.run`: how good is it? Held-out listening, full ranking, intervals, tests, a table and a JSON file."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.dataset import Dataset, is_ordered
from data.errors import UserError
from data.split import Split
from data.storage.workspace import Manifest, Workspace, read_manifest, write_text
from encoders.encoding.vector_files import read_vectors
from encoders.pretrained.audio_model import ExternalModel
from encoders.training.stages import STAGES
from eval.line_up import DEFAULT, chosen_names, line_up
from eval.measure import measure, refuse_leaks
from eval.metrics.curves import SEED_QUERIES, over_seeds
from eval.new_songs_only import among_new, answering_with_new
from eval.results.comparison import compare, lines, name_of, read_report
from eval.results.per_query import PerQuery, save_per_query
from eval.results.terminal import cost_lines, gain_line, repeats_table, result_table, test_lines
from eval.semantic.cross_validation import folds as cross_validation
from eval.semantic.embeddings import open_externals, spaces_of
from eval.semantic.measure import COLUMNS as SEMANTIC_COLUMNS
from eval.semantic.measure import Fold, measure_semantic
from eval.training_variance import ensure_repeats, measure_repeats
from recsys.build_index import build
from recsys.fitted.fit import ensure_baselines
from recsys.fitted.store import BASELINES, Models, load_models
from recsys.index.publishing import read_index
from recsys.tasks import NEEDS_ORDER, SCENARIOS, TASKS, UNTUNED, Scenario, Task, held_out, scenario, tuned_for

app = typer.Typer(add_completion=False, help=__doc__)

SCENARIO_QUERIES = 1000
"""Playlists of each scenario, as in the challenge."""
HEADLINES = ("ndcg@100", "cold/ndcg@100")
"""The tests that are printed; all of them are in the report."""

COLUMNS: dict[Task, list[str]] = {
    "next-song": ["recall@20", "ndcg@100", "mrr@20", "discovery/recall@20", "cold/recall@20"],
    "discovery": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
    "playlist": ["recall@100", "ndcg@100", "r_precision", "clicks", "cold/recall@100"],
    "cold-start": ["recall@20", "recall@100", "ndcg@100", "mrr@20"],
    "session": ["recall@20", "ndcg@100", "mrr@20", "discovery/recall@20", "cold/recall@20"],
    "cold-user": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
    "new-user": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
}
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
GAIN_SHOWN = ("recall@20", "recall@100", "ndcg@100", "ndcg@500", "cold/recall@100", "cold/ndcg@100")
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
        result["chosen_on_validation"] = chosen(fitted, question.task)
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


def ready(space: Workspace, names: Sequence[str] = DEFAULT) -> tuple[Dataset, Split, Models]:
    """Everything an evaluation of these models reads, built where it is missing.

    Raises UserError where it saw the test part.
    """
    baselines = [name for name in names if name in BASELINES]
    with space.lock():
        refuse_production(space)
        dataset, split = build(space)
        ensure_baselines(space, dataset, split, baselines)
    index, manifest = read_index(space, dataset)
    fitted = load_models(space, dataset, index, baselines)
    refuse_leaks({**trained_things(space), "models": fitted.manifest, "index": manifest}, split)
    return dataset, split, fitted


def has_features(space: Workspace) -> bool:
    """Whether its dataset, which may have to be made yet, comes with precomputed features; the demo does not."""
    manifest = read_manifest(space.dataset)
    return manifest is not None and bool(manifest.facts["rows"]["features"])


def answerable(space: Workspace, asked: str, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Those of the tasks that mean something on its dataset. Raises UserError where the one asked for does not."""
    manifest = read_manifest(space.dataset)
    if manifest is None or is_ordered(manifest):
        return tasks
    senseless = [task for task in tasks if task in NEEDS_ORDER]
    if asked in senseless:
        left = [task for task in get_args(Task) if task not in NEEDS_ORDER]
        raise UserError(
            f"{asked} needs the order of plays, and that of the dataset ({manifest.facts['importer']}) is drawn",
            f"Take {', '.join(left)} or semantic.",
        )
    for task in senseless:
        say(f"{task}: skipped, the order of plays in the dataset ({manifest.facts['importer']}) is drawn.")
    return tuple(task for task in tasks if task not in senseless)


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


def write_report(
    space: Workspace, task: str, results: Any, also: Path | None, per_query: Mapping[str, PerQuery] | None = None
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


def chosen(fitted: Models, task: Task) -> dict[str, Any]:
    """What validation chose for a task, or for the nearest that is tuned, as it goes into JSON."""
    task = tuned_for(task)
    return {
        "settings": fitted.choices.settings[task],
        "fusion": fitted.choices.fusion[task].model_dump(),
        "ndcg@100": fitted.choices.validation.get(task, {}),
    }


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


def show(result: dict[str, Any], columns: Sequence[str], headlines: Sequence[str]) -> None:
    """A result as a table, its protocol and its headline tests."""
    console = Console(width=None if Console().is_terminal else 110, highlight=False)
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
    if "repeats" in result:
        console.print(repeats_table(result["repeats"], shown))
    costs = [name for name in result.get("semantic_cost", {}) if name in shown or name.startswith("probe_")]
    headline = [test for test in result["tests"] if test["metric"] in headlines]
    for line in [*test_lines({"tests": headline}), *cost_lines(result, costs), *gain_line(result, GAIN_SHOWN)]:
        console.print(line, markup=False, soft_wrap=True)


def _what_next(workspace: str, task: str, report: Path) -> None:
    where = "" if workspace == "workspace" else f" --workspace {workspace}"
    out = Console(width=None if Console().is_terminal else 110, highlight=False, soft_wrap=True)
    out.print(f"\nReport: {report}", markup=False)
    other = "python -m recsys.recommend --user USER" if task == "all" else "python -m eval.run --task all"
    out.print(f"Next:   python -m eval.report {report}{where}\n        {other}{where}", markup=False)


if __name__ == "__main__":
    run(app)
