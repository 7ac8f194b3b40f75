"""Training sequences: listening and playlists in their order, for the sources that learn from order."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.listening.clock import robust_now
from data.listening.sessions import sessions

Weighting = Literal["same", "inverse", "quadratic", "logarithmic", "linear"]
"""How fast a weight falls with the number of songs between: `weigh`."""

WEIGHTINGS: tuple[Weighting, ...] = ("inverse", "linear", "same")
"""Those tried on validation."""


@dataclass(frozen=True)
class Sequences:
    """Sequence s is `tracks[offsets[s]:offsets[s + 1]]`, in the order of playing; none is empty. Wanted plays only.

    days: (S,) float64, how long before `robust_now` it ended, below 0 if after; the median where no time is known.
    """

    offsets: NDArray[np.int64]
    tracks: NDArray[np.int32]
    days: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.days)

    def lengths(self) -> NDArray[np.int64]:
        """(S,) songs in each."""
        return np.diff(self.offsets)


def sequences(dataset: Dataset, of: Literal["session", "listener"]) -> Sequences:
    """The listening of a training part cut into sessions, or each listener's in one piece; then every playlist.

    What was skipped or broken off is left out and its neighbours move together.
    """
    played = sessions(dataset.listens).filter(POSITIVE)
    by = played["session"] if of == "session" else played["user"]
    entries = dataset.playlist_tracks
    starts = np.concatenate([_starts(by), played.height + _starts(entries["playlist"])])
    tracks = np.concatenate([played["track"].to_numpy(), entries["track"].to_numpy()])
    offsets = np.append(starts, len(tracks)).astype(np.int64)
    changed = dataset.playlists["modified_at"].gather(entries["playlist"])
    ended = np.concatenate([_days(played["listened_at"]), _days(changed)])[offsets[1:] - 1]
    return Sequences(offsets, tracks.astype(np.int32), _age(ended))


def weigh(distance: NDArray[np.int64], weighting: Weighting) -> NDArray[np.float64]:
    """Weights of songs 1, 2, 3, ... apart: 1; 1/d; 1/d^2; 1/log2(1 + d); 1 - (d - 1)/10, nothing from 11 on."""
    far = distance.astype(np.float64)
    if weighting == "same":
        return np.ones_like(far)
    if weighting == "inverse":
        return 1 / far
    if weighting == "quadratic":
        return 1 / far**2
    if weighting == "logarithmic":
        return np.asarray(1 / np.log2(1 + far))
    return np.maximum(1 - (far - 1) / 10, 0)


def _starts(of: pl.Series) -> NDArray[np.int64]:
    """Where each run of equal numbers begins."""
    values = of.to_numpy()
    return np.flatnonzero(np.diff(values, prepend=-1)).astype(np.int64)


def _days(moments: pl.Series) -> NDArray[np.float64]:
    days = moments.dt.epoch("ms").cast(pl.Float64) / 86_400_000
    return np.asarray(days.fill_null(float("nan")).to_numpy(), np.float64)


def _age(ended: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ended[np.isfinite(ended)]
    if not len(known):
        return np.zeros(len(ended))
    # A playlist without a date is neither the latest news nor outdated.
    return np.asarray(robust_now(known) - np.where(np.isfinite(ended), ended, np.median(known)), np.float64)
