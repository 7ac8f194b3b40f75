"""`python -m encoders.convert`: published HTCL checkpoints into a model folder, and a model folder into checkpoints.

The published parts are five files in one folder, any of which may be missing: audio_model, text_model, audio_mlp,
text_mlp and fusion_mlp, each .safetensors or a weights-only .pt or .pth.
"""

from pathlib import Path
from typing import Annotated

import typer
from safetensors.torch import save_file

from data.console.command import run
from data.console.progress import say
from data.errors import UserError
from encoders.htcl import HtclModel
from encoders.model.config import HtclConfig
from encoders.model.original_weights import PARTS, published_parts
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor
from encoders.model.text import load_text_tower

app = typer.Typer(add_completion=False, help=__doc__)
KINDS = (".safetensors", ".pt", ".pth")


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
    if published is not None:
        parts = from_published(published, out, config, tokenizer)
        say(f"{', '.join(parts)} -> {out}. Next: HtclModel.from_pretrained({str(out)!r})")
        missing = [part for part in PARTS if part not in parts]
        if missing:
            say(f"  {', '.join(missing)} missing: fresh weights there, which know nothing")
    if model is not None:
        to_published(model, out)
        say(f"{len(PARTS)} parts -> {out}")


def from_published(folder: Path, out: Path, config: Path | None = None, tokenizer: Path | None = None) -> list[str]:
    """Write a model folder; returns the parts that were there. Raises UserError where there is none or one is odd."""
    found = {part: path for part in PARTS for kind in KINDS if (path := folder / f"{part}{kind}").is_file()}
    if not found:
        raise UserError(f"no published part in {folder}", f"Name the files {', '.join(PARTS)} with {', '.join(KINDS)}.")
    settings = None if config is None else HtclConfig.from_pretrained(config, local_files_only=True)
    converted = HtclModel.from_published(**found, config=settings)
    extractor = HtclFeatureExtractor(published=True)
    converted.save_pretrained(out)
    if tokenizer is None:
        extractor.save_pretrained(out)
    else:
        HtclProcessor(extractor, load_text_tower(tokenizer)[1]).save_pretrained(out)
    return list(found)


def to_published(folder: Path, out: Path) -> None:
    """Write the five parts as .safetensors. Raises UserError where the folder holds no model, or one that has more."""
    if not (folder / "config.json").is_file():
        raise UserError(f"no model in {folder}", "Give the folder that holds its config.json.")
    model = HtclModel.from_pretrained(folder, local_files_only=True)
    beyond = {
        "a shortcut beside the text head": model.config.text_shortcut,
        "a layer over the statistics of the mel": model.config.statistics_hidden > 0,
        "a tower for precomputed features": model.config.feature_dim > 0,
        "a gated fusion": model.config.fusion == "gated",
    }
    if odd := [what for what, has in beyond.items() if has]:
        raise UserError(f"{folder} has {' and '.join(odd)}, which the published parts lack", "Take the paper preset.")
    parts = published_parts(model)
    out.mkdir(parents=True, exist_ok=True)
    for name, weights in parts.items():
        save_file({key: value.contiguous() for key, value in weights.items()}, out / f"{name}.safetensors")


if __name__ == "__main__":
    run(app)
