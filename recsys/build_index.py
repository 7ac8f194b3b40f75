"""`python -m recsys.build_index`: from a catalogue and its listening to a published index, running whatever is missing.

prepare -> split -> mels, then what settings are chosen with: train stage 1 -> embed -> train stage 2 -> embed -> tune,
and with these settings what is published: stage 2 again -> embed -> models -> index. A step that is up to date is
skipped, one that was cut off goes on where it stopped.
"""

import time
from pathlib import Path
from typing import Annotated, get_args

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import done, say
from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.prepare import prepare_demo
from data.split import LEAKS, Method, Split, SplitSettings, ensure_split
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.load import STAGES
from encoders.encoding.mel_cache import ensure_mels
from encoders.train import TrainOn
from encoders.training.publish_stage import train_stage, trainings
from encoders.training.recipe import PresetOption, Recipe, SettingsFile, TextEncoder, choose_recipe
from recsys.fitted.fit import ensure_choices, ensure_models
from recsys.index.publishing import ensure_index

app = typer.Typer(add_completion=False, help=__doc__)
INDEX_HELP = "exact, faiss-flat, faiss-hnsw, faiss-ivf or faiss-ivfpq; default: as built before, else faiss-flat."
DEMO_NOTICE = (
    "No dataset in {root}: making the demo catalogue (simulated), training and tuning on it, about 10 minutes on 2 "
    "cores and 0.3 GB. Ctrl-C is safe, the next run goes on."
)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    source: Annotated[str, typer.Option(help="What to prepare where the workspace has no dataset; demo.")] = "demo",
    preset: PresetOption = None,
    text_encoder: TextEncoder = None,
    settings: SettingsFile = None,
    train_on: TrainOn = "split",
    index: Annotated[str | None, typer.Option(help=INDEX_HELP)] = None,
    split: Annotated[
        str | None,
        typer.Option(help="time, or leave-last-out, which leaks the future; default: as recorded before, else time."),
    ] = None,
) -> None:
    """Build or bring up to date everything the recommender needs."""
    space = Workspace(Path(workspace))
    if source != "demo":
        raise UserError(
            f'no source "{source}"', f"Other data: python -m data.prepare --help, then this with -w {workspace}"
        )
    if split not in (None, *get_args(Method)):
        raise UserError(f'no split "{split}"', f"Take {' or '.join(get_args(Method))}.")
    if split == "leave-last-out":
        say(f"leave-last-out: {LEAKS}.")
    with space.lock():
        build(space, choose_recipe(space, preset, text_encoder, settings), train_on, index, split)
    say(f"Index in {space.index}. Next: python -m recsys.recommend --workspace {workspace} --help")
    say(f"          or: python -m eval.run --task all --workspace {workspace}")


def build(
    workspace: Workspace,
    recipe: Recipe | None = None,
    train_on: str = "split",
    index: str | None = None,
    method: str | None = None,
) -> tuple[Dataset, Split]:
    """Run every step that is missing or out of date; the caller holds the workspace's lock. recipe: as built before."""
    recipe, places = recipe or choose_recipe(workspace, None, None), trainings(workspace, train_on)
    if read_manifest(workspace.dataset) is None:
        say(DEMO_NOTICE.format(root=workspace.root))
        started = time.monotonic()
        prepare_demo(workspace)
        done("catalogue", load_dataset(workspace).summary(), time.monotonic() - started)
    dataset = load_dataset(workspace)
    split = ensure_split(workspace, dataset, SplitSettings.model_validate({"method": method}) if method else None)
    started, cached = time.monotonic(), any(workspace.mels.glob("chunk-*.json"))
    mels = ensure_mels(workspace.mels, dataset)
    if not cached and mels.present.any():
        refused = f", {len(mels.rejects)} without audio" if mels.rejects else ""
        done("mel", f"{mels.present.sum():,} tracks{refused}", time.monotonic() - started)
    for place, extent in places:
        for stage in STAGES:
            train_stage(place, dataset, stage, recipe, extent)
            embed_stage(place, dataset, mels, stage)
        if extent == "train":
            ensure_choices(workspace, dataset, split)
        else:
            ensure_models(workspace, dataset, split, extent)
    started = time.monotonic()
    done("index", ensure_index(workspace, dataset, index), time.monotonic() - started)
    return dataset, split


if __name__ == "__main__":
    run(app)
