"""How many threads an answer takes: one where it is small, and one in a process that was forked.

A small answer is done before a pool of threads has woken up, and beside a busy core it waits for the slowest of them.
In a forked child (gunicorn --preload, multiprocessing's default before Python 3.14) the pools of OpenMP are not there
at all, and whoever asks them waits for ever; with one thread nobody asks.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

SMALL = 32
"""Queries up to which one thread answers."""

_lock = threading.Lock()
_inside = 0
_before: int | None = None
"""torch's number before the first one in; None where torch is not loaded. Nobody else loads it: that takes seconds."""
_forked = False


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """All threads for large batches; else, and after a fork, one."""
    if queries > SMALL and not _forked:
        yield
        return
    # OpenMP's number is each thread's own; torch's is the process's, so the last one out puts it back.
    _take_one()
    try:
        with _pools().limit(limits=1, user_api="openmp"):
            yield
    finally:
        _give_back()


def _take_one() -> None:
    global _inside, _before
    with _lock:
        _inside += 1
        if (torch := sys.modules.get("torch")) is not None:
            _before = torch.get_num_threads() if _before is None else _before
            torch.set_num_threads(1)


def _give_back() -> None:
    global _inside, _before
    with _lock:
        _inside -= 1
        if _inside == 0 and _before is not None:
            if not _forked:
                sys.modules["torch"].set_num_threads(_before)
            _before = None


def _pools() -> Any:
    return _pools_with(*(name in sys.modules for name in ("torch", "faiss", "sklearn")))


@cache
def _pools_with(*loaded: bool) -> Any:
    """The pools of the libraries that are loaded; to find them takes milliseconds."""
    return ThreadpoolController()


def _after_fork() -> None:
    global _forked, _inside, _before, _lock
    _forked, _inside, _before, _lock = True, 0, None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
