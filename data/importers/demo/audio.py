"""The audio files: one per track, made in parallel, each there whole or not at all.

A file's name holds a fingerprint of everything its content depends on. So a file that exists is the right one, an
interrupted run goes on where it stopped, and another seed in the same folder finds nothing of its own.
"""

import hashlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from data.importers.demo.catalogue import Catalogue, track_id
from data.importers.demo.music import MUSIC_VERSION, Sound, synthesise
from data.importers.demo.settings import DemoSettings

BATCH = 20
"Tracks per task of a worker."
PARALLEL_FROM = 100
"Starting workers takes longer than making fewer files than this."
BITS = 11
"Per sample: the rounding noise lies 58 dB below the music, and lossless files come out half as large as with 16."
BLOCK = 16_384


@dataclass(frozen=True)
class Job:
    """One audio file to be."""

    path: Path
    sound: Sound
    seconds: float
    track: int


def plan_audio(catalogue: Catalogue, audio_dir: Path, settings: DemoSettings) -> list[Job]:
    """One job per track, in order."""
    jobs = []
    for track, seconds in enumerate(catalogue.seconds.tolist()):
        sound = catalogue.sound(track)
        recipe = repr((MUSIC_VERSION, BITS, settings.seed, settings.sample_rate, track, seconds, tuple(sound)))
        fingerprint = hashlib.sha256(recipe.encode()).hexdigest()[:8]
        jobs.append(Job(audio_dir / f"{track_id(track)}-{fingerprint}.flac", sound, seconds, track))
    return jobs


def write_audio(jobs: list[Job], settings: DemoSettings, progress: Callable[[int, int], None] | None = None) -> int:
    """Make the files that are not there yet; returns how many. progress(done, all) counts those that were, too."""
    missing = [job for job in jobs if not job.path.exists()]
    done = len(jobs) - len(missing)
    report = progress or (lambda done, total: None)
    report(done, len(jobs))
    for folder in {job.path.parent for job in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    if len(missing) < PARALLEL_FROM or settings.workers == 1:
        for count, job in enumerate(missing, start=1):
            _write(job, settings)
            report(done + count, len(jobs))
        return len(missing)

    batches = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
    # Spawned, not forked: the caller may have threads (BLAS, polars), whose locks a fork would copy in any state.
    pool = ProcessPoolExecutor(settings.workers, get_context("spawn"), initializer=_leave_interrupts_to_the_parent)
    try:
        for future in as_completed([pool.submit(_write_batch, batch, settings) for batch in batches]):
            done += future.result()
            report(done, len(jobs))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return len(missing)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_batch(batch: list[Job], settings: DemoSettings) -> int:
    for job in batch:
        _write(job, settings)
    return len(batch)


def _write(job: Job, settings: DemoSettings) -> None:
    """Synthesise, write aside, make durable, then give it its name."""
    samples = synthesise(job.sound, job.seconds, settings.random("audio", job.track), settings.sample_rate)
    whole = (np.clip(np.round(samples * 2 ** (BITS - 1)), -(2 ** (BITS - 1)), 2 ** (BITS - 1) - 1)).astype(np.int16)
    whole <<= 16 - BITS
    aside = job.path.with_name(job.path.name + ".part")
    with aside.open("wb") as raw:
        with soundfile.SoundFile(raw, "w", settings.sample_rate, 1, format="FLAC", subtype="PCM_16") as file:
            # libsndfile can crash on a long signal in one call.
            for start in range(0, len(whole), BLOCK):
                file.write(whole[start : start + BLOCK])
        raw.flush()
        os.fsync(raw.fileno())
    os.replace(aside, job.path)
