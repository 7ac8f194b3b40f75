"""Log-mels of the catalogue, computed once and cached: decoding is the bottleneck everywhere.

The cache is a row of chunks of some hundred songs; each chunk is written whole or not at all, so an interrupted run
goes on with the next one, and a chunk that is damaged is dropped and its songs decoded again. A song is known by its
file's path, size and time of change; songs that no decoder reads are remembered with their reason.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.audio import AudioError, load_mono
from data.dataset import Dataset
from data.progress import meter, say
from data.workspace import sha256, short_hash, write_text
from encoders.mel import BANDS, HOP, MAX_SECONDS, SAMPLE_RATE, log_mel

CHUNK = 128
SETTINGS = {"rate": SAMPLE_RATE, "hop": HOP, "bands": BANDS, "seconds": MAX_SECONDS, "format": "float16 dB, 2"}


@dataclass(frozen=True)
class Mels:
    """Decibel mels of a catalogue by track row, memory-mapped. `where[track]` is (chunk, start, stop), or None.

    digests: stands for the content of each track's mel, None where it has none.
    """

    chunks: Sequence[NDArray[np.float16]]
    where: Sequence[tuple[int, int, int] | None]
    rejects: dict[int, str]
    digests: Sequence[str | None]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,) which tracks have a mel."""
        return np.array([place is not None for place in self.where], dtype=np.bool_)

    @property
    def fingerprint(self) -> str:
        """Of the sounds alone: the same in whatever order they were decoded, and wherever the files lie."""
        return short_hash([self.digests, SETTINGS])

    def frames(self, track: int) -> int:
        """Length of a track's mel, 0 where it has none."""
        place = self.where[track]
        return 0 if place is None else place[2] - place[1]

    def __getitem__(self, track: int) -> NDArray[np.float16]:
        """(T, 128) decibels below the loudest cell. Raises KeyError for a track without audio."""
        place = self.where[track]
        if place is None:
            raise KeyError(f"track {track} has no mel")
        chunk, start, stop = place
        return self.chunks[chunk][start:stop]


def ensure_mels(folder: Path, dataset: Dataset) -> Mels:
    """The mels of every track with audio; computes what the cache in `folder` lacks, on all cores, with progress."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(dataset)
    cache = _read_cache(folder)
    missing = [track for track, key in enumerate(keys) if key and key not in cache.places and key not in cache.refused]
    if missing:
        _compute(folder, dataset, keys, missing)
        cache = _read_cache(folder)
    where = [cache.places.get(key) if key else None for key in keys]
    digests = [cache.digests.get(key) if key else None for key in keys]
    rejects = {track: cache.refused[key] for track, key in enumerate(keys) if key in cache.refused}
    for track, reason in list(rejects.items())[:5] if missing else []:
        say(f"  no audio for {dataset.track_ids.names[track]}: {reason}")
    return Mels(cache.chunks, where, rejects, digests)


def _compute(folder: Path, dataset: Dataset, keys: Sequence[str | None], tracks: list[int]) -> None:
    taken = [int(path.stem.removeprefix("chunk-")) for path in folder.glob("chunk-*.json")]
    first_chunk = max(taken, default=-1) + 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one song per thread: the decoder and the transform both let go of the GIL
    workers = os.cpu_count() or 1
    try:
        with ThreadPoolExecutor(workers) as pool, meter("mel", len(tracks)) as progress:
            for number, start in enumerate(range(0, len(tracks), CHUNK), first_chunk):
                part = tracks[start : start + CHUNK]
                results = []
                for result in pool.map(_one_mel, [dataset.audio_file(track) for track in part]):
                    results.append(result)
                    progress.advance()
                _write_chunk(folder, number, [str(keys[track]) for track in part], results)
    finally:
        torch.set_num_threads(threads)


def _one_mel(path: Path | None) -> NDArray[np.float16] | str:
    """The mel, or why there is none."""
    try:
        if path is None:
            return "no file"
        return log_mel(load_mono(path, SAMPLE_RATE, MAX_SECONDS)).astype(np.float16)
    except (AudioError, ValueError, OSError) as error:
        return str(error)


def _write_chunk(folder: Path, number: int, keys: list[str], results: list[NDArray[np.float16] | str]) -> None:
    mels = [result for result in results if not isinstance(result, str)]
    rows = np.concatenate([*mels, np.zeros((0, BANDS), np.float16)])
    path = folder / f"chunk-{number:05d}.npy"
    aside = folder / f".{path.name}.new"
    with open(aside, "wb") as file:
        np.save(file, rows, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    songs = [{"key": key, **_describe(result)} for key, result in zip(keys, results, strict=True)]
    content = {"settings": SETTINGS, "bytes": path.stat().st_size, "sha256": sha256(path), "songs": songs}
    write_text(path.with_suffix(".json"), json.dumps(content))


@dataclass(frozen=True)
class Cache:
    """What lies in the folder, by the songs' keys."""

    places: dict[str, tuple[int, int, int]]
    digests: dict[str, str]
    refused: dict[str, str]
    chunks: list[NDArray[np.float16]]


def _read_cache(folder: Path) -> Cache:
    """All whole chunks. One that does not match its description is removed, and said."""
    cache = Cache({}, {}, {}, [])
    for description in sorted(folder.glob("chunk-*.json")):
        path = description.with_suffix(".npy")
        songs = _whole(path, description)
        if songs is None:
            say(f"  {path} is damaged or of another format; its songs are decoded again")
            description.unlink()
            path.unlink(missing_ok=True)
            continue
        start = 0
        for song in songs:
            if "reason" in song:
                cache.refused[song["key"]] = song["reason"]
                continue
            cache.places[song["key"]] = (len(cache.chunks), start, start + song["frames"])
            cache.digests[song["key"]] = song["digest"]
            start += song["frames"]
        cache.chunks.append(np.load(path, mmap_mode="r", allow_pickle=False))
    return cache


def _whole(path: Path, description: Path) -> list[dict[str, Any]] | None:
    """The songs of a chunk, None where its size or format is not what was written."""
    try:
        content = json.loads(description.read_text("utf-8"))
        whole = content["settings"] == SETTINGS and path.stat().st_size == content["bytes"]
    except (ValueError, LookupError, OSError):
        return None
    return list(content["songs"]) if whole else None


def _describe(result: NDArray[np.float16] | str) -> dict[str, object]:
    if isinstance(result, str):
        return {"reason": result}
    return {"frames": len(result), "digest": hashlib.sha256(result.tobytes()).hexdigest()[:16]}


def _keys(dataset: Dataset) -> list[str | None]:
    keys: list[str | None] = []
    for track in range(len(dataset.track_ids)):
        path = dataset.audio_file(track)
        if path is None:
            keys.append(None)
            continue
        facts = path.stat() if path.is_file() else None
        keys.append(short_hash([str(path), facts and facts.st_size, facts and facts.st_mtime_ns]))
    return keys
