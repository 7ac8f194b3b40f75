"""How large the demo world is, and the random streams it is drawn from."""

import math
from datetime import UTC, date, datetime, time
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator


class DemoSettings(BaseModel):
    """Size, time span and seed of the demo world. Works from a few dozen tracks upwards."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    tracks: int = Field(default=1000, ge=10)
    "Tracks in the catalogue, each with its own audio file."
    artists: PositiveInt = 150
    "Artists; at most one per track. A few have many tracks, most have few."
    listeners: PositiveInt = 800
    "Listeners, each with one to three tastes."
    listens: NonNegativeInt = 100_000
    "Plays of a song, all listeners together."
    playlists: NonNegativeInt = 1500
    "Titled playlists of 8 to 40 songs."
    scenes: PositiveInt = 24
    "Places in audible space where tracks and tastes gather; fewer in a catalogue of less than 15 tracks per scene."
    start: date = date(2025, 1, 1)
    "First day of the history."
    days: int = Field(default=300, ge=30)
    "Length of the history."
    new_share: float = Field(default=0.13, ge=0, le=0.5)
    "Share of the tracks that come out in the last fifth of the history, half of these in its last tenth."
    min_seconds: float = Field(default=12.0, ge=1)
    "Shortest track."
    max_seconds: float = 20.0
    "Longest track."
    sample_rate: PositiveInt = 16_000
    "Of the audio files, in Hz; mono."
    workers: PositiveInt = 2
    "Processes that make the audio. Fewer than 100 missing files are made without any."
    seed: NonNegativeInt = 20260101
    "Same seed and settings: same tables and same audio, byte for byte."

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.artists > self.tracks:
            raise ValueError(f"{self.artists} artists need as many tracks, not {self.tracks}")
        if self.max_seconds < self.min_seconds:
            raise ValueError(f"max_seconds {self.max_seconds} is below min_seconds {self.min_seconds}")
        return self

    @property
    def begin(self) -> datetime:
        """First moment of the history."""
        return datetime.combine(self.start, time(), UTC)

    def day_at(self, share: float) -> int:
        """First whole day that lies after a share of the history; days count from `start`."""
        return math.floor(share * self.days) + 1

    def random(self, stream: str, *index: int) -> np.random.Generator:
        """The generator of one part of the world; parts, and tracks within a part, do not depend on each other.

        One seed in, one child sequence per part out, as in SPEC 7.
        """
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(*stream.encode(), *index)))
