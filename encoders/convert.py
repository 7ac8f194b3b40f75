"""`python -m encoders.convert`: original HTCL checkpoints into a model folder, and a model folder into checkpoints.

The published parts are five files in one folder, any of which may be missing: audio_model, text_model, audio_mlp,
text_mlp and fusion_mlp, each .safetensors or a weights-only .pt or .pth.
"""

from pathlib import Path
from typing import Annotated

import typer

from data.console.command import run
from data.console.progress import say
from data.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder to write; it must be empty or new.")],
    published: Annotated[Path | None, typer.Option(help="Folder of published parts, to become a model folder.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder, to become published parts.")] = None,
    config: Annotated[Path | None, typer.Option(help="config.json of another size; default the paper's.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of the text tower, whose tokenizer goes along.")
    ] = None,
) -> None:
    """Convert in the one direction or the other."""
    if (published is None) == (model is None):
        raise UserError("give either --published FOLDER or --model FOLDER")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "Give a new folder.")
    from encoders.model.original_weights import PARTS
    from encoders.model_folders import from_published, to_published

    if published is not None:
        parts = from_published(published, out, config, tokenizer)
        say(f"{', '.join(parts)} -> {out}. Next: HtclModel.from_pretrained({str(out)!r})")
        missing = [part for part in PARTS if part not in parts]
        if missing:
            say(f"  {', '.join(missing)} missing: fresh weights there, which know nothing")
    if model is not None:
        to_published(model, out)
        say(f"{len(PARTS)} parts -> {out}")


if __name__ == "__main__":
    run(app)
