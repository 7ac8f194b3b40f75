"""`python -m encoders.train`: train one stage of the encoder on the workspace's catalogue and publish it."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from encoders.options import PresetOption, SettingsFile, TextEncoder, TrainOn, check_preset, check_stage, check_train_on

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    stage: Annotated[str, typer.Option(help="semantic (stage 1, audio and text) or preference (stage 2, listening).")],
    workspace: WorkspaceOption = "workspace",
    preset: PresetOption = None,
    text_encoder: TextEncoder = None,
    settings: SettingsFile = None,
    train_on: TrainOn = "split",
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint of an interrupted run.")] = True,
) -> None:
    """Train one stage; skipped where nothing has changed since the last time. `accelerate launch` shares it out."""
    wanted = check_stage(stage)
    check_preset(preset)
    check_train_on(train_on)
    from data.dataset import load_dataset
    from data.storage.workspace import Workspace
    from encoders.training import distributed
    from encoders.training.publish_stage import train_stage, trainings
    from encoders.training.recipe import choose_recipe

    space = Workspace(Path(workspace))
    distributed.join()
    with space.lock() if distributed.rank() == 0 else nullcontext():
        dataset, recipe = load_dataset(space), choose_recipe(space, preset, text_encoder, settings)
        for place, extent in trainings(space, train_on, dataset):
            if not resume and distributed.rank() == 0:
                place.discard_scratch(f"train-{wanted}")
            train_stage(place, dataset, wanted, recipe, extent)
            distributed.wait()
    say(f"Encoder in {space.encoder(wanted)}. Next: python -m encoders.embed --workspace {workspace}")


if __name__ == "__main__":
    run(app)
