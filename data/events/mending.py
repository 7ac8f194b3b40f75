"""A damaged store: kept aside as it is, and what can still be read of it put in its place.

Takedowns and what listeners said exist nowhere else, so nothing is ever deleted and nothing is mended unasked.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from data.errors import UserError
from data.events.database import create, errors, transaction

COLUMNS = "number, id, kind, user_id, track_id, at, played_ratio, detail, stored_at"
ROWS = f"SELECT {COLUMNS} FROM events WHERE"
GAP = 1_000_000
"Numbers left free behind the last one that was read."
LOST_IN_A_ROW = 100_000
"Numbers without a readable event after which nothing more is looked for, where the last one is not known either."


class Mended(NamedTuple):
    """aside: where the damaged file is. saved: events read from it. lost: numbers up to the last one read that have
    none."""

    aside: Path
    saved: int
    lost: int


def mend(path: Path) -> Mended:
    """Copy a store aside and put one in its place with the events that can be read, under their old numbers, and an
    event of the kind `mended`.

    Raises UserError where there is none. Nobody may append meanwhile; readers go on by themselves.
    """
    if not path.exists():
        raise UserError(f"no event store {path}", "There is nothing to mend.")
    fresh, aside = path.with_name(f".{path.name}.mended"), _free(path)
    for ending in ("-wal", ""):  # the log first: a name is taken once the whole copy is there
        with suppress(FileNotFoundError):
            shutil.copy2(f"{path}{ending}", f"{aside}{ending}")
    fresh.unlink(missing_ok=True)  # of a run that was cut off
    create(fresh)
    saved = last = 0
    with errors(fresh):
        database = sqlite3.connect(fresh, isolation_level=None)
        with transaction(database):
            for row in _readable(aside):
                marks = ", ".join("?" * len(row))
                saved += database.execute(f"INSERT OR IGNORE INTO events ({COLUMNS}) VALUES ({marks})", row).rowcount
                last = max(last, row[0])
            # Events that could not be read had numbers too, and a dataset may have been made from them.
            told = (last + GAP, str(aside), "mended", f"{saved:,} events saved from {aside.name}", *(_now(),) * 2)
            database.execute(
                "INSERT INTO events (number, id, kind, detail, at, stored_at) VALUES (?, ?, ?, ?, ?, ?)", told
            )
        database.close()  # with the last connection its log goes into the file
    for ending in ("-wal", "-shm"):  # or the new file would be read with the old one's log
        Path(f"{path}{ending}").unlink(missing_ok=True)
    os.replace(fresh, path)
    return Mended(aside, saved, last - saved)


def _now() -> int:
    return time.time_ns() // 1000


def _free(path: Path) -> Path:
    """A name that nothing has."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    return aside


Row = tuple[int, object, str, str | None, str | None, int, float | None, str | None, int]


def _readable(path: Path) -> Iterator[Row]:
    """The events that can be read, in order. Where a page is damaged, the events behind it are looked up one by one."""
    with suppress(sqlite3.Error):
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        last = _last(database)
        number = 0
        while last is None or number < last:
            try:
                for row in database.execute(
                    f"SELECT {COLUMNS} FROM events WHERE number > ? ORDER BY number", (number,)
                ):
                    yield row
                    number = row[0]
                return
            except sqlite3.Error:
                found = _next(database, number, last)
                if found is None:
                    return
                yield found
                number = found[0]


def _next(database: sqlite3.Connection, number: int, last: int | None) -> Row | None:
    for each in range(number + 1, (last or number + LOST_IN_A_ROW) + 1):
        with suppress(sqlite3.Error):
            row: Row | None = database.execute(f"{ROWS} number = ?", (each,)).fetchone()
            if row is not None:
                return row
    return None


def _last(database: sqlite3.Connection) -> int | None:
    with suppress(sqlite3.Error):
        number: int | None = database.execute("SELECT max(number) FROM events").fetchone()[0]
        return number
    return None
