"""The two stages: what each learns from, and the settings each preset gives it.

Stage 1 (semantic) aligns a song's audio with its text. Stage 2 (preference) starts from stage 1's weights, its heads
included, and pulls together songs that listeners respond to alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from data.listening.pairs import are_pairs, pair_keys
from encoders.encoding.song_batches import SongReader, View
from encoders.model.config import Preset
from encoders.model.network import HtclModel
from encoders.training.checkpoint import History
from encoders.training.epoch_selection import Partners, choose_songs, text_and_audio
from encoders.training.initialisation import spread_heads, start_fusion
from encoders.training.loop import Batch, Plan, TrainingSettings, train
from encoders.training.losses import PairTerms, Skipped, Songs, preference_loss, semantic_loss

Stage = Literal["semantic", "preference"]
STAGES: tuple[Stage, ...] = ("semantic", "preference")


class PreferenceSettings(TrainingSettings):
    """Stage 2."""

    fusion: Literal["mlp", "gated"] = "mlp"
    "How a song's audio and text vector become one: the paper's layers, or a gate that weighs the two number by number."
    alignment: float = Field(default=1.0, ge=0)
    "Weight of the term that keeps audio and text together."
    fused_pairs: float = Field(default=0.0, ge=0)
    "Weight of the pairs of fused vectors, a term that the paper does not have."
    hard_negatives: float = Field(default=0.0, ge=0, le=1)
    "Share of the pairs that get a song skipped beside their first one as a negative, where one is known."


OURS: dict[str, Any] = {"validation_share": 0.05}
OURS_OF_PAIRS: dict[str, Any] = OURS | {"ema": 0.98, "fusion": "gated", "fused_pairs": 1.0, "hard_negatives": 0.5}
"""What demo and small have beyond the paper; validation on the demo and on real playlists preferred it. Stage 1 has
too few steps there for an average over fifty."""

SETTINGS: dict[tuple[Preset, Stage], TrainingSettings] = {
    ("demo", "semantic"): TrainingSettings(
        epochs=12, batch_size=64, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=128, forget=0.15, **OURS
    ),
    ("demo", "preference"): PreferenceSettings(
        epochs=10,
        steps_per_epoch=30,
        batch_size=64,
        lr=1e-3,
        audio_lr=1e-3,
        text_lr=5e-4,
        crop_frames=128,
        forget=0.3,
        **OURS_OF_PAIRS,
    ),
    ("small", "semantic"): TrainingSettings(
        epochs=30, batch_size=32, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=313, forget=0.15, patience=8, **OURS
    ),
    ("small", "preference"): PreferenceSettings(
        epochs=10,
        steps_per_epoch=40,
        batch_size=64,
        lr=1e-3,
        audio_lr=3e-4,
        text_lr=3e-4,
        crop_frames=625,
        forget=0.3,
        patience=4,
        **OURS_OF_PAIRS,
    ),
    ("paper", "semantic"): TrainingSettings(epochs=20, batch_size=32),
    ("paper", "preference"): PreferenceSettings(epochs=20, steps_per_epoch=1000, batch_size=32, audio_lr=1e-5),
}

SPREAD_OVER = 256
"""Songs whose vectors set the scale of fresh heads."""

PRETRAINED: dict[Stage, dict[str, Any]] = {
    "semantic": {"text_lr": 0.0},
    "preference": {"epochs": 16, "text_tokens": 32, "forget": 0.0},
}
"""Where demo and small take a pre-trained text tower. A small catalogue's stage 1 teaches it nothing but those songs:
of 336 recordings in folds 0.49 were found by their text where it was trained gently, 0.54 where it stays as it is.
Stage 2 has pairs without number, and needs the whole rate and more epochs for them: partners of songs that chose the
epoch stood at NDCG@100 0.201 in playlists after ten epochs at 1e-4, at 0.221 after ten at this rate, at 0.247 after 16.
The tower is large for the processors these presets are meant for: nine titles in ten have at most 32 tokens."""

LOCKED: dict[str, Any] = {
    "lock_text": True,
    "epochs": 3,
    "steps_per_epoch": 60,
    "batch_size": 64,
    "text_tokens": 32,
    "ema": 0.98,
}
"""And where no song has a mel. A few descriptors have nothing to teach such a tower, and soon learn what they can."""


def stage_settings(preset: Preset, stage: Stage, pretrained_text: bool, mels: bool = True) -> TrainingSettings:
    """A preset's settings for a stage; others where the text tower comes pre-trained, as the paper's always does.

    mels: whether any song has one.
    """
    settings = SETTINGS[preset, stage]
    if not pretrained_text or preset == "paper":
        return settings
    locked = LOCKED if stage == "semantic" and not mels else {}
    return settings.model_copy(update=PRETRAINED[stage] | locked)


@dataclass(frozen=True)
class Place:
    """Where a training keeps its checkpoint, what a checkpoint must have been made from, and where its curves go."""

    scratch: Path
    identity: object
    logs: Path | None = None


def train_semantic(
    model: HtclModel, reader: SongReader, tracks: NDArray[np.int32], settings: TrainingSettings, place: Place
) -> History:
    """Stage 1 over the tracks that have audio and text, from fresh heads."""
    both = tracks[reader.has_audio[tracks] & reader.has_text[tracks]]
    chosen = choose_songs(both, settings.validation_share, settings.seed)
    learned = np.setdiff1d(both, chosen)
    size = min(settings.batch_size, len(learned))

    def begin() -> None:
        sample = np.random.default_rng([settings.seed, 3]).permutation(learned)[:SPREAD_OVER]
        songs = reader.read(sample, View((settings.seed, 3), settings.crop_frames))
        locked = ("input_ids", "attention_mask") if settings.lock_text else ()
        spread_heads(model, {name: value for name, value in songs.items() if name not in locked})

    def batches(epoch: int) -> Sequence[Callable[[], Batch]]:
        order = np.random.default_rng([settings.seed, epoch]).permutation(learned)
        starts = range(0, len(order) - size + 1, size)[: settings.steps_per_epoch]
        return [partial(Batch, order[at : at + size], semantic_loss) for at in starts]

    validate = partial(text_and_audio, reader=reader, songs=chosen) if len(chosen) else None
    plan = Plan("stage 1", reader, batches, settings, place.identity, validate, begin)
    return train(model, plan, place.scratch, place.logs)


@dataclass(frozen=True)
class Listening:
    """What stage 2 learns from.

    pairs: similar songs (`usable_pairs`). skips: songs told apart (`mine_skips`), or none. before: (N, D), the text
    vectors of stage 1, for a catalogue of texts by a pre-trained tower (see `preference_loss`).
    """

    pairs: pl.DataFrame
    skips: pl.DataFrame | None = None
    before: NDArray[np.float32] | None = None


def train_preference(
    model: HtclModel, reader: SongReader, listening: Listening, settings: PreferenceSettings, place: Place
) -> History:
    """Stage 2 over pairs drawn by weight. Neither the same song nor another known partner is a negative in a batch.

    Pairs of a song that chooses the epoch are not trained on.
    """
    pairs = listening.pairs
    fused = bool(reader.has_audio.any())
    if fused:
        model.config.fusion = settings.fusion
    paired = np.unique(np.concatenate([pairs["first"].to_numpy(), pairs["second"].to_numpy()]))
    chosen = choose_songs(paired.astype(np.int32), settings.validation_share, settings.seed)
    learned = pairs.filter(~(pl.col("first").is_in(chosen.tolist()) | pl.col("second").is_in(chosen.tolist())))
    if learned.is_empty():  # a few hubs go with all others: the last epoch is kept
        chosen, learned = NO_TRACKS, pairs
    songs = np.stack([learned["first"].to_numpy(), learned["second"].to_numpy()], axis=1).astype(np.int32)
    chance = learned["weight"].to_numpy() / learned["weight"].sum()
    keys = pair_keys(pairs, len(reader.texts))
    skips = Skips(listening.skips, chosen) if listening.skips is not None and settings.hard_negatives else None
    steps = settings.steps_per_epoch or max(1, len(songs) // settings.batch_size)

    def batches(epoch: int) -> Sequence[Callable[[], Batch]]:
        rng = np.random.default_rng([settings.seed, epoch])
        drawn = songs[rng.choice(len(songs), size=(steps, settings.batch_size), p=chance)]
        drawn = rng.permuted(drawn, axis=2)
        return [partial(make, drawn[step], (settings.seed, 2, epoch, step)) for step in range(steps)]

    def make(couples: NDArray[np.int32], key: tuple[int, ...]) -> Batch:
        both = np.concatenate([couples[:, 0], couples[:, 1]])
        wide = both.astype(np.int64)
        not_negative = torch.from_numpy(are_pairs(keys, wide, wide, len(reader.texts)))
        before = None if listening.before is None else torch.from_numpy(listening.before[both])
        rows, apart = (NO_ROWS, NO_TRACKS) if skips is None else skips.draw(couples[:, 0], settings.hard_negatives, key)

        def loss(vectors: Songs, log_scales: Tensor) -> Tensor:
            device = log_scales.device
            first, second = vectors.rows(slice(0, len(both))).halves()
            skipped = Skipped(vectors.rows(slice(len(both), None)), torch.from_numpy(rows).to(device))
            terms = PairTerms(
                not_negative.to(device),
                None if before is None else before.to(device),
                skipped if len(rows) else None,
                settings.alignment,
                settings.fused_pairs,
            )
            return preference_loss(first, second, log_scales, terms)

        return Batch(np.concatenate([both, apart]), loss)

    validate = Partners(reader, chosen, pairs, settings.seed) if len(chosen) else None
    plan = Plan(
        "stage 2",
        reader,
        batches,
        settings,
        place.identity,
        validate,
        partial(start_fusion, model, settings.seed) if fused else None,
    )
    return train(model, plan, place.scratch, place.logs)


NO_ROWS = np.zeros(0, np.int64)
NO_TRACKS = np.zeros(0, np.int32)


class Skips:
    """Draws a skipped song for a song that is played."""

    def __init__(self, skips: pl.DataFrame, left_out: NDArray[np.int32]) -> None:
        """left_out: songs that take no part."""
        kept = skips.filter(~pl.col("second").is_in(left_out.tolist())).sort("first", "second")
        self.first = kept["first"].to_numpy().astype(np.int32)
        self.second = kept["second"].to_numpy().astype(np.int32)

    def draw(
        self, played: NDArray[np.int32], share: float, key: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows of `played`, and the song that each is to be told from; about `share` of those that have any."""
        rng = np.random.default_rng([*key, 1])
        start, stop = np.searchsorted(self.first, played, "left"), np.searchsorted(self.first, played, "right")
        rows = np.flatnonzero((stop > start) & (rng.random(len(played)) < share))
        at = start[rows] + (rng.random(len(rows)) * (stop - start)[rows]).astype(np.int64)
        return rows.astype(np.int64), self.second[at]


def usable_pairs(reader: SongReader, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs of which both songs have audio or text."""
    known = reader.has_audio | reader.has_text
    return pairs.filter(pl.Series(known[pairs["first"].to_numpy()] & known[pairs["second"].to_numpy()]))
