"""What a bench reports: rows of ours against a floor, their table, and the machine they were measured on."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from data.storage.atomic_files import write_text

LIBRARIES = ("torch", "torchaudio", "transformers", "soundfile", "numpy", "duckdb", "polars")


@dataclass(frozen=True)
class Row:
    """One measure. `ours` and `floor` have the same unit; without a floor, `ours` itself is held to the target.

    at_most: the target is an upper bound. Without a target the row only says what was measured.
    """

    measure: str
    ours: float
    unit: str
    floor: float | None = None
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """ours / floor."""
        return None if self.floor is None else self.ours / self.floor

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        held = self.ours if self.ratio is None else self.ratio
        return held <= self.target if self.at_most else held >= self.target


def medians(calls: Sequence[Callable[[], object]], repeats: int, warm: bool = True) -> list[float]:
    """Median seconds of each call. They take turns, so that a machine busy with something else hits all of them.

    warm: run each once before the clock starts.
    """
    for call in calls if warm else ():
        call()
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for taken, call in zip(seconds, calls, strict=True):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]


def rows_table(rows: Sequence[Row], title: str) -> Table:
    """measure · ours · floor · ratio · target · ok or missed, with the units beside the numbers."""
    table = Table(title=Text(title), box=SIMPLE_HEAD, title_justify="left")
    table.add_column("measure", overflow="fold")
    for column in ("ours", "floor", "ratio", "target"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        table.add_row(Text(row.measure), *map(Text, cells(row)))
    return table


def cells(row: Row) -> tuple[str, str, str, str, str]:
    """A row's numbers as people read them."""
    bound = "" if row.target is None else f"{'≤' if row.at_most else '≥'} {row.target:g}"
    verdict = {None: "", True: "ok", False: "missed"}[row.reached]
    return (
        _quantity(row.ours, row.unit),
        "-" if row.floor is None else _quantity(row.floor, row.unit),
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        bound,
        verdict,
    )


def _quantity(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 5
    return f"{value:,.{digits}f} {unit}".rstrip()


@dataclass(frozen=True)
class Circumstances:
    """Where and with what the rows were measured."""

    device: str
    date: str
    versions: dict[str, str]


def circumstances() -> Circumstances:
    """This machine, today."""
    cores = os.cpu_count() or 1
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return Circumstances(
        f"{cores} CPU cores, {torch.get_num_threads()} torch threads, {gpu}",
        f"{datetime.now(UTC):%Y-%m-%d}",
        {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
    )


def write_rows(path: Path, bench: str, rows: Sequence[Row], where: Circumstances) -> None:
    """The rows with their ratios and verdicts, and the circumstances, as JSON."""
    content = {
        "bench": bench,
        **asdict(where),
        "rows": [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False))
