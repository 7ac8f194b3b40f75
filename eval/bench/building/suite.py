"""`python -m eval.bench build`: what each step from tables to a published index takes, by the size of the catalogue."""

import logging
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from data.console.progress import listen, say
from data.storage.workspace import Workspace
from eval.bench.building.tables import TABLES, write_tables
from eval.bench.children import in_a_child, peak_mib
from eval.bench.rows import Row

MINUTES, GIB = 30.0, 8.0
"What a build of MOST songs with ten times as many plays may take."
MOST = 1_000_000
CHUNK = 2**20


@dataclass(frozen=True)
class BuildSizes:
    """What is built. songs: sizes of the catalogue. minutes: of tuning; None takes the default."""

    songs: tuple[int, ...] = (10_000, 100_000)
    plays_a_song: int = 10
    minutes: float | None = None


@dataclass(frozen=True)
class Step:
    """One step of a build: seconds by the clock and of all processors, and the peak of memory while it ran."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Built:
    """One size. stored: bytes of the tables and of all that was made. read_seconds: what reading them once takes."""

    songs: int
    plays: int
    stored: int
    read_seconds: float
    steps: list[Step] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        """By the clock, of all steps."""
        return sum(step.seconds for step in self.steps) / 60

    @property
    def peak_gib(self) -> float:
        """The most memory that any step held."""
        return max(step.peak_mib for step in self.steps) / 1024

    def by_name(self) -> dict[str, Step]:
        """Steps of one name (the encoder is trained and asked more than once) as one."""
        found: dict[str, Step] = {}
        for step in self.steps:
            before = found.get(step.name, Step(step.name, 0.0, 0.0, 0.0))
            found[step.name] = Step(
                step.name,
                before.seconds + step.seconds,
                before.cpu_seconds + step.cpu_seconds,
                max(before.peak_mib, step.peak_mib),
            )
        return found


def build_bench(sizes: BuildSizes, tell: Callable[[str], None]) -> tuple[list[Row], list[Built]]:
    """Every size in processes of its own: one writes the tables, another reads them and builds."""
    found = []
    for songs in sizes.songs:
        tell(f"  {songs:,} songs ...")
        with tempfile.TemporaryDirectory() as scratch:
            in_a_child(write_tables, Path(scratch) / "tables", songs, sizes.plays_a_song)
            found.append(in_a_child(measure, Path(scratch), songs, sizes))
    return [row for one in found for row in rows_of(one)], found


def measure(folder: Path, songs: int, sizes: BuildSizes) -> Built:
    """Prepare and build, step by step; both are imported here, so that this is part of what is measured."""
    listen()
    tables, workspace = folder / "tables", folder / "workspace"
    with StepClock() as clock:
        from data.dataset import save_dataset
        from data.importers.own_tables.importer import FilesSettings, import_files

        files = FilesSettings.model_validate({name: tables / f"{name}.parquet" for name in TABLES})
        save_dataset(Workspace(workspace), import_files(files), {"importer": "tables"})
        clock.note("tables")
        from recsys.pipeline import build
        from recsys.settings import ProductSettings, TuningSettings

        tuning = TuningSettings() if sizes.minutes is None else TuningSettings(minutes=sizes.minutes)
        with Workspace(workspace).lock():
            build(Workspace(workspace), product=ProductSettings(tuning=tuning))
    stored, seconds = read_once(folder)
    return Built(songs, songs * sizes.plays_a_song, stored, seconds, clock.steps)


def read_once(folder: Path) -> tuple[int, float]:
    """The bytes of all files below a folder, and the seconds that reading them takes."""
    started, stored = time.perf_counter(), 0
    for path in _files(folder):
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                stored += len(part)
    return stored, time.perf_counter() - started


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


class StepClock(logging.Handler):
    """Notes what passed between one finished step and the next, as the build reports them; the rest is `end`."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def __enter__(self) -> "StepClock":
        logging.getLogger("htcl.steps").addHandler(self)
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("htcl.steps").removeHandler(self)
        self.note("end")

    def emit(self, record: logging.LogRecord) -> None:
        """One that the build reports."""
        self.note(str(vars(record)["step"]))

    def note(self, name: str) -> None:
        """A step is over."""
        step = Step(name, time.monotonic() - self._clock, _cpu() - self._cpu, peak_mib())
        self.steps.append(step)
        say(f"    {name:<11} {step.seconds:8.1f} s {step.cpu_seconds:8.1f} s of processors {step.peak_mib:8,.0f} MiB")
        self._begin()

    def _begin(self) -> None:
        self._clock, self._cpu = time.monotonic(), _cpu()
        forget_peak()


def forget_peak() -> None:
    """Count the process's peak of memory from here on, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _cpu() -> float:
    """Seconds of all processors, of this process and those it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def rows_of(one: Built) -> list[Row]:
    """The rows of a size: all of it, then each step against reading once what is stored at the end."""
    size = f"{one.songs:,} songs"
    minutes, memory = (MINUTES, GIB) if one.songs == MOST else (None, None)
    cpu = sum(step.cpu_seconds for step in one.steps)
    kept = f"{one.stored / 2**20:,.0f} MiB stored"
    what = f"{one.plays:,} plays, simulated, without sound; {cpu:,.0f} s of processors, {kept}"
    rows = [
        Row(f"build, {size}", one.minutes, "min", None, minutes, at_most=True, note=what),
        Row(f"build, {size}, peak memory", one.peak_gib, "GiB", None, memory, at_most=True),
    ]
    for name, step in one.by_name().items():
        note = f"{step.seconds:,.0f} s by the clock, peak {step.peak_mib:,.0f} MiB"
        rows.append(Row(f"{name}, {size}, processors", step.cpu_seconds, "s", one.read_seconds, note=note))
    return rows
