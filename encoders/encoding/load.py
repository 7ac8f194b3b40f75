"""The encoders that a workspace holds, by the stage that trained them."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from data.storage.manifest import verify
from data.storage.workspace import Workspace
from encoders.model.config import HtclConfig
from encoders.model.network import HtclNetwork
from encoders.options import Stage

disable_progress_bar()  # one line of progress for a step is ours; transformers' bars for every file would bury it


def read_encoder(
    workspace: Workspace, stage: Stage, kind: type[HtclNetwork] = HtclNetwork
) -> tuple[HtclNetwork, Any, HtclConfig]:
    """A published encoder: model, tokenizer, configuration. Raises DamagedError where a file is not as published.

    kind: HtclModel where it is to be saved again, which records the class.
    """
    folder = workspace.encoder(stage)
    verify(folder)
    return open_encoder(folder, kind)


def open_encoder(folder: Path, kind: type[HtclNetwork] = HtclNetwork) -> tuple[HtclNetwork, Any, HtclConfig]:
    """What `save_pretrained` wrote into a folder: model, tokenizer, configuration."""
    model = kind.from_pretrained(folder, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True), model.config
