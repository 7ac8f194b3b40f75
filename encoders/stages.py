"""The two stages: what each learns from, and the settings each preset gives it.

Stage 1 (semantic) aligns a song's audio with its text. Stage 2 (preference) starts from stage 1's weights, its heads
included, and pulls together songs that listeners respond to alike.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.pairs import are_pairs, pair_keys
from encoders.batches import SongReader
from encoders.config import Preset
from encoders.heads import spread_heads
from encoders.losses import Songs, preference_loss, semantic_loss
from encoders.model import HtclModel
from encoders.training import Batch, TrainingSettings, train

Stage = Literal["semantic", "preference"]
STAGES: tuple[Stage, ...] = ("semantic", "preference")

SETTINGS: dict[tuple[Preset, Stage], TrainingSettings] = {
    ("demo", "semantic"): TrainingSettings(
        epochs=12, batch_size=64, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=128, forget=0.15
    ),
    ("demo", "preference"): TrainingSettings(
        epochs=10, steps_per_epoch=30, batch_size=64, lr=1e-3, audio_lr=1e-3, text_lr=5e-4, crop_frames=128, forget=0.3
    ),
    ("small", "semantic"): TrainingSettings(
        epochs=30, batch_size=32, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=625, forget=0.15
    ),
    ("small", "preference"): TrainingSettings(
        epochs=10, steps_per_epoch=40, batch_size=64, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=625, forget=0.3
    ),
    ("paper", "semantic"): TrainingSettings(epochs=20, batch_size=32),
    ("paper", "preference"): TrainingSettings(epochs=20, steps_per_epoch=1000, batch_size=32, audio_lr=1e-5),
}

SPREAD_OVER = 256
"""Songs whose vectors set the scale of fresh heads."""

PRETRAINED: dict[Stage, dict[str, float]] = {
    "semantic": {"text_lr": 5e-5},
    "preference": {"text_lr": 1e-4, "text_tokens": 32, "forget": 0.0},
}
"""Where demo and small take a pre-trained text tower. It forgets what it knows at the rates that a fresh one needs, and
it is large for the processors they are meant for: nine titles in ten have at most 32 tokens."""


def stage_settings(preset: Preset, stage: Stage, pretrained_text: bool) -> TrainingSettings:
    """A preset's settings for a stage, gentler where the text tower comes pre-trained, as the paper's always does."""
    settings = SETTINGS[preset, stage]
    return settings.model_copy(update=PRETRAINED[stage]) if pretrained_text and preset != "paper" else settings


def train_semantic(
    model: HtclModel,
    reader: SongReader,
    tracks: NDArray[np.int32],
    settings: TrainingSettings,
    scratch: Path,
    identity: object,
) -> list[float]:
    """Stage 1 over the tracks that have audio and text, from fresh heads; returns the loss of each epoch."""
    both = tracks[reader.has_audio[tracks] & reader.has_text[tracks]]
    size = min(settings.batch_size, len(both))

    def fresh() -> None:
        rng = np.random.default_rng([settings.seed, 3])
        spread_heads(model, reader.read(rng.permutation(both)[:SPREAD_OVER], rng, settings.crop_frames))

    def batches(epoch: int) -> Sequence[Callable[[], Batch]]:
        order = np.random.default_rng([settings.seed, epoch]).permutation(both)
        starts = range(0, len(order) - size + 1, size)
        return [_reading(reader, order[at : at + size], settings, [epoch, at]) for at in starts]

    def loss_of(vectors: Songs, log_scales: Tensor, batch: Batch) -> Tensor:
        return semantic_loss(vectors, log_scales)

    return train(model, batches, loss_of, settings, scratch, "stage 1", identity, fresh)


def train_preference(
    model: HtclModel,
    reader: SongReader,
    pairs: pl.DataFrame,
    settings: TrainingSettings,
    scratch: Path,
    identity: object,
    before: NDArray[np.float32] | None = None,
) -> list[float]:
    """Stage 2 over similar-song pairs (`usable_pairs`), drawn by weight; returns the loss of each epoch.

    Neither the same song nor another known partner is a negative in a batch. before: (N, D), the vectors of stage 1 for
    a catalogue that has text alone (see `preference_loss`).
    """
    if reader.has_audio.any():
        model.config.fusion = "mlp"
    songs = np.stack([pairs["first"].to_numpy(), pairs["second"].to_numpy()], axis=1).astype(np.int32)
    chance = pairs["weight"].to_numpy() / pairs["weight"].sum()
    keys = pair_keys(pairs, len(reader.texts))
    steps = settings.steps_per_epoch or max(1, len(songs) // settings.batch_size)

    def batches(epoch: int) -> Sequence[Callable[[], Batch]]:
        rng = np.random.default_rng([settings.seed, epoch])
        drawn = songs[rng.choice(len(songs), size=(steps, settings.batch_size), p=chance)]
        drawn = rng.permuted(drawn, axis=2)
        return [_reading_pairs(reader, drawn[step], keys, before, settings, [epoch, step]) for step in range(steps)]

    def loss_of(vectors: Songs, log_scales: Tensor, batch: Batch) -> Tensor:
        first, second = vectors.halves()
        return preference_loss(first, second, log_scales, batch["not_negative"], batch.get("before"))

    return train(model, batches, loss_of, settings, scratch, "stage 2", identity)


def usable_pairs(reader: SongReader, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs of which both songs have audio or text."""
    known = reader.has_audio | reader.has_text
    return pairs.filter(pl.Series(known[pairs["first"].to_numpy()] & known[pairs["second"].to_numpy()]))


def _reading(
    reader: SongReader, tracks: NDArray[np.int32], settings: TrainingSettings, key: list[int]
) -> Callable[[], Batch]:
    rng = np.random.default_rng([settings.seed, 1, *key])
    return lambda: {"songs": reader.read(tracks, rng, settings.crop_frames, settings.text_tokens, settings.forget)}


def _reading_pairs(
    reader: SongReader,
    songs: NDArray[np.int32],
    keys: NDArray[np.int64],
    before: NDArray[np.float32] | None,
    settings: TrainingSettings,
    key: list[int],
) -> Callable[[], Batch]:
    def make() -> Batch:
        rng = np.random.default_rng([settings.seed, 2, *key])
        both = np.concatenate([songs[:, 0], songs[:, 1]])
        wide = both.astype(np.int64)
        batch: Batch = {
            "songs": reader.read(both, rng, settings.crop_frames, settings.text_tokens, settings.forget),
            "not_negative": torch.from_numpy(are_pairs(keys, wide, wide, len(reader.texts))),
        }
        if before is not None:
            batch["before"] = torch.from_numpy(before[both])
        return batch

    return make
