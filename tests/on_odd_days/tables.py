"""Tables as people bring them on odd days, as files that `data.prepare tables` reads."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from tests.recsys.commands import Commands

KINDS = ("folk", "metal", "jazz", "techno")
WORDS = ("river", "engine", "garden", "winter", "road", "glass")
FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def songs(count: int = 48) -> pl.DataFrame:
    """So many songs of four kinds by twelve artists; each sixth title has the word river."""
    return pl.DataFrame(
        {
            "track_id": [f"t{n:02}" for n in range(count)],
            "title": [f"{WORDS[n % 6]} number {n}" for n in range(count)],
            "artist": [f"Artist {n % 12}" for n in range(count)],
            "genres": [[KINDS[n % 4]] for n in range(count)],
            "release_date": [date(2000 + n % 20, 3, 1) for n in range(count)],
        }
    )


def plays(listeners: int = 24, each: int = 40, apart: timedelta = timedelta(hours=7)) -> pl.DataFrame:
    """Everybody plays songs of one kind, one after the other."""
    rows = [
        {
            "user_id": f"u{listener:02}",
            "track_id": f"t{(listener % 4 + 4 * ((3 * play + listener) % 12)):02}",
            "listened_at": FIRST + play * apart + timedelta(minutes=listener) * (apart > timedelta(0)),
            "played_ratio": 1.0,
            "feedback": None,
        }
        for listener in range(listeners)
        for play in range(each)
    ]
    return pl.DataFrame(rows, schema_overrides={"feedback": pl.String})


def written(folder: Path, tables: Mapping[str, pl.DataFrame]) -> Path:
    """The tables as CSV files in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        flat = table.with_columns(pl.col(pl.List(pl.String)).list.join(";"))
        flat.write_csv(folder / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return folder


def prepared(commands: Commands, root: Path, **tables: pl.DataFrame) -> tuple[Path, str]:
    """A workspace with the tables, not built yet, and what the command said."""
    workspace, folder = root / "workspace", written(root / "tables", tables)
    files = [part for name in tables for part in (f"--{name.replace('_', '-')}", folder / f"{name}.csv")]
    done = commands.run("data.prepare", "tables", *files, "--workspace", workspace)
    assert done.code == 0, done.err
    return workspace, done.out + done.err


def built(commands: Commands, root: Path, **tables: pl.DataFrame) -> tuple[Path, str]:
    """The same, built, and what the build said."""
    workspace, _ = prepared(commands, root, **tables)
    done = commands.run("recsys.build_index", "-w", workspace)
    assert done.code == 0, done.err
    return workspace, done.err
