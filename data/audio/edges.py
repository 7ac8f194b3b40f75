"""Where sound begins and ends, and one channel of several: what a recording is, whoever ripped it.

Two rips of one CD differ by up to seconds of silence at their edges, and some recordings have one channel turned
round. Neither is part of the music.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3
"""-60 dB of full scale: what stays below is silence, as dither, hiss and what a codec leaves of it are."""
BLOCK = 1 << 16
"""Samples looked at in one go."""
WINDOW_S = 0.01
"""Loudness is the root mean square over so long."""
CANCELLED = 0.1
"""Below this share of the channels' power their mean is what is left of channels that cancel."""
SILENT = "silent: nothing in it is louder than -60 dB of full scale"


def onset(samples: NDArray[Any], rate: int, full: float = 1.0) -> int | None:
    """The first sample of the first 10 ms that are as loud as FLOOR; None where all is silence.

    samples: (N,) or (N, C), where one loud channel is enough; full: their full scale. The place within the sound does
    not depend on what silence stands before it.
    """
    window = min(max(1, int(WINDOW_S * rate)), len(samples))
    least = (FLOOR * full) ** 2
    for start in range(0, max(1, len(samples) - window + 1), BLOCK):
        power = np.square(samples[start : start + BLOCK + window - 1], dtype=np.float64)
        power = power if power.ndim == 1 else power.max(axis=1)
        sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(power, posinf=1.0))])
        loud = sums[window:] - sums[:-window] >= window * least if window else np.zeros(0, np.bool_)
        if loud.any():
            first = int(loud.argmax())
            return start + first + int((power[first:] >= least).argmax())
    return None


def without_silence(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The samples (N,) from the first sound to the last. Raises ValueError for silence and for what is not finite."""
    if not np.isfinite(samples).all():
        raise ValueError("samples are not finite")
    start, behind = onset(samples, rate), onset(samples[::-1], rate)
    if start is None or behind is None:
        raise ValueError(SILENT)
    return samples[start : len(samples) - behind]


def mean_and_loudest(channels: NDArray[np.float32], loudest: int) -> NDArray[np.float32]:
    """(N, 2) the mean of channels (N, C) and one of them; (N, 1) of a single channel."""
    if channels.shape[1] == 1:
        return channels
    return np.stack([channels.mean(axis=1), channels[:, min(loudest, channels.shape[1] - 1)]], axis=1)


def joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Parts of `mean_and_loudest` in a row; some may come of a single channel."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.broadcast_to(part, (len(part), width)) for part in parts])


def one_channel(mixed: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the mean that `mean_and_loudest` gave, or the one channel where the mean is what is left of cancelling."""
    mean, loudest = mixed[:, 0], mixed[:, -1]
    cancelled = _power(mean) < CANCELLED * _power(loudest)
    return np.ascontiguousarray(loudest if cancelled else mean)


def mono(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the mean of channels (N, C), or the loudest of them where they cancel."""
    return one_channel(mean_and_loudest(channels, loudest_of(channels)))


def loudest_of(channels: NDArray[np.float32]) -> int:
    """The channel of (N, C) with the most power."""
    return int(np.square(channels, dtype=np.float64).sum(axis=0).argmax())


def _power(samples: NDArray[np.float32]) -> float:
    return float(np.square(samples, dtype=np.float64).sum())
