"""The file behind the store: SQLite's write-ahead log, and errors that say what to do.

`synchronous=FULL`: a commit returns once the log is on the disk, so that what was acknowledged outlives a power cut and
not only a killed process, which `NORMAL` would do. Each commit costs a flush of the disk.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from data.errors import DamagedError, UserError

APPLICATION = 0x4854434C
"`HTCL`: whose file it is."
FORMAT = 1

SCHEMA = f"""
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    id NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    user_id TEXT,
    track_id TEXT,
    at INTEGER NOT NULL,
    played_ratio REAL,
    detail TEXT,
    stored_at INTEGER NOT NULL
);
CREATE INDEX plays ON events (user_id, number) WHERE kind IN ('listen', 'feedback');
CREATE INDEX blocks ON events (user_id, number) WHERE kind IN ('block', 'unblock');
CREATE INDEX takedowns ON events (number) WHERE kind IN ('remove', 'restore');
CREATE INDEX songs ON events (number) WHERE kind = 'add';
CREATE TRIGGER nothing_changes BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER nothing_goes BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
"""
"""`number` counts up by one and orders all events, whatever their clocks say; nothing is ever removed, so that none is
given twice. The partial indexes hold what is looked up by listener, and the few rows that are read whole."""


def create(path: Path) -> None:
    """An empty store, unless there is one. It gets its name once it is whole: an empty file is a damaged one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with errors(path), TemporaryDirectory(prefix=".events-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        database = sqlite3.connect(made, isolation_level=None)
        database.executescript(SCHEMA)
        database.execute("PRAGMA journal_mode = WAL")
        database.close()
        with suppress(FileExistsError):  # another process was faster
            os.link(made, path)
        _flush(path.parent)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class OpenFile:
    """One open connection to a store, for one thread at a time."""

    def __init__(self, path: Path, wait_s: float) -> None:
        self._path, self._wait_s = path, wait_s
        self._database: sqlite3.Connection | None = None
        self.identity: tuple[int, int] | None = None
        "Device and number of the file that is open."

    def get(self) -> sqlite3.Connection | None:
        """None where there is no file; opened again where another one has taken its place (`mending` puts one there).

        Raises DamagedError, UserError.
        """
        try:
            facts = os.stat(self._path)
        except FileNotFoundError:
            self.close()
            return None
        identity = facts.st_dev, facts.st_ino
        if self._database is None or self.identity != identity:
            self.close()
            self._database, self.identity = connect(self._path, self._wait_s), identity
        return self._database

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
        self._database, self.identity = None, None


def connect(path: Path, wait_s: float) -> sqlite3.Connection:
    """The open store; for reading alone on a disk that cannot be written. Raises DamagedError, UserError."""
    with errors(path):
        if not path.stat().st_size:
            raise DamagedError(f"{path} is damaged: it is empty", MEND)
        if not os.access(path, os.W_OK):
            return _read_only(path)
        place = f"{path.absolute().as_uri()}?mode=rw"
        database = sqlite3.connect(place, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False)
        return _checked(database, path)


def _checked(database: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        owner, version = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if owner != APPLICATION:
            raise UserError(f"{path} is a database of another program", "Move it away: the event store has this name.")
        if version > FORMAT:
            raise UserError(f"{path} was written by a newer version of this program", "Install that, or a later one.")
        database.execute("SELECT max(number) FROM events").fetchone()
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA cache_size = -65536")  # 64 MB: listeners fall anywhere in their index
        database.execute("PRAGMA wal_autocheckpoint = 8000")  # 32 MB: a page that changes often is moved once
    except BaseException:
        database.close()
        raise
    return database


def _read_only(path: Path) -> sqlite3.Connection:
    def opened(how: str) -> sqlite3.Connection:
        place = f"{path.absolute().as_uri()}?{how}"
        return _checked(sqlite3.connect(place, uri=True, isolation_level=None, check_same_thread=False), path)

    try:
        return opened("mode=ro")
    except sqlite3.OperationalError:  # no log is open beside it, and none can be made: nobody writes here
        return opened("immutable=1")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and nobody else writes meanwhile."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """Errors of SQLite as ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _is_busy(error):
            raise UserError(f"{path} is locked by another process", "Call again once it is done.") from error
        if "full" in str(error):
            raise UserError(
                f"no room to write {path}", "Make room and call again: what is stored already is not stored twice."
            ) from error
        if "disk i/o" in str(error):
            raise DamagedError(f"{path} cannot be read or written: {error}", MEND) from error
        raise UserError(f"{path}: {error}", "Is it a file that may be read and written?") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise DamagedError(f"{path} is damaged: {error}", MEND) from error


MEND = "Run python -m data.events mend: it keeps the damaged file aside and saves what can still be read."


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return "locked" in str(error) or "busy" in str(error)
