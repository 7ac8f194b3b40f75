"""Training at the size of a test: settings, models, pairs, and a training that is cut off."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.training.checkpoint import Checkpoint
from encoders.training.loop import TrainingSettings
from encoders.training.presets import PreferenceSettings
from encoders.training.stages import TrainingFolder, train_semantic
from tests.encoders.toys import tiny_model

FAST = TrainingSettings(epochs=4, batch_size=8, lr=3e-3, audio_lr=3e-3, text_lr=3e-3, crop_frames=20)
STAGE_2 = PreferenceSettings(**FAST.model_dump())
TRACKS = np.arange(16, dtype=np.int32)
Weights = dict[str, Tensor]


def fresh(reader: SongReader, dropout: float = 0.1) -> HtclModel:
    return tiny_model(vocabulary=len(reader.tokenizer), dropout=dropout, head_dropout=dropout)


def stage_1(
    reader: SongReader, scratch: Path, settings: TrainingSettings = FAST, identity: object = "a", dropout: float = 0.1
) -> tuple[Weights, list[float]]:
    model = fresh(reader, dropout)
    scratch.mkdir(exist_ok=True)
    history = train_semantic(model, reader, TRACKS, settings, TrainingFolder(scratch, identity))
    return weights(model), history.losses


def weights(model: HtclModel) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


def pairs_of(*couples: tuple[int, int]) -> pl.DataFrame:
    first, second = zip(*couples, strict=True)
    schema = {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64, "weight": pl.Float64}
    count = len(couples)
    return pl.DataFrame({"first": first, "second": second, "support": [2.0] * count, "weight": [1.0] * count}, schema)


NEIGHBOURS = pairs_of(*((n, n + 1) for n in range(0, 16, 2)))


def stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next training is cut off once that many checkpoints are written."""
    save, saved = Checkpoint.save, 0

    def save_and_stop(self: Checkpoint, *args: Any) -> None:
        nonlocal saved
        save(self, *args)
        saved += 1
        if saved == epochs:
            monkeypatch.setattr(Checkpoint, "save", save)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)
