"""The event store of a workspace: appended to by any process, read by any other, nothing ever changed or removed.

Events are ordered by the number they get, not by their clocks. What one process appends, every other sees with its next
question: `counter` costs some ten microseconds.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from data.errors import UserError
from data.events.database import OpenFile, create, errors, transaction
from data.events.kinds import EPOCH, MICROSECOND, Event, Row

WAIT_S = 10.0
"How long one writer waits for another."
AT_ONCE = 20_000
"Events of one transaction; more are appended in several."
READ = 50_000
INSERT = "INSERT OR IGNORE INTO events (id, kind, user_id, track_id, at, played_ratio, detail, stored_at)"
COLUMNS = "number, id, kind, user_id, track_id, at, played_ratio, detail"


Values = tuple[int, str | bytes, str, str | None, str | None, int, float | None, str | None]


class Stored(NamedTuple):
    """An event and its number; see `kinds.Row` for the rest."""

    number: int
    id: str | bytes
    kind: str
    user_id: str | None
    track_id: str | None
    at: int
    played_ratio: float | None
    detail: str | None

    @property
    def moment(self) -> datetime:
        """When it happened, UTC."""
        return EPOCH + self.at * MICROSECOND


@dataclass
class _Waiting:
    """What one caller appends. new: how many of them were not there, once it is stored."""

    rows: Sequence[Row]
    new: int | None = None
    error: UserError | None = None


@dataclass
class _Queue:
    """Callers of one process whose events go to the disk together."""

    waiting: list[_Waiting] = field(default_factory=list)
    door: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)


class EventStore:
    """Where there is no file yet, nothing has happened; the first event makes it. Threads and forks may share one."""

    def __init__(self, path: Path, wait_s: float = WAIT_S) -> None:
        """wait_s: how long to wait for other writers."""
        self.path, self._wait_s = path, wait_s
        self._begin()

    def append(self, events: Iterable[Event]) -> int:
        """Store events for good; how many were new. Those whose id is there already are passed over.

        Once it returns they outlive a power cut. Threads that append at the same time share one flush of the disk.
        Raises UserError where another process keeps the store locked or no room is left: call again with the same
        events. DamagedError where the file is damaged.
        """
        new = 0
        rows = (event.row() for event in events)
        while some := list(islice(rows, AT_ONCE)):
            new += self._stored(_Waiting(some))
        return new

    @property
    def last(self) -> int:
        """The number of the latest event, 0 without any."""
        with self._reading() as database:
            return 0 if database is None else database.execute("SELECT max(number) FROM events").fetchone()[0] or 0

    @property
    def counter(self) -> tuple[int, int]:
        """Another one as soon as anything has come or the file is another one: (file, number of the latest event)."""
        last = self.last
        identity = self._reader.identity
        return identity[1] if identity else 0, last

    def since(self, number: int, upto: int | None = None, kinds: Sequence[str] = ()) -> Iterator[Stored]:
        """Events with a higher number, in order. upto: the last one. kinds: these alone; none are all."""
        for rows in self.chunks(number, upto, kinds):
            yield from map(Stored._make, rows)

    def chunks(self, number: int, upto: int | None = None, kinds: Sequence[str] = ()) -> Iterator[list[Values]]:
        """The same, some 50,000 at a time, for those who want columns."""
        chosen = f" AND kind IN ({', '.join(repr(kind) for kind in kinds)})" if kinds else ""
        query = f"SELECT {COLUMNS} FROM events WHERE number > ? AND number <= ?{chosen} ORDER BY number LIMIT {READ}"
        upto = self.last if upto is None else upto
        while rows := self._ask(query, number, upto):
            yield rows
            number = rows[-1][0]

    def takedowns(self, since: int = 0) -> list[Stored]:
        """Removals and restorations with a higher number, in order: few, and found without reading the rest."""
        return self._some("kind IN ('remove', 'restore') AND number > ? ORDER BY number", since)

    def plays(self, users: Sequence[str], since: int = 0) -> list[Stored]:
        """Listens and feedback of a listener, who may have several spellings, with a higher number, in order."""
        names = ", ".join("?" * len(users))
        where = f"kind IN ('listen', 'feedback') AND user_id IN ({names}) AND number > ? ORDER BY number"
        return self._some(where, *users, since)

    def blocks(self, users: Sequence[str]) -> list[Stored]:
        """All that a listener has blocked and unblocked, in order."""
        names = ", ".join("?" * len(users))
        return self._some(f"kind IN ('block', 'unblock') AND user_id IN ({names}) ORDER BY number", *users)

    @property
    def any_blocks(self) -> bool:
        """Whether anybody has blocked anything."""
        return bool(self._ask("SELECT number FROM events WHERE kind IN ('block', 'unblock') LIMIT 1"))

    def close(self) -> None:
        """Let go of the file. It is opened again when it is next asked for."""
        self._of_this_process()
        with self._queue.writing:
            self._writer.close()
        with self._lock:
            self._reader.close()

    def _begin(self) -> None:
        """As nobody has asked for anything: in a new object, and in a fork, which must not use the parent's file.

        Who reads does not wait for who writes, so each has a connection.
        """
        self._reader, self._writer = (OpenFile(self.path, self._wait_s) for _ in range(2))
        self._lock, self._queue, self._process = threading.RLock(), _Queue(), os.getpid()

    def _stored(self, mine: _Waiting) -> int:
        """Who comes first stores what all have brought who came meanwhile: a flush takes milliseconds."""
        self._of_this_process()
        queue = self._queue
        with queue.door:
            queue.waiting.append(mine)
        with queue.writing:
            if mine.new is None and mine.error is None:
                with queue.door:
                    group, queue.waiting = queue.waiting, []
                self._commit(group)
        if mine.error is not None:
            raise mine.error
        assert mine.new is not None
        return mine.new

    def _commit(self, group: Sequence[_Waiting]) -> None:
        """All or nothing; whoever waits for it learns what has become of it."""
        try:
            counts = self._insert([each.rows for each in group])
        except UserError as error:
            for each in group:
                each.error = error
        except BaseException as error:
            for each in group:
                each.error = UserError(f"{self.path}: nothing was stored ({error!r})", "Call again.")
            raise
        else:
            for each, count in zip(group, counts, strict=True):
                each.new = count

    def _insert(self, groups: Sequence[Sequence[Row]]) -> list[int]:
        if not self.path.exists():
            create(self.path)
        with errors(self.path):
            database = self._writer.get()
            assert database is not None
            now, counts = time.time_ns() // 1000, []
            with transaction(database):
                for rows in groups:
                    before = database.total_changes
                    database.executemany(f"{INSERT} VALUES (?, ?, ?, ?, ?, ?, ?, {now})", rows)
                    counts.append(database.total_changes - before)
            return counts

    def _some(self, where: str, *values: object) -> list[Stored]:
        return [Stored._make(row) for row in self._ask(f"SELECT {COLUMNS} FROM events WHERE {where}", *values)]

    def _ask(self, query: str, *values: object) -> list[Any]:
        with self._reading() as database:
            return [] if database is None else database.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The open file, by one thread at a time; None where there is none."""
        self._of_this_process()
        with self._lock, errors(self.path):
            yield self._reader.get()

    def _of_this_process(self) -> None:
        if self._process != os.getpid():
            self._begin()
