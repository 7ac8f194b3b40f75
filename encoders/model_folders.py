"""Original checkpoints into a model folder that transformers loads, and a model folder back into checkpoints."""

from pathlib import Path

from safetensors.torch import save_file

from data.errors import UserError
from encoders.htcl import HtclModel
from encoders.model.config import HtclConfig
from encoders.model.original_weights import PARTS, original_parts
from encoders.model.text import load_text_tower

KINDS = (".safetensors", ".pt", ".pth")


def from_published(folder: Path, out: Path, config: Path | None = None, tokenizer: Path | None = None) -> list[str]:
    """Write a model folder; returns the parts that were there. Raises UserError where there is none or one is odd."""
    found = {part: path for part in PARTS for kind in KINDS if (path := folder / f"{part}{kind}").is_file()}
    if not found:
        raise UserError(f"no published part in {folder}", f"Name the files {', '.join(PARTS)} with {', '.join(KINDS)}.")
    settings = None if config is None else HtclConfig.from_pretrained(config, local_files_only=True)
    converted = HtclModel.from_published(**found, config=settings)
    if tokenizer is not None:
        converted.tokenizer = load_text_tower(tokenizer)[1]
    converted.save_pretrained(out)
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
    parts = original_parts(model)
    out.mkdir(parents=True, exist_ok=True)
    for name, weights in parts.items():
        save_file({key: value.contiguous() for key, value in weights.items()}, out / f"{name}.safetensors")
