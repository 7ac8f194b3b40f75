"""Decodes sound files in worker processes, one a core, so that a crashing decoder does not end the run.

Every worker has a pipe of its own. So a worker's death names the file that it was reading, which is tried once more
and then given up, and a worker whose parent is gone meets the end of its pipe and goes too.
"""

import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import joblib
import torch

QUEUED = 2
"Files a worker is given at a time: the one it reads, and the next, so that it never waits for its parent."
MIN_FOR_WORKERS = 64
"Fewer files are read by threads: a worker's imports take 3 s, and threads lose only some percent to the GIL."
MAX_DEAD_STARTS = 3
"Workers in a row that may die before they have started."
OF_THE_MACHINE = ("SIGKILL", "no exit code")
"Ends for which no file is to blame: the first is how the system frees memory."
AT_ONCE = 64
"Items that threads read before the first is handed on."

Item = TypeVar("Item")
T = TypeVar("T")


class TransientError(str):
    """A transient failure (killed, permission denied): the file is tried again on the next run."""


def read_files(
    read: Callable[[Path], T], paths: Sequence[Path], workers: int | None = None
) -> Generator[tuple[int, T | str]]:
    """What `read` makes of each file, with the file's position in `paths`; whichever is done first comes first.

    read: a module's function, imported by the workers; a ValueError or OSError of it is a reason. workers: default one
    for each core this process may use; their number is what bounds the memory. Fewer files than FEW stay in this
    process, which a decoder that crashes then takes along; so do all where it is a daemon, which may have no children.
    Raises RuntimeError where workers do not start at all.
    """
    if len(paths) < MIN_FOR_WORKERS or multiprocessing.current_process().daemon:
        return read_here(read, paths, workers)
    return _by_processes(read, paths, min(workers or joblib.cpu_count(), len(paths)))


def read_here(
    read: Callable[[Item], T], items: Sequence[Item], workers: int | None = None
) -> Generator[tuple[int, T | str]]:
    """`read_files` by threads of this process, in order, of anything: arrays need no decoder that could crash."""
    with ThreadPoolExecutor(workers or joblib.cpu_count()) as pool:
        for start in range(0, len(items), AT_ONCE):
            # The decoders and the transform let go of the GIL.
            yield from enumerate(list(pool.map(partial(_attempt, read), items[start : start + AT_ONCE])), start)


def in_order(results: Generator[tuple[int, T]]) -> Generator[T]:
    """What was read, by position. What comes early waits here, which is little as long as the files take alike."""
    early: dict[int, T] = {}
    wanted = 0
    with closing(results):
        for position, result in results:
            early[position] = result
            while wanted in early:
                yield early.pop(wanted)
                wanted += 1


def _by_processes(read: Callable[[Path], T], paths: Sequence[Path], count: int) -> Generator[tuple[int, T | str]]:
    waiting = deque(range(len(paths)))
    suspects: set[int] = set()
    stillborn = 0
    workers: list[_Worker] = []
    try:
        while waiting or any(worker.given for worker in workers):
            workers += [_Worker(read) for _ in range(min(count - len(workers), len(waiting)))]
            for worker in workers:
                while worker.started and waiting and len(worker.given) < QUEUED:
                    worker.give(waiting[0], paths[waiting.popleft()])
            by_pipe = {worker.pipe: worker for worker in workers if worker.given or not worker.started}
            for pipe in wait(list(by_pipe)):
                worker = by_pipe[pipe]  # type: ignore[index]
                try:
                    result = worker.pipe.recv()
                except (EOFError, OSError):
                    workers.remove(worker)
                    end = worker.end()
                    if not worker.started:
                        stillborn += 1
                        if stillborn == MAX_DEAD_STARTS:
                            raise RuntimeError(f"the worker processes that decode do not start ({end})") from None
                        continue
                    fallen, *others = worker.given
                    waiting.extendleft(reversed(others))  # in front, as others may wait for them
                    if fallen in suspects:
                        reason = f"{paths[fallen]}: decoding it ends the process ({end})"
                        yield fallen, TransientError(reason) if end in OF_THE_MACHINE else reason
                    else:
                        suspects.add(fallen)
                        waiting.appendleft(fallen)
                    continue
                stillborn = 0
                if worker.started:
                    yield worker.given.popleft(), result
                worker.started = True
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that reads one file after the other. given: positions of those it has not answered yet, in order."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        self.given: deque[int] = deque()
        self.started = False
        self.process = context.Process(target=_work, args=(read, far_end), name="decoder", daemon=True)
        with _apart():
            self.process.start()
        far_end.close()

    def give(self, position: int, path: Path) -> None:
        self.given.append(position)
        with suppress(OSError):  # it is dead, which is noticed when it should answer
            self.pipe.send(path)  # short: it would wait for ever for a worker that itself waits to answer

    def end(self) -> str:
        """How a dead worker ended."""
        self.process.join(5)
        code = self.process.exitcode
        self.stop()
        if code is None:
            return "no exit code"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def _work(read: Callable[[Any], Any], pipe: Connection) -> None:
    """A worker's life: says that it has started, then answers each path. Ends with its parent."""
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            pipe.send(_attempt(read, pipe.recv()))


def _attempt(read: Callable[[Item], T], item: Item) -> T | str:
    try:
        return read(item)
    except (ValueError, OSError, MemoryError) as error:
        passing = isinstance(error, (OSError, MemoryError)) or isinstance(error.__cause__, OSError)
        return TransientError(str(error) or "no memory") if passing else str(error)


ONE_AT_A_TIME = threading.Lock()
"Two threads that take the main module away would put each other's stand-in back."


@contextmanager
def _apart() -> Iterator[None]:
    """A process spawned in here does not import the main module again, and leaves Ctrl-C to its parent.

    The import would cost seconds, and a script without a __main__ guard would run once more.
    """
    with ONE_AT_A_TIME:
        main, in_main_thread = sys.modules["__main__"], threading.current_thread() is threading.main_thread()
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            if in_main_thread:
                signal.signal(signal.SIGINT, handler)
