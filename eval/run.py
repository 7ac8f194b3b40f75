"""`python -m eval.run`: how good is it? Held-out listening, full ranking, intervals, tests, a table and a JSON file."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from data.console.command import WorkspaceOption, run
from data.errors import UserError, closest
from recsys.tasks.names import NEEDS_ORDER, SCENARIOS, TASKS, Scenario, Task

app = typer.Typer(add_completion=False, help=__doc__)

KNOWN = (*get_args(Task), "semantic", "all")
HIDDEN_BY = ("song", "artist")
TASK_HELP = (
    f"{', '.join(KNOWN[:-1])} or all, which is {', '.join(TASKS)} and semantic. Where nobody knows the order of plays, "
    f"{', '.join(NEEDS_ORDER)} are not asked."
)
SCENARIO_HELP = f"Of RecSys Challenge 2018, for playlist: {', '.join(one.name for one in SCENARIOS)} or all."
MODELS_HELP = "Only these, comma-separated, or all; default those that the product is made of."
EXTERNAL_HELP = "Folder of a transformers audio model, measured under semantic; repeatable."
FOLDS_HELP = "With --task semantic: cross-validate. Train N encoders, each without 1/N of the songs; measure all."
AMONG_NEW_HELP = 'Rank new songs only (no plays before the test), so that knowing "is new" gives no advantage.'
HIDE_HELP = (
    "Hide this share of the songs: fit every model again without their listening, then ask the same questions. The "
    "first time takes a training of both stages."
)
BY_HELP = "With --hide-songs: draw song, or artist with all their songs."
REPEATS_HELP = "Train what depends on a seed N times, and report how far the trainings lie apart."
SPACES_HELP = "Measure nothing; show what is tried for each model on validation, and how often."
COMPARE_HELP = "A.json,B.json: measure nothing; report what changed from A to B, and whether it is more than noise."


@app.command()
def main(
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "all",
    workspace: WorkspaceOption = "workspace",
    models: Annotated[str | None, typer.Option(help=MODELS_HELP)] = None,
    seeds: Annotated[int | None, typer.Option(min=0, help="Songs given of a playlist; 0 = title only.")] = None,
    scenario: Annotated[str | None, typer.Option(help=SCENARIO_HELP)] = None,
    max_queries: Annotated[int, typer.Option(min=1, help="Random sample of the queries beyond this many.")] = 5000,
    external: Annotated[list[Path] | None, typer.Option(help=EXTERNAL_HELP)] = None,
    new_only: Annotated[bool, typer.Option("--among-new", help=AMONG_NEW_HELP)] = False,
    hide_songs: Annotated[float | None, typer.Option(help=HIDE_HELP)] = None,
    by: Annotated[str | None, typer.Option(help=BY_HELP)] = None,
    folds: Annotated[int | None, typer.Option(min=2, max=50, help=FOLDS_HELP)] = None,
    repeats: Annotated[int, typer.Option(min=1, help=REPEATS_HELP)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
    compare: Annotated[str | None, typer.Option(help=COMPARE_HELP)] = None,
    spaces: Annotated[bool, typer.Option("--spaces", help=SPACES_HELP)] = False,
) -> None:
    """Measure every model on held-out listening. Builds whatever the workspace lacks first."""
    if compare is not None:
        files = _two_reports(compare)
        from eval.results.comparison import show_comparison

        show_comparison(*files, json_file)
        return
    if spaces:
        from eval.results.search_spaces import show_search_spaces

        show_search_spaces()
        return
    _check(task, external, new_only, repeats, folds)
    _check_hiding(task, hide_songs, by, repeats, external)
    scenarios = chosen_scenarios(task, scenario, seeds)
    from eval.line_up import chosen_names

    chosen_names(models)
    from data.storage.workspace import Workspace
    from eval.conditions.hidden_songs import Hiding
    from eval.evaluate import Evaluation, evaluate, say_what_next
    from eval.workspace_checks import has_features

    space = Workspace(Path(workspace))
    names = chosen_names(models, features=has_features(space))
    tasks: tuple[Task, ...] = TASKS if task == "all" else tuple(one for one in get_args(Task) if task == one)
    hiding = None if hide_songs is None else Hiding(hide_songs, "artist" if by == "artist" else "song")
    asked = Evaluation(
        task, tasks, names, scenarios, seeds, max_queries, new_only, repeats, external or [], folds, hiding
    )
    say_what_next(workspace, task, evaluate(space, asked, json_file))


def _check(task: str, external: list[Path] | None, new_only: bool, repeats: int, folds: int | None) -> None:
    """Raises UserError for an unknown task, and for flags that do not go with it."""
    if task not in KNOWN:
        raise UserError(f'no task "{task}"{closest(task, KNOWN)}', f"Take {', '.join(KNOWN[:-1])} or all.")
    if external and task not in ("semantic", "all"):
        raise UserError(f"--external is not measured by --task {task}", "Take --task semantic.")
    if new_only and (repeats > 1 or task == "semantic"):
        raise UserError("--among-new is about recommending by one training", "Leave out --repeats; not with semantic.")
    if folds is not None and task != "semantic":
        raise UserError("--folds trains the encoder again to measure what it knows", "Take it with --task semantic.")


def _check_hiding(task: str, share: float | None, by: str | None, repeats: int, external: list[Path] | None) -> None:
    """Raises UserError for a share that hides nothing or everything, and for flags that do not go with it."""
    if share is None:
        if by is not None:
            raise UserError("--by says what --hide-songs draws", "Give --hide-songs 0.2 as well.")
        return
    if not 0 < share < 1:
        raise UserError(f"--hide-songs takes a share between 0 and 1, not {share:g}", "Such as 0.2.")
    if by not in (None, *HIDDEN_BY):
        raise UserError(f'--by takes {" or ".join(HIDDEN_BY)}, not "{by}"')
    if repeats > 1 or external or task == "semantic":
        raise UserError("--hide-songs is about recommending by one training", "Leave out --repeats and semantic.")


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


def _two_reports(names: str) -> tuple[Path, Path]:
    files = [Path(name.strip()) for name in names.split(",") if name.strip()]
    if len(files) != 2:
        raise UserError(f"--compare takes two reports, not {len(files)}", "Give --compare A.json,B.json")
    return files[0], files[1]


if __name__ == "__main__":
    run(app)
