"""Audio inputs: a file or an array of samples, and its log-mel."""

from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from data.audio.edges import mono, onset, without_silence
from data.audio.reading import load_mono, resample
from encoders.model.mel import MAX_SECONDS, SAMPLE_RATE, log_mel

Audio = str | Path | NDArray[Any] | tuple[NDArray[Any], float]
"A file, mono samples at 16 kHz, or samples (N,) or (channels, N) and their rate."
Unreadable = ValueError | TypeError | OSError | RuntimeError
"What reading a bad item raises."


def is_file(audio: object) -> TypeGuard[str | Path]:
    """One that needs a decoder?"""
    return isinstance(audio, (str, Path))


def is_one(audio: Audio | Iterable[Audio]) -> bool:
    """A single file, array or tensor, and not a list of them?"""
    if isinstance(audio, (np.ndarray, torch.Tensor)):
        return not (isinstance(audio, np.ndarray) and audio.dtype.kind in "UO")  # a column of paths
    return is_file(audio) or (isinstance(audio, tuple) and len(audio) == 2 and isinstance(audio[1], Real))


def read_mel(audio: Audio, trim: bool = True) -> NDArray[np.float32]:
    """The log-mel (T, 128) of a file or array, T <= 1251. Raises AudioError, ValueError or TypeError, saying why.

    trim: without the silence at its edges, so that two rips of a recording give one mel.
    """
    if is_file(audio):
        return log_mel(load_mono(Path(audio), SAMPLE_RATE, MAX_SECONDS, trim=trim))
    given: Any
    given, rate = audio if isinstance(audio, tuple) else (audio, SAMPLE_RATE)
    samples = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fi":
        raise TypeError(f"audio is a file, samples (N,) or (samples, rate), not {samples.dtype} {samples.shape}")
    if samples.dtype.kind == "i" and samples.dtype.itemsize > 4:
        raise TypeError(f"samples of {samples.dtype}: give int16 or int32 of full range, or floats from -1 to 1")
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise ValueError(f"samples {samples.shape}: channels come first, (channels, N)")
    if not 1 <= rate < np.inf:
        raise ValueError(f"a rate of {rate} Hz")
    if not samples.size:
        raise ValueError("samples are empty")
    full = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
    # As for files: cut a little late, resample, then cut by count.
    last = int((MAX_SECONDS + 0.1) * rate)
    start = (onset(samples.T, int(rate), full) or 0) if trim else 0
    heard = samples[..., start : start + last].astype(np.float32) / np.float32(full)
    one = mono(heard.T) if heard.ndim == 2 else heard
    if trim:
        one = without_silence(one, int(rate))
    return log_mel(resample(one, int(rate), SAMPLE_RATE)[: int(MAX_SECONDS * SAMPLE_RATE)])


def try_mel(audio: Audio) -> NDArray[np.float32] | Unreadable:
    """`read_mel`, or what it raised: for workers, who go on with the next item."""
    return _tried(audio, True)


def try_published_mel(audio: Audio) -> NDArray[np.float32] | Unreadable:
    """The same with the silence at the edges, as the published model was trained."""
    return _tried(audio, False)


def _tried(audio: Audio, trim: bool) -> NDArray[np.float32] | Unreadable:
    try:
        return read_mel(audio, trim)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        return error
