"""The encoders that a workspace holds."""

from typing import Any

from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from data.storage.workspace import Workspace, verify
from encoders.model.config import HtclConfig
from encoders.model.network import HtclModel
from encoders.training.stages import Stage

disable_progress_bar()  # one line of progress for a step is ours; transformers' bars for every file would bury it


def read_encoder(workspace: Workspace, stage: Stage) -> tuple[HtclModel, Any, HtclConfig]:
    """A published encoder: model, tokenizer, configuration. Raises DamagedError where a file is not as published."""
    folder = workspace.encoder(stage)
    verify(folder)
    model = HtclModel.from_pretrained(folder, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True), model.config
