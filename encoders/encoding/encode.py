"""`HtclModel.encode_*`: vectors for files, arrays, words and tracks, in the manner of sentence-transformers' `encode`.

Order is kept, items of like length share a batch, one bad item never sinks the list, and the same item gets the same
vector every time: songs are read from their beginning, up to 120 s, never from a random place.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from data.audio.reading import AudioError
from data.console.progress import console_meter
from data.reporting import logger
from encoders.encoding.audio_inputs import Audio, Unreadable, is_file, try_mel, try_published_mel
from encoders.encoding.decoding_pool import in_order, read_files, read_here
from encoders.encoding.song_batches import Song, collate_songs, length_key
from encoders.model.network import HtclNetwork
from encoders.model.processing import collate_mels
from encoders.model.text import tokenize

log = logger(__name__)

Precision = Literal["float32", "float16", "int8"]
OnError = Literal["raise", "skip", "record"]
Vectors = NDArray[Any] | Tensor
Encoded = Vectors | tuple[Vectors, dict[int, str]]
"With the reasons by position under on_error=record."
SORTED = 8
"""Batches that are sorted by length together: what bounds the memory."""
SAID = 5
LONE = re.compile("[\ud800-\udfff]")


class EncodeKeywords(TypedDict, total=False):
    """`EncodeOptions`'s fields as keyword arguments."""

    batch_size: int
    device: str | torch.device | None
    show_progress_bar: bool
    normalize: bool
    convert_to_numpy: bool
    precision: Precision
    on_error: OnError


@dataclass(frozen=True)
class EncodeOptions:
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
class ItemKind:
    """One kind of item.

    sound: the audio to be read for it, None where there is none. mel: how that is read. made: what is encoded, of the
    item and its mel, or an exception for a bad one. forward: from a batch of these to vectors (B, D).
    """

    name: str
    sound: Callable[[Any], Audio | None]
    mel: Callable[[Audio], NDArray[np.float32] | Unreadable]
    made: Callable[[Any, NDArray[np.float32] | None], Any]
    length: Callable[[Any], int]
    forward: Callable[[Sequence[Any]], Tensor]


def audio_kind(model: HtclNetwork) -> ItemKind:
    """Files and arrays."""

    def forward(mels: Sequence[NDArray[np.float32]]) -> Tensor:
        features, mask = collate_mels(mels, model.config.published)
        masked = None if model.config.published else mask.to(model.device)
        output: Any = model.get_audio_features(features.to(model.device), masked)
        vectors: Tensor = output.pooler_output
        return vectors

    return ItemKind("audio", lambda audio: audio, _mel_of(model), _heard, len, forward)


def text_kind(model: HtclNetwork, tokenizer: Callable[[], Any]) -> ItemKind:
    """Strings. tokenizer: called when there are texts to encode."""

    def forward(texts: Sequence[str]) -> Tensor:
        tokens = tokenize(tokenizer(), texts)
        ids, mask = tokens["input_ids"].to(model.device), tokens["attention_mask"].to(model.device)
        output: Any = model.get_text_features(ids, mask)
        vectors: Tensor = output.pooler_output
        return vectors

    return ItemKind("text", lambda _: None, try_mel, lambda text, _: _checked_text(text), len, forward)


def track_kind(model: HtclNetwork, tokenizer: Callable[[], Any]) -> ItemKind:
    """Triples of an audio file, a text and a row of features, each None where a track has none.

    tokenizer: called where a track has a text; a model without one can still encode the others.
    """

    def forward(songs: Sequence[Song]) -> Tensor:
        words = tokenizer() if any(song.text is not None for song in songs) else None
        batch = collate_songs(songs, words, published=model.config.published)
        vectors: Tensor = model(**{name: value.to(model.device) for name, value in batch.items()}).fusion
        return vectors

    return ItemKind("tracks", lambda track: track[0], _mel_of(model), _song, _song_length, forward)


def _mel_of(model: HtclNetwork) -> Callable[[Audio], NDArray[np.float32] | Unreadable]:
    return try_published_mel if model.config.published else try_mel


def encode(
    model: HtclNetwork, items: Sequence[Any], kind: ItemKind, options: EncodeOptions, alone: bool = False
) -> Encoded:
    """The items' vectors (N, D), or (D,) for an item alone; under `record` also why some have none, by position."""
    if options.device is not None:
        torch.nn.Module.to(model, torch.device(options.device))
    found = torch.full((len(items), model.config.projection_dim), torch.nan)
    errors: dict[int, str] = {}
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        shown = console_meter(kind.name, len(items)) if options.show_progress_bar else nullcontext()
        with torch.inference_mode(), shown as progress, closing(_read(items, kind)) as read:
            for start, block in _blocks(read, SORTED * options.batch_size):
                good = []
                for row, value in enumerate(block, start):
                    if not isinstance(value, Exception):
                        good.append((row, value))
                    elif options.on_error == "raise":
                        raise value
                    else:
                        errors[row] = str(value)
                good.sort(key=lambda item: kind.length(item[1]))
                for at in range(0, len(good), options.batch_size):
                    rows, values = zip(*good[at : at + options.batch_size], strict=True)
                    vectors = kind.forward(values).float()
                    found[list(rows)] = (normalize(vectors, dim=1) if options.normalize else vectors).cpu()
                if progress is not None:
                    progress.to(start + len(block))
                block.clear()  # else it would lie beside the next one
                good.clear()
    finally:
        for module, trained in training.items():
            module.training = trained
    if options.on_error == "skip":
        for row, reason in list(errors.items())[:SAID]:
            log.warning(f"  {kind.name} {row} left out: {reason}")
        if len(errors) > SAID:
            log.warning(f"  ... and {len(errors) - SAID:,} more")
        found = found[[row for row in range(len(items)) if row not in errors]]
    answer = _convert(found[0] if alone and len(found) else found, options)
    return (answer, errors) if options.on_error == "record" else answer


def _heard(audio: object, mel: NDArray[np.float32] | None) -> NDArray[np.float32] | Unreadable:
    return TypeError(f"audio is a file or samples, not {audio}") if mel is None else mel


def _checked_text(text: object) -> str | Unreadable:
    if not isinstance(text, str):
        return TypeError(f"a text is a string, not {type(text).__name__}")
    if not text.strip():
        return ValueError("an empty text")
    return ValueError("a text with half a character (a lone surrogate)") if LONE.search(text) else text


def _song(
    track: tuple[Path | None, str | None, NDArray[np.float32] | None], mel: NDArray[np.float32] | None
) -> Song | Unreadable:
    _, text, row = track
    if text is not None and isinstance(checked := _checked_text(text), Exception):
        return checked
    if mel is None and text is None and row is None:
        return ValueError("neither audio nor text")
    return Song(mel, text, row)


def _song_length(song: Song) -> int:
    return length_key(0 if song.mel is None else len(song.mel), song.text)


def _read(items: Sequence[Any], kind: ItemKind) -> Generator[Any]:
    """What is to be encoded of each item, or the exception it met, in their order; audio is read ahead."""
    sounds = [sound for sound in map(kind.sound, items) if sound is not None]
    files = in_order(read_files(kind.mel, [Path(sound) for sound in sounds if is_file(sound)]))
    arrays = in_order(read_here(kind.mel, [sound for sound in sounds if not is_file(sound)]))
    with closing(files), closing(arrays):
        for item in items:
            sound = kind.sound(item)
            heard = None if sound is None else next(files if is_file(sound) else arrays)
            if isinstance(heard, str):
                yield AudioError(heard)
            elif isinstance(heard, Exception):
                yield heard
            else:
                # A copy: left where a decoding thread put them, between the large arrays that come and go there, mels
                # break up its part of the heap, which then grows with the number of songs.
                yield kind.made(item, None if heard is None else heard.copy())


def _blocks(values: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    """`size` of the values at a time, with the position of the first."""
    rest, start = iter(values), 0
    while block := list(islice(rest, size)):
        count = len(block)
        yield start, block
        start += count


def _convert(vectors: Tensor, options: EncodeOptions) -> Vectors:
    if options.precision == "int8":
        vectors = (vectors * 127).round().nan_to_num(0.0).to(torch.int8)
    elif options.precision == "float16":
        vectors = vectors.half()
    return vectors.numpy() if options.convert_to_numpy else vectors
