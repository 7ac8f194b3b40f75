"""`python -m recsys.build_index`: from a catalogue and its listening to a published index, step by step."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.errors import UserError, closest
from encoders.options import TRAIN_ON_HELP, PresetOption, SettingsFile, TextEncoder, check_preset, check_train_on

app = typer.Typer(add_completion=False, help=__doc__)
INDEX_HELP = (
    "auto (by the number of songs), exact, faiss-flat, faiss-hnsw, faiss-ivf or faiss-ivfpq; default: as asked for "
    "before, else auto."
)
RECALL_HELP = "Publish no index that finds less of the 100 nearest songs; default: as asked for before, else 0.95."
SPLIT_HELP = "time, or leave-last-out, which leaks the future; default: as recorded before, else time."
RETRAIN_HELP = "Train the encoders again where the data has changed since; without it they stay."
TUNE_HELP = "Choose the settings of sources, fusion and ranker again where the data has changed; without it they stay."


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    preset: PresetOption = None,
    text_encoder: TextEncoder = None,
    settings: SettingsFile = None,
    train_on: Annotated[str | None, typer.Option(help=f"{TRAIN_ON_HELP} Default: as built before, else split.")] = None,
    index: Annotated[str | None, typer.Option(help=INDEX_HELP)] = None,
    min_recall: Annotated[float | None, typer.Option(min=0, max=1, help=RECALL_HELP)] = None,
    split: Annotated[str | None, typer.Option(help=SPLIT_HELP)] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help=RETRAIN_HELP)] = False,
    tune: Annotated[bool, typer.Option("--tune", help=TUNE_HELP)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a build would do, and do nothing.")] = False,
) -> None:
    """Build or bring up to date everything the recommender needs; an empty workspace gets the demo catalogue.

    When songs and listens came or went, encoders and settings stay, and what answers is swapped at the end.
    """
    check_preset(preset)
    if train_on is not None:
        check_train_on(train_on)
    from data.split import LEAKS, Method
    from data.storage.workspace import Workspace

    if split not in (None, *get_args(Method)):
        raise UserError(f'no split "{split}"{closest(split or "", get_args(Method))}', "Take time or leave-last-out.")
    from encoders.training.recipe import choose_recipe
    from recsys.pipeline import build, say_plan
    from recsys.settings import ProductSettings

    if split == "leave-last-out":
        say(f"leave-last-out: {LEAKS}.")
    space = Workspace(Path(workspace))
    product = None if settings is None else ProductSettings.from_toml(settings)
    if dry_run:
        say_plan(space, choose_recipe(space, preset, text_encoder, settings), train_on, product, retrain, tune)
        return
    with space.lock():
        recipe = choose_recipe(space, preset, text_encoder, settings)
        build(space, recipe, train_on, index, split, product, min_recall, retrain, tune)
    say(f"Index in {space.index}. Next: python -m recsys.recommend --workspace {workspace} --help")
    say(f"          or: python -m eval.run --task all --workspace {workspace}")


if __name__ == "__main__":
    run(app)
