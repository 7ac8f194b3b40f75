"""Keeps what a C library writes to the terminal from it, while Python's own messages still arrive.

libmpg123, which decodes mp3 inside libsndfile, complains on file descriptor 2 about the best of files, and has no
switch that libsndfile passes on.
"""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_LOCK = threading.Lock()
_inside = 0
_kept: tuple[int, TextIO, TextIO] | None = None
"The real descriptor, what sys.stderr was, and what it is meanwhile."


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that C code writes to descriptor 2 is seen. May be entered by several threads at a time."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _kept
    with _LOCK:
        _inside += 1
        if _inside > 1 or not _is_terminal_s_own(sys.stderr):
            return
        sys.stderr.flush()
        real = os.dup(2)
        meanwhile = io.TextIOWrapper(os.fdopen(os.dup(real), "wb", 0), "utf-8", "backslashreplace", write_through=True)
        _kept = real, sys.stderr, meanwhile
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = meanwhile


def _leave() -> None:
    global _inside, _kept
    with _LOCK:
        _inside -= 1
        if _inside or _kept is None:
            return
        real, before, meanwhile = _kept
        os.dup2(real, 2)
        os.close(real)
        if sys.stderr is meanwhile:
            sys.stderr = before
        meanwhile.close()
        _kept = None


def _is_terminal_s_own(stream: TextIO | None) -> bool:
    """Whether Python writes to descriptor 2 as well; where it was pointed elsewhere, the noise goes there alone."""
    try:
        return stream is not None and stream.fileno() == 2
    except (OSError, ValueError):
        return False
