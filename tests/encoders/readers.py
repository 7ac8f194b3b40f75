"""How worker processes read in tests; they import these by name."""

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.encoding.audio_inputs import Audio, Unreadable, try_mel
from encoders.encoding.mel_cache import read_levels


def number(path: Path) -> NDArray[np.int64]:
    """The number that is the file's name; a file called killer-* kills its process, one called bug-* is one."""
    if path.stem.startswith("killer"):
        os.kill(os.getpid(), signal.SIGKILL)
    if path.stem.startswith("bug"):
        raise TypeError("a mistake in our own code")
    if path.stem.startswith("bad"):
        raise ValueError(f"{path}: no sound")
    return np.array([int(path.stem)])


def slow_number(path: Path) -> NDArray[np.int64]:
    """`number`, after a while."""
    time.sleep(0.05)
    return number(path)


def levels_unless_killer(path: Path) -> NDArray[np.uint8]:
    """The mel; a file that begins with `killer` crashes its decoder."""
    if path.read_bytes().startswith(b"killer"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return read_levels(path)


def mel_unless_killer(audio: Audio) -> NDArray[np.float32] | Unreadable:
    """What `encode_audio` reads; a file called killer-* crashes its decoder."""
    if Path(str(audio)).stem.startswith("killer"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return try_mel(audio)


def process(path: Path) -> NDArray[np.int64]:
    """Who reads."""
    return np.array([os.getpid()])


def asleep(path: Path) -> NDArray[np.int64]:
    """Leaves a file that says which process reads, and takes its time."""
    path.with_suffix(f".{os.getpid()}").touch()
    time.sleep(4)
    return np.zeros(1, np.int64)


def megabytes(path: Path) -> NDArray[np.int64]:
    """By how much this process grows over reading the mel; the mel's frames."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    frames = len(read_levels(path))
    return np.array([(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, frames])


def stillborn() -> None:
    """Unpickled by a worker: it dies before it has started."""
    os._exit(3)


class Stillborn:
    """A reader that ends the worker that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return stillborn, ()
