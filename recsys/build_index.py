"""`python -m recsys.build_index`: from a catalogue and its listening to a published index, running whatever is missing.

prepare -> split -> mels -> train stage 1 -> embed -> train stage 2 -> embed -> models -> index. A step that is up to
date is skipped, one that was cut off goes on where it stopped.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from data.command import WorkspaceOption, run
from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.prepare import prepare_demo
from data.progress import done, say
from data.split import Split, ensure_split
from data.workspace import Workspace, read_manifest
from encoders.config import Preset
from encoders.embed import embed_stage
from encoders.features import ensure_mels
from encoders.stages import STAGES
from encoders.train import TextEncoder, TrainOn, check_preset, tower_fingerprint, train_stage
from recsys.models import ensure_models
from recsys.published_index import ensure_index

app = typer.Typer(add_completion=False, help=__doc__)
DEMO_NOTICE = (
    "No dataset in {root}: making the demo catalogue (simulated), training and tuning on it, about 5 minutes on 2 cores "
    "and 0.3 GB. Ctrl-C is safe, the next run goes on."
)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    source: Annotated[str, typer.Option(help="What to prepare where the workspace has no dataset; demo.")] = "demo",
    preset: Annotated[str | None, typer.Option(help="demo, small or paper; default: as built before, else demo.")] = None,
    text_encoder: TextEncoder = None,
    train_on: TrainOn = "split",
    index: Annotated[str, typer.Option(help="exact, faiss-flat, faiss-hnsw, faiss-ivf or faiss-ivfpq.")] = "faiss-flat",
) -> None:
    """Build or bring up to date everything the recommender needs."""
    space = Workspace(Path(workspace))
    if source != "demo":
        raise UserError(f'no source "{source}"', f"Other data: python -m data.prepare --help, then this with -w {workspace}")
    with space.lock():
        build(space, check_preset(preset) if preset else None, text_encoder, train_on, index)
    say(f"Index in {space.index}. Next: python -m recsys.recommend --workspace {workspace} --help")
    say(f"          or: python -m eval.run --task all --workspace {workspace}")


def build(
    workspace: Workspace,
    preset: Preset | None = None,
    text_encoder: Path | None = None,
    train_on: str = "split",
    index: str = "faiss-flat",
) -> tuple[Dataset, Split]:
    """Run every step that is missing or out of date; the caller holds the workspace's lock."""
    if text_encoder is not None:
        tower_fingerprint(text_encoder)  # a wrong folder is said before minutes are spent on decoding
    if read_manifest(workspace.dataset) is None:
        say(DEMO_NOTICE.format(root=workspace.root))
        started = time.monotonic()
        prepare_demo(workspace)
        done("catalogue", load_dataset(workspace).summary(), time.monotonic() - started)
    dataset = load_dataset(workspace)
    preset = preset or built_preset(workspace)
    split = ensure_split(workspace, dataset)
    started, cached = time.monotonic(), any(workspace.mels.glob("chunk-*.json"))
    mels = ensure_mels(workspace.mels, dataset)
    if not cached and mels.present.any():
        refused = f", {len(mels.rejects)} without audio" if mels.rejects else ""
        done("mel", f"{mels.present.sum():,} tracks{refused}", time.monotonic() - started)
    for stage in STAGES:
        train_stage(workspace, dataset, stage, preset, text_encoder, train_on)
        embed_stage(workspace, dataset, mels, stage)
    ensure_models(workspace, dataset, split, train_on)
    started = time.monotonic()
    done("index", ensure_index(workspace, dataset, index), time.monotonic() - started)
    return dataset, split


def built_preset(workspace: Workspace) -> Preset:
    """The preset of the encoder that is there; demo where none is."""
    manifest = read_manifest(workspace.encoder("semantic"))
    return check_preset(str(manifest.settings["preset"])) if manifest else "demo"


if __name__ == "__main__":
    run(app)
