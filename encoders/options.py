"""The flags that every command which trains an encoder has. Imports nothing heavy, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from data.errors import UserError, closest

Preset = Literal["demo", "small", "paper"]
Stage = Literal["semantic", "preference"]
STAGES: tuple[Stage, ...] = ("semantic", "preference")
Extent = Literal["split", "all"]
TRAINING_TABLES = ("semantic", "preference", "pairs")
PRODUCT_TABLES = ("tuning", "ranking", "index")
"""The tables of a settings file: those that training reads, and those of what is built on it (`recsys.settings`)."""

PRESET_HELP = "demo, small or paper; default: as built before, else small for a music folder, else demo."
TEXT_ENCODER_HELP = (
    "Pre-trained BERT-like model for the text tower: a folder, a hub id (organisation/model), or none. "
    "Default for small: the one that the extra 'words' installs."
)
SETTINGS_HELP = f"TOML file of what is to differ, in tables {', '.join((*TRAINING_TABLES, *PRODUCT_TABLES))}."
TRAIN_ON_HELP = "split: what lies before the test, for measuring. all: everything, for production."

PresetOption = Annotated[str | None, typer.Option(help=PRESET_HELP)]
TextEncoder = Annotated[str | None, typer.Option(help=TEXT_ENCODER_HELP)]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help=SETTINGS_HELP)]
TrainOn = Annotated[str, typer.Option(help=TRAIN_ON_HELP)]


def check_preset(preset: str | None) -> None:
    """Raises UserError for a preset that does not exist."""
    if preset is not None and preset not in get_args(Preset):
        raise UserError(f'no preset "{preset}"{closest(preset, get_args(Preset))}', "Take demo, small or paper.")


def check_stage(stage: str) -> Stage:
    """Raises UserError for a stage that does not exist."""
    if stage not in STAGES:
        raise UserError(f'no stage "{stage}"', "Take semantic or preference.")
    return stage


def check_train_on(train_on: str) -> Extent:
    """Raises UserError for anything but split and all."""
    if train_on not in get_args(Extent):
        raise UserError(f'--train-on "{train_on}"', "Take split or all.")
    return train_on  # type: ignore[return-value]
