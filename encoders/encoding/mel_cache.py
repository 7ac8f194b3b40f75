"""Log-mels of the catalogue, computed once and cached: decoding is the bottleneck everywhere.

The cache is a row of chunks of some hundred songs, a byte a cell: 160 KB for two minutes. Each chunk is written whole
or not at all, so an interrupted run goes on with the next one. A chunk is held against its checksum when it is first
read; one that is damaged is dropped and its songs decoded again. A song is known by its file's content, wherever the
file lies (`data.audio.file_keys`); songs that no decoder reads are remembered with their reason, but where it lies with
the machine (a file that may not be read, a process that was killed for memory): these are tried again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.audio.file_keys import content_keys
from data.audio.reading import load_mono
from data.dataset import Dataset
from data.errors import DamagedError
from data.reporting import logger, meter
from data.storage.atomic_files import write_text
from data.storage.hashing import sha256, short_hash
from encoders.encoding.decoding_pool import TransientError, read_files
from encoders.model.mel import BANDS, HOP, LEVELS, MAX_SECONDS, SAMPLE_RATE, log_mel, quantise

log = logger(__name__)

CHUNK = 128
OPEN = 16
"""Chunks that stay mapped, 20 MB each: what is read of them counts as this process's memory, though the system may take
it back. Training reads songs from all over, and to open a chunk takes longer than to read a song of it."""
Result = NDArray[Any] | str
"What was read of a file, or why there is nothing."
SETTINGS = {"rate": SAMPLE_RATE, "hop": HOP, "bands": BANDS, "seconds": MAX_SECONDS, "format": "uint8 dB, 4"}


@dataclass(frozen=True)
class Mels:
    """Decibel mels of a catalogue by track row. `where[track]` is (chunk, start, stop), or None.

    rows: the levels (R, 128) in the chunk of that number. digests: stands for the content of each track's mel, None
    where it has none.
    """

    rows: Callable[[int], NDArray[np.uint8]]
    where: Sequence[tuple[int, int, int] | None]
    rejects: dict[int, str]
    digests: Sequence[str | None]

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(N,) which tracks have a mel."""
        return np.array([place is not None for place in self.where], dtype=np.bool_)

    @cached_property
    def fingerprint(self) -> str:
        """Of the sounds alone: the same in whatever order they were decoded, and wherever the files lie."""
        return short_hash([self.digests, SETTINGS])

    def frames(self, track: int) -> int:
        """Length of a track's mel, 0 where it has none."""
        place = self.where[track]
        return 0 if place is None else place[2] - place[1]

    def __getitem__(self, track: int) -> NDArray[np.float32]:
        """(T, 128) decibels below the loudest cell, to 0.16 dB. Raises as `levels` does."""
        return LEVELS[self.levels(track)]

    def levels(self, track: int) -> NDArray[np.uint8]:
        """(T, 128), the bytes as they are cached, mapped.

        Raises KeyError for a track without audio, DamagedError where its chunk is not what was written.
        """
        place = self.where[track]
        if place is None:
            raise KeyError(f"track {track} has no mel")
        chunk, start, stop = place
        return self.rows(chunk)[start:stop]


def ensure_mels(folder: Path, dataset: Dataset, workers: int | None = None) -> Mels:
    """The mels of every track with audio; computes what the cache in `folder` lacks, with progress.

    workers: files decoded at a time, default one a core; each is a process of about 0.5 GB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = content_keys(folder, [dataset.audio_file(track) for track in range(len(dataset.track_ids))])
    cache = _read_cache(folder)
    lacking = {key: track for track, key in enumerate(keys) if key not in cache.places and key not in cache.refused}
    missing = [track for key, track in lacking.items() if key]
    if missing:
        passing = _compute(folder, dataset, keys, missing, workers)
        cache = _read_cache(folder)
        cache.refused.update(passing)
    where = [cache.places.get(key) if key else None for key in keys]
    digests = [cache.digests.get(key) if key else None for key in keys]
    rejects = {track: cache.refused[key] for track, key in enumerate(keys) if key in cache.refused}
    for track, reason in list(rejects.items())[:5] if missing else []:
        log.warning(f"  no audio for {dataset.track_ids.names[track]}: {reason}")
    return Mels(mapped(cache.chunks), where, rejects, digests)


def read_samples(path: Path) -> NDArray[np.float32]:
    """(n,) at 16 kHz, up to 120 s from the first sound on. Raises AudioError."""
    return load_mono(path, SAMPLE_RATE, MAX_SECONDS, trim=True)


def read_levels(path: Path) -> NDArray[np.uint8]:
    """(T, 128), the quantised log-mel. Raises AudioError or ValueError."""
    return quantise(log_mel(read_samples(path)))


def _compute(
    folder: Path, dataset: Dataset, keys: Sequence[str | None], tracks: list[int], workers: int | None
) -> dict[str, str]:
    """Cache the mels of these tracks. Returns the reasons that are not remembered, by key."""
    passing: dict[str, str] = {}
    taken = [int(path.stem.removeprefix("chunk-")) for path in folder.glob("chunk-*.json")]
    number = max(taken, default=-1) + 1
    paths = [path for track in tracks if (path := dataset.audio_file(track))]
    # Without a GPU the mel is the workers' too: there it is spread over the cores, and a 48th of the samples to send.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    read: Callable[[Path], NDArray[Any]] = read_levels if device == "cpu" else read_samples
    songs: dict[str, Result] = {}
    with meter("mel", len(tracks)) as progress, closing(read_files(read, paths, workers)) as results:
        for done, (position, result) in enumerate(results, start=1):
            key = str(keys[tracks[position]])
            if isinstance(result, TransientError):
                passing[key] = result
            else:
                songs[key] = _levels(result, device)
            progress.advance()
            if len(songs) == CHUNK or (songs and done == len(paths)):
                _write_chunk(folder, number, songs)
                number, songs = number + 1, {}
    return passing


def _levels(result: Result, device: str) -> Result:
    """The quantised mel of what a worker gives, which may be a reason, samples or already that."""
    if isinstance(result, str) or result.dtype == np.uint8:
        return result
    try:
        return quantise(log_mel(result, device))
    except ValueError as error:
        return str(error)


def _write_chunk(folder: Path, number: int, songs: dict[str, Result]) -> None:
    """songs: by key."""
    mels = [result for result in songs.values() if not isinstance(result, str)]
    rows = np.concatenate([*mels, np.zeros((0, BANDS), np.uint8)])
    path = folder / f"chunk-{number:05d}.npy"
    aside = folder / f".{path.name}.new"
    with open(aside, "wb") as file:
        np.save(file, rows, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    described = [{"key": key, **_describe(result)} for key, result in songs.items()]
    content = {"settings": SETTINGS, "bytes": path.stat().st_size, "sha256": sha256(path), "songs": described}
    write_text(path.with_suffix(".json"), json.dumps(content | {"checksum": short_hash(content)}))


@dataclass(frozen=True)
class Cache:
    """The cached mels of the folder, by song key."""

    places: dict[str, tuple[int, int, int]]
    digests: dict[str, str]
    refused: dict[str, str]
    chunks: list[tuple[Path, str]]
    "Files and their checksums."


def _read_cache(folder: Path) -> Cache:
    """All chunks by their descriptions. One that does not match its description is removed, and said."""
    cache = Cache({}, {}, {}, [])
    for description in sorted(folder.glob("chunk-*.json")):
        path = description.with_suffix(".npy")
        content = _content(path, description)
        if content is None:
            log.warning(f"  {path} is damaged or of another format; its songs are decoded again")
            description.unlink()
            path.unlink(missing_ok=True)
            continue
        start = 0
        for song in content["songs"]:
            if "reason" in song:
                cache.refused[song["key"]] = song["reason"]
                continue
            cache.places[song["key"]] = (len(cache.chunks), start, start + song["frames"])
            cache.digests[song["key"]] = song["digest"]
            start += song["frames"]
        cache.chunks.append((path, content["sha256"]))
    return cache


def _content(path: Path, description: Path) -> dict[str, Any] | None:
    """A chunk's description, None where it is damaged or of another format, or the chunk has another size."""
    try:
        content: dict[str, Any] = json.loads(description.read_text("utf-8"))
        whole = content.pop("checksum") == short_hash(content) and content["settings"] == SETTINGS
        return content if whole and path.stat().st_size == content["bytes"] else None
    except (ValueError, LookupError, TypeError, AttributeError, OSError):
        return None


def mapped(chunks: Sequence[tuple[Path, str]]) -> Callable[[int], NDArray[np.uint8]]:
    """Chunk number -> its rows, memory-mapped; verified on first access, as a million songs are 160 GB to hash."""
    verified: set[int] = set()

    @lru_cache(OPEN)
    def rows(number: int) -> NDArray[np.uint8]:
        path, checksum = chunks[number]
        if number not in verified:
            if not path.is_file() or sha256(path) != checksum:
                path.with_suffix(".json").unlink(missing_ok=True)
                raise DamagedError(f"{path} is damaged", "The same command again decodes its songs again.")
            verified.add(number)
        levels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        return levels

    return rows


def _describe(result: Result) -> dict[str, object]:
    if isinstance(result, str):
        return {"reason": result}
    return {"frames": len(result), "digest": hashlib.sha256(result.tobytes()).hexdigest()[:16]}
