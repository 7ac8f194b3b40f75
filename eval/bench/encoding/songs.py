"""Songs that stand in for real ones where only their shape matters, and files that decode like real ones."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.dataset import Dataset, load_dataset, save_dataset
from data.errors import UserError
from data.importers.library.walking import MUSIC
from data.storage.hashing import sha256
from data.storage.workspace import Workspace
from data.tables import Imported
from encoders.encoding.mel_cache import Mels, mapped
from encoders.model.config import HtclConfig
from encoders.model.mel import BANDS
from encoders.model.processing import collate_mels

RATE = 44_100
KINDS = ("flac", "ogg", "mp3")
WRITTEN_AT_ONCE = 4096
"Samples; soundfile crashes on a long Ogg that is written in one call."


def noise_mels(count: int, frames: int, shortest: int | None = None, seed: int = 0) -> list[NDArray[np.float32]]:
    """Decibels (T, 128) in [-80, 0]; T is `frames`, or anything from `shortest` to it."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest or frames, frames + 1, count)
    return [rng.uniform(-80, 0, (length, BANDS)).astype(np.float32) for length in lengths]


def varied_mels(count: int, frames: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Decibels (T, 128) in [-80, 0] of songs that differ as real ones do: each has its own spectrum and course."""
    rng = np.random.default_rng(seed)
    bands, moments = np.linspace(0, 1, BANDS), np.linspace(0, 1, frames)
    songs = []
    for _ in range(count):
        spectrum = np.interp(bands, np.linspace(0, 1, 12), rng.uniform(-60, -15, 12))
        course = np.interp(moments, np.linspace(0, 1, 20), rng.uniform(-15, 5, 20))
        song = spectrum[None] + course[:, None] + rng.normal(0, rng.uniform(2, 8), (frames, BANDS))
        songs.append(song.clip(-80, 0).astype(np.float32))
    return songs


def noise_words(config: HtclConfig, count: int, seed: int = 0) -> dict[str, Tensor]:
    """Texts of 6 to 24 tokens: input_ids and attention_mask (B, T)."""
    rng = np.random.default_rng(seed)
    text_config = config.text_config
    lengths = rng.integers(6, 25, count)
    mask = np.arange(lengths.max())[None] < lengths[:, None]
    ids = rng.integers(5, getattr(text_config, "vocab_size", 30_000), mask.shape) * mask
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def batch_of(mels: list[NDArray[np.float32]], words: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's arguments."""
    features, mask = collate_mels(mels)
    everyone = torch.ones(len(mels), dtype=torch.bool)
    return {
        "input_features": features,
        "audio_attention_mask": mask,
        **words,
        "has_mel": everyone,
        "has_text": everyone,
    }


def cached_mels(folder: Path, count: int, frames: int) -> Mels:
    """A cache as `ensure_mels` would leave it, chunks of 128 songs, memory-mapped; one song many times over.

    It is written song by song, so that making it does not raise the peak of memory that a bench measures.
    """
    song = np.random.default_rng(0).integers(0, 256, (frames, BANDS), dtype=np.uint8)
    chunks, where = [], []
    for number, start in enumerate(range(0, count, 128)):
        songs = min(128, count - start)
        path = folder / f"chunk-{number:05d}.npy"
        header = {"descr": "|u1", "fortran_order": False, "shape": (songs * frames, BANDS)}
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(songs):
                file.write(song.tobytes())
        chunks.append((path, sha256(path)))
        where += [(number, row * frames, (row + 1) * frames) for row in range(songs)]
    return Mels(mapped(chunks), where, {}, [str(row) for row in range(count)])


def music_files(folder: Path, count: int, seconds: float) -> list[Path]:
    """Stereo files at 44.1 kHz, by thirds FLAC, Ogg Vorbis and MP3; all but two of each kind are copies."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        path = folder / f"{number:03}.{kind}"
        first = number % (2 * len(KINDS))
        if number == first:
            _write(path, _music(number, seconds), kind)
        else:
            shutil.copyfile(files[first], path)
        files.append(path)
    return files


def found_files(folder: Path) -> list[Path]:
    """The music below a folder, sorted. Raises UserError where there is none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MUSIC and path.is_file())
    if len(files) < 2:
        raise UserError(f"fewer than two music files below {folder}", "The bench needs some dozens.")
    return files


def catalogue_of(root: Path, files: list[Path]) -> Dataset:
    """A dataset whose tracks are these files."""
    rows = [{"track_id": str(number), "audio_path": str(path.resolve())} for number, path in enumerate(files)]
    workspace = Workspace(root)
    save_dataset(workspace, Imported({"tracks": pl.DataFrame(rows)}), {"importer": "bench"})
    return load_dataset(workspace)


def _music(number: int, seconds: float) -> NDArray[np.float32]:
    """Chords under a swelling noise, (N, 2): neither silence nor noise alone compresses as music does."""
    rng = np.random.default_rng(number)
    time = np.arange(int(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * 110 * (1 + number) * overtone * time) / overtone for overtone in (1, 2, 3, 5, 8))
    noise = rng.standard_normal((len(time), 2)) * (0.02 + 0.02 * np.sin(2 * np.pi * 0.5 * time))[:, None]
    return (0.15 * np.asarray(chord)[:, None] * [1.0, 0.7] + noise).astype(np.float32)


def _write(path: Path, samples: NDArray[np.float32], kind: str) -> None:
    with soundfile.SoundFile(path, "w", RATE, 2, format=kind) as file:
        for start in range(0, len(samples), WRITTEN_AT_ONCE):
            file.write(samples[start : start + WRITTEN_AT_ONCE])
