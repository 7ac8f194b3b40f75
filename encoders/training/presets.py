"""The training settings of each preset: demo, small and paper, for both stages."""

from typing import Any, Literal

from pydantic import Field

from encoders.options import Preset, Stage
from encoders.training.loop import TrainingSettings


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


DEMO_AND_SMALL: dict[str, Any] = {"validation_share": 0.05}


DEMO_AND_SMALL_PAIRS: dict[str, Any] = DEMO_AND_SMALL | {
    "ema": 0.98,
    "fusion": "gated",
    "fused_pairs": 1.0,
    "hard_negatives": 0.5,
}
"""What demo and small have beyond the paper; validation on the demo and on real playlists preferred it. Stage 1 has
too few steps there for an average over fifty."""


SETTINGS: dict[tuple[Preset, Stage], TrainingSettings] = {
    ("demo", "semantic"): TrainingSettings(
        epochs=12, batch_size=64, lr=1e-3, audio_lr=3e-4, text_lr=3e-4, crop_frames=128, forget=0.15, **DEMO_AND_SMALL
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
        **DEMO_AND_SMALL_PAIRS,
    ),
    ("small", "semantic"): TrainingSettings(
        epochs=30,
        batch_size=32,
        lr=1e-3,
        audio_lr=3e-4,
        text_lr=3e-4,
        crop_frames=313,
        forget=0.15,
        patience=8,
        **DEMO_AND_SMALL,
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
        **DEMO_AND_SMALL_PAIRS,
    ),
    ("paper", "semantic"): TrainingSettings(epochs=20, batch_size=32),
    ("paper", "preference"): PreferenceSettings(epochs=20, steps_per_epoch=1000, batch_size=32, audio_lr=1e-5),
}


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
