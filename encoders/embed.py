"""`python -m encoders.embed`: every song's audio, text and item vector from both stages, in blocks kept over a stop."""

from pathlib import Path

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from encoders.options import STAGES

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(workspace: WorkspaceOption = "workspace") -> None:
    """Embed the whole catalogue with every encoder that is there; what is up to date is skipped."""
    from data.dataset import load_dataset
    from data.storage.manifest import read_manifest
    from data.storage.workspace import Workspace
    from encoders.encoding.embed_catalogue import embed_stage
    from encoders.encoding.mel_cache import ensure_mels

    space = Workspace(Path(workspace))
    with space.lock():
        dataset = load_dataset(space)
        mels = ensure_mels(space.mels, dataset)
        for place in (space.tuning, space):
            for stage in STAGES:
                if read_manifest(place.encoder(stage)) is not None:
                    embed_stage(place, dataset, mels, stage)
    say(f"Vectors in {space.root / 'vectors'}. Next: python -m recsys.build_index --workspace {workspace}")


if __name__ == "__main__":
    run(app)
