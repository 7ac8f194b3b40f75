"""Log-mels of the catalogue, computed once and cached: decoding is the bottleneck everywhere.

The cache is a row of chunks of some hundred songs; each chunk is written whole or not at all, so an interrupted run
goes on with the next one. A song is known by its file's path, size and time of change; songs that no decoder reads are
remembered with their reason.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.audio import AudioError, load_mono
from data.dataset import Dataset
from data.progress import meter, say
from data.workspace import sha256, short_hash, write_text
from encoders.mel import BANDS, HOP, MAX_SECONDS, SAMPLE_RATE, log_mel

CHUNK = 128
SETTINGS = {"rate": SAMPLE_RATE, "hop": HOP, "bands": BANDS, "seconds": MAX_SECONDS, "format": "float16 dB"}


@dataclass(frozen=True)
class Mels:
    """Decibel mels of a catalogue by track row, memory-mapped. `where[track]` is (chunk, start, stop), or None."""

    chunks: Sequence[NDArray[np.float16]]
    where: Sequence[tuple[int, int, int] | None]
    rejects: dict[int, str]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,) which tracks have a mel."""
        return np.array([place is not None for place in self.where], dtype=np.bool_)

    @property
    def fingerprint(self) -> str:
        return short_hash([self.where, sorted(self.rejects), SETTINGS])

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
    known, refused, chunks = _read_cache(folder)
    missing = [track for track, key in enumerate(keys) if key and key not in known and key not in refused]
    if missing:
        _compute(folder, dataset, keys, missing, first_chunk=len(chunks))
        known, refused, chunks = _read_cache(folder)
    where = [known.get(key) if key else None for key in keys]
    rejects = {track: refused[key] for track, key in enumerate(keys) if key in refused}
    for track, reason in list(rejects.items())[:5] if missing else []:
        say(f"  no audio for {dataset.track_ids.names[track]}: {reason}")
    return Mels(chunks, where, rejects)


def _compute(folder: Path, dataset: Dataset, keys: Sequence[str | None], tracks: list[int], first_chunk: int) -> None:
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
        torch.set_num_threads(workers)


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
    songs = [
        {"key": key, "reason": result} if isinstance(result, str) else {"key": key, "frames": len(result)}
        for key, result in zip(keys, results, strict=True)
    ]
    content = {"settings": SETTINGS, "bytes": path.stat().st_size, "sha256": sha256(path), "songs": songs}
    write_text(path.with_suffix(".json"), json.dumps(content))


def _read_cache(
    folder: Path,
) -> tuple[dict[str, tuple[int, int, int]], dict[str, str], list[NDArray[np.float16]]]:
    """Places and refusals by key, and the chunks. A chunk that does not match its description is left out and said."""
    known: dict[str, tuple[int, int, int]] = {}
    refused: dict[str, str] = {}
    chunks: list[NDArray[np.float16]] = []
    for description in sorted(folder.glob("chunk-*.json")):
        path = description.with_suffix(".npy")
        content = json.loads(description.read_text("utf-8"))
        intact = path.is_file() and path.stat().st_size == content["bytes"]
        if not intact or content["settings"] != SETTINGS:
            say(f"  {path} is damaged or of another format; its songs are decoded again")
            chunks.append(np.zeros((0, BANDS), np.float16))
            continue
        start = 0
        for song in content["songs"]:
            if "reason" in song:
                refused[song["key"]] = song["reason"]
                continue
            known[song["key"]] = (len(chunks), start, start + song["frames"])
            start += song["frames"]
        chunks.append(np.load(path, mmap_mode="r", allow_pickle=False))
    return known, refused, chunks


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
