"""`HtclModel.encode_*`: vectors for files, arrays, words and tracks, in the manner of sentence-transformers' `encode`.

Order is kept, items of like length share a batch, one bad item never sinks the list, and the same item gets the same
vector every time: songs are read from their beginning, up to 120 s, never from a random place.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from data.audio import load_mono, resample
from data.progress import meter, say
from encoders.batches import Song, collate_songs
from encoders.mel import MAX_SECONDS, SAMPLE_RATE, log_mel
from encoders.processing import collate_mels
from encoders.text import tokenize

if TYPE_CHECKING:
    from encoders.model import HtclModel

Audio = str | Path | NDArray[Any] | tuple[NDArray[Any], float]
"A file, mono samples at 16 kHz, or samples (N,) or (channels, N) and their rate."
Precision = Literal["float32", "float16", "int8"]
OnError = Literal["raise", "skip", "record"]
Vectors = NDArray[Any] | Tensor
Encoded = Vectors | tuple[Vectors, dict[int, str]]
"With the reasons by position under on_error=record."
READ_AHEAD = 8
"""Batches that are read before the first of them is encoded: what bounds the memory."""
SAID = 5


class MannerOptions(TypedDict, total=False):
    """`Manner`'s fields as keyword arguments."""

    batch_size: int
    device: str | torch.device | None
    show_progress_bar: bool
    normalize: bool
    convert_to_numpy: bool
    precision: Precision
    on_error: OnError


@dataclass(frozen=True)
class Manner:
    """How vectors are wanted.

    device: where the model is moved first; None leaves it where it is. precision: int8 is 127 times the unit vector,
    rounded. on_error: `raise` at the first bad item; `skip` leaves bad items out and says so; `record` gives them rows
    of NaN (0 in int8) and returns their reasons by position beside the vectors.
    """

    batch_size: int = 32
    device: str | torch.device | None = None
    show_progress_bar: bool = False
    normalize: bool = True
    convert_to_numpy: bool = True
    precision: Precision = "float32"
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size {self.batch_size}: at least 1")
        if self.precision not in ("float32", "float16", "int8"):
            raise ValueError(f'precision "{self.precision}": float32, float16 or int8')
        if self.on_error not in ("raise", "skip", "record"):
            raise ValueError(f'on_error "{self.on_error}": raise, skip or record')
        if self.precision == "int8" and not self.normalize:
            raise ValueError("precision int8 is made from unit vectors: leave normalize on")


@dataclass(frozen=True)
class Kind:
    """One kind of item: how it is read (or refused, with an exception), how long it is, and how a batch is encoded."""

    name: str
    read: Callable[[Any], Any]
    length: Callable[[Any], int]
    forward: Callable[[Sequence[Any]], Tensor]


def audio_kind(model: "HtclModel") -> Kind:
    """Files and arrays."""

    def forward(mels: Sequence[NDArray[np.float32]]) -> Tensor:
        features, mask = collate_mels(mels, model.config.published)
        masked = None if model.config.published else mask.to(model.device)
        output: Any = model.get_audio_features(features.to(model.device), masked)
        vectors: Tensor = output.pooler_output
        return vectors

    return Kind("audio", read_mel, len, forward)


def text_kind(model: "HtclModel") -> Kind:
    """Strings."""

    def forward(texts: Sequence[str]) -> Tensor:
        tokens = tokenize(model.tokenizer, texts)
        ids, mask = tokens["input_ids"].to(model.device), tokens["attention_mask"].to(model.device)
        output: Any = model.get_text_features(ids, mask)
        vectors: Tensor = output.pooler_output
        return vectors

    return Kind("text", _checked_text, len, forward)


def track_kind(model: "HtclModel") -> Kind:
    """Triples of an audio file, a text and a row of features, each None where a track has none."""

    def forward(songs: Sequence[Song]) -> Tensor:
        batch = collate_songs(songs, model.tokenizer, published=model.config.published)
        vectors: Tensor = model(**{name: value.to(model.device) for name, value in batch.items()}).fusion
        return vectors

    return Kind("tracks", _read_song, _song_length, forward)


def encode(model: "HtclModel", items: Sequence[Any], kind: Kind, manner: Manner, alone: bool = False) -> Encoded:
    """The items' vectors (N, D), or (D,) for an item alone; under `record` also why some have none, by position."""
    if manner.device is not None:
        torch.nn.Module.to(model, torch.device(manner.device))
    found = torch.full((len(items), model.config.projection_dim), torch.nan)
    errors: dict[int, str] = {}
    training = model.training
    model.eval()
    try:
        shown = meter(kind.name, len(items)) if manner.show_progress_bar else nullcontext()
        with torch.inference_mode(), shown as progress:
            for start, block in _read_ahead(items, kind, manner):
                good = []
                for row, value in enumerate(block, start):
                    if not isinstance(value, Exception):
                        good.append((row, value))
                    elif manner.on_error == "raise":
                        raise value
                    else:
                        errors[row] = str(value)
                good.sort(key=lambda item: kind.length(item[1]))
                for at in range(0, len(good), manner.batch_size):
                    rows, values = zip(*good[at : at + manner.batch_size], strict=True)
                    vectors = kind.forward(values).float()
                    found[list(rows)] = (normalize(vectors, dim=1) if manner.normalize else vectors).cpu()
                if progress is not None:
                    progress.to(start + len(block))
                block.clear()  # else it would lie beside the next one
                good.clear()
    finally:
        model.train(training)
    if manner.on_error == "skip":
        for row, reason in list(errors.items())[:SAID]:
            say(f"  {kind.name} {row} left out: {reason}")
        if len(errors) > SAID:
            say(f"  ... and {len(errors) - SAID:,} more")
        found = found[[row for row in range(len(items)) if row not in errors]]
    answer = _convert(found[0] if alone and len(found) else found, manner)
    return (answer, errors) if manner.on_error == "record" else answer


def is_one(audio: Audio | Sequence[Audio]) -> bool:
    """A single file or array, and not a list of them?"""
    return isinstance(audio, (str, Path, np.ndarray)) or (
        isinstance(audio, tuple) and len(audio) == 2 and isinstance(audio[1], Real)
    )


def read_mel(audio: Audio) -> NDArray[np.float32]:
    """The log-mel (T, 128) of a file or array, T <= 1251. Raises AudioError, ValueError or TypeError, saying why."""
    if isinstance(audio, (str, Path)):
        return log_mel(load_mono(Path(audio), SAMPLE_RATE, MAX_SECONDS))
    given, rate = audio if isinstance(audio, tuple) else (audio, SAMPLE_RATE)
    samples = np.asarray(given)
    if samples.ndim not in (1, 2) or samples.dtype.kind not in "fi":
        raise TypeError(f"audio is a file, samples (N,) or (samples, rate), not {samples.dtype} {samples.shape}")
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        raise ValueError(f"samples {samples.shape}: channels come first, (channels, N)")
    if not 1 <= rate < np.inf:
        raise ValueError(f"a rate of {rate} Hz")
    full = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
    # As for files: cut a little late, resample, then cut by count.
    heard = samples[..., : int((MAX_SECONDS + 0.1) * rate)].astype(np.float32) / np.float32(full)
    mono = heard.mean(axis=0) if heard.ndim == 2 else heard
    return log_mel(resample(mono, int(rate), SAMPLE_RATE)[: int(MAX_SECONDS * SAMPLE_RATE)])


def _checked_text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text is a string, not {type(text).__name__}")
    if not text.strip():
        raise ValueError("an empty text")
    return text


def _read_song(item: tuple[Path | None, str | None, NDArray[np.float32] | None]) -> Song:
    path, text, row = item
    if path is None and text is None and row is None:
        raise ValueError("neither audio nor text")
    return Song(None if path is None else read_mel(path), text, row)


def _song_length(song: Song) -> int:
    return 1000 * (0 if song.mel is None else len(song.mel)) + len(song.text or "")


def _read_ahead(items: Sequence[Any], kind: Kind, manner: Manner) -> Iterator[tuple[int, list[Any]]]:
    """Blocks of what the items hold, or the exception each met, with the position of the first; read by all cores."""

    def attempt(item: Any) -> Any:
        try:
            return kind.read(item)
        except (ValueError, TypeError, OSError) as error:
            return error

    size = READ_AHEAD * manner.batch_size
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(items), size):
            yield start, [_moved(value) for value in pool.map(attempt, items[start : start + size])]


def _moved(value: Any) -> Any:
    """A copy of the mel in it, if any, made by this thread.

    Left where a decoding thread put them, between the large arrays that come and go there, mels break up its part of
    the heap, which then grows with the number of songs.
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Song) and value.mel is not None:
        return replace(value, mel=value.mel.copy())
    return value


def _convert(vectors: Tensor, manner: Manner) -> Vectors:
    if manner.precision == "int8":
        vectors = (vectors * 127).round().nan_to_num(0.0).to(torch.int8)
    elif manner.precision == "float16":
        vectors = vectors.half()
    return vectors.numpy() if manner.convert_to_numpy else vectors
