"""What library code tells of its work: lines by `logging`, and how far long work has come.

Nothing is printed here. A command shows it all (`data.console.progress.listen`). Who imports the packages sees warnings
alone, until they set up the logger `htcl` or hand in bars of their own by `show_progress`.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

ROOT = "htcl"


def logger(module: str) -> logging.Logger:
    """The logger of a module by its `__name__`; all are below `htcl`, in a checkout as in a wheel."""
    return logging.getLogger(module if module.startswith(f"{ROOT}.") else f"{ROOT}.{module}")


def done(step: str, facts: str, seconds: float) -> None:
    """A finished step: its name, what came of it, how long it took. The record has `step`, `facts` and `seconds`."""
    told = {"step": step, "facts": facts, "seconds": seconds}
    logging.getLogger(f"{ROOT}.steps").info("%s: %s, %.0f s", step, facts, seconds, extra=told)


class Meter(Protocol):
    """How far one step has come."""

    def to(self, count: int, note: str = "") -> None:
        """`count` of the total are done."""

    def advance(self, note: str = "") -> None:
        """One more is done."""

    def resize(self, total: int) -> None:
        """The total turned out to be another."""


class Progress(Protocol):
    """Shows meters: called at the beginning of each step of long work."""

    def __call__(self, step: str, total: int | None, before: int = 0) -> AbstractContextManager[Meter]:
        """total: None where it is not known beforehand. before: what an earlier run has done."""


class Unseen:
    """A meter that nobody looks at."""

    def to(self, count: int, note: str = "") -> None:
        """Nothing."""

    def advance(self, note: str = "") -> None:
        """Nothing."""

    def resize(self, total: int) -> None:
        """Nothing."""


@contextmanager
def unseen(step: str, total: int | None, before: int = 0) -> Iterator[Meter]:
    """Shows nothing."""
    yield Unseen()


_progress: Progress = unseen


def show_progress(progress: Progress) -> None:
    """Have all long work of this process shown; `unseen` shows none, as before the first call."""
    global _progress
    _progress = progress


def meter(step: str, total: int | None, before: int = 0) -> AbstractContextManager[Meter]:
    """Progress of one step, for whoever shows it."""
    return _progress(step, total, before)
