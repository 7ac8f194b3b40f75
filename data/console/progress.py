"""What a run tells while it works, on stderr, so that stdout holds results and nothing else."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data import reporting
from data.console.names import as_called

FIRST = os.environ.get("RANK", "0") == "0"
"""Of several processes that train together only the first one talks. Errors are not kept back."""
console = Console(stderr=True, highlight=False, soft_wrap=True)
PLAIN_EVERY_S = 20.0


def listen() -> None:
    """Show this process's log of `htcl` from INFO on, and its progress, on stderr."""
    log = logging.getLogger(reporting.ROOT)
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers = [ConsoleHandler()]
    reporting.show_progress(console_meter)


def say(text: str) -> None:
    """One line of a command to the person watching."""
    if FIRST:
        console.print(as_called(text), markup=False)


class ConsoleHandler(logging.Handler):
    """Prints records as lines; a finished step as columns: name, what came of it, how long it took."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        step = vars(record).get("step")
        say(record.getMessage() if step is None else f"  {step:<11} {record.facts:<72} {record.seconds:6.0f} s")  # type: ignore[attr-defined]


class ConsoleMeter:
    """Advances a bar on a terminal; elsewhere prints a line now and then, so that logs show life."""

    def __init__(self, step: str, total: int | None, bar: Progress | None, before: int = 0) -> None:
        """before: items finished by an earlier run; not counted in the rate."""
        self.step, self.total, self.count, self.before = step, total, before, before
        self.bar = bar
        self.task = bar.add_task(f"  {step:<12}", total=total, completed=before, note="") if bar else None
        self.started = self.printed = time.monotonic()

    def to(self, count: int, note: str = "") -> None:
        """`count` of the total are done."""
        self.count = count
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=count, note=note)
        elif time.monotonic() - self.printed > PLAIN_EVERY_S:
            self.printed = time.monotonic()
            seconds = max(self.printed - self.started, 1e-9)
            if self.total is None:
                say(f"  {self.step:<12}{count:,} {note}  {seconds:.0f} s")
                return
            rate = max(0, count - self.before) / seconds
            left = (self.total - count) / rate if rate else 0.0
            say(f"  {self.step:<12}{count:,}/{self.total:,}  {note}  {left:.0f} s left")

    def resize(self, total: int) -> None:
        """The total turned out to be another."""
        self.total = total
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, total=total)

    def advance(self, note: str = "") -> None:
        """One more is done."""
        self.to(self.count + 1, note)


@contextmanager
def console_meter(step: str, total: int | None, before: int = 0) -> Iterator[ConsoleMeter]:
    """Progress of one step. total: None where it is not known beforehand. before: what an earlier run has done."""
    if not (console.is_terminal and FIRST):
        yield ConsoleMeter(step, total, None, before)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield ConsoleMeter(step, total, bar, before)
