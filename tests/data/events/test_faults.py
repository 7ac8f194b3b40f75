"""Killed, locked, full, damaged: nothing acknowledged is lost, and every error says what to do."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DamagedError, UserError
from data.events.database import _read_only
from data.events.kinds import Listen, Remove
from data.events.mending import mend
from data.events.store import EventStore

ROOT = Path(__file__).parents[3]
APPENDING = """
import sys
from pathlib import Path
from data.events.database import _read_only
from data.events.kinds import Listen
from data.events.store import EventStore
store = EventStore(Path(sys.argv[1]), wait_s=60)
for number in range(int(sys.argv[3])):
    assert store.append([Listen(user_id=sys.argv[2], track_id=str(number), id=f"{sys.argv[2]}-{number}")]) == 1
    print(number, flush=True)
"""


def appending(path: Path, user: str, count: int) -> subprocess.Popen[str]:
    """A process that appends one by one and prints what was acknowledged."""
    command = [sys.executable, "-c", APPENDING, str(path), user, str(count)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)


def tracks_of(store: EventStore, user: str) -> list[str | None]:
    return [event.track_id for event in store.plays([user])]


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_what_a_killed_process_was_told_is_stored_is_stored(path: Path, store: EventStore, acknowledged: int) -> None:
    process = appending(path, "u", 100_000)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(acknowledged)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    found = tracks_of(store, "u")
    assert found[: len(told)] == told
    assert len(found) <= len(told) + 1  # stored, and killed before it could say so
    assert store.append([Listen(user_id="u", track_id=str(len(found)))]) == 1


def test_two_processes_write_and_another_reads_meanwhile(path: Path, store: EventStore) -> None:
    writers = [appending(path, user, 60) for user in ("u", "v")]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        numbers = [event.number for event in store.since(0)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= seen
        seen = len(numbers)
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert tracks_of(store, "u") == tracks_of(store, "v") == [str(number) for number in range(60)]


def test_a_store_that_stays_locked_is_an_error_in_two_lines_and_readers_go_on(path: Path, store: EventStore) -> None:
    store.append([Remove(track_id="t")])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError, match="locked by another process") as raised:
        EventStore(path, wait_s=0.1).append([Remove(track_id="s")])
    assert len(str(raised.value).splitlines()) == 2
    assert [event.track_id for event in store.takedowns()] == ["t"]
    holder.execute("ROLLBACK")
    holder.close()
    assert store.append([Remove(track_id="s")]) == 1


def test_without_room_nothing_is_stored_and_the_same_call_does_it_later(path: Path, store: EventStore) -> None:
    store.append([Listen(user_id="u", track_id="first")])
    many = [Listen(user_id="u", track_id=f"{number:0500}") for number in range(1000)]
    database = store._writer.get()
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    most = database.execute("PRAGMA max_page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(UserError, match="no room") as raised:
        store.append(many)
    assert len(str(raised.value).splitlines()) == 2
    assert store.last == 1
    database.execute(f"PRAGMA max_page_count = {most}")
    assert store.append(many) == 1000


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program"):
        EventStore(path).append([Remove(track_id="t")])
    assert path.read_bytes() == before


def test_a_store_of_a_later_version_is_named(path: Path, store: EventStore) -> None:
    store.append([Remove(track_id="t")])
    store.close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(UserError, match="newer version"):
        EventStore(path).takedowns()


def test_a_store_that_may_only_be_read_is_read(path: Path, store: EventStore) -> None:
    store.append([Remove(track_id="t")])
    for _ in range(2):  # beside a log that is open, and alone
        database = _read_only(path)
        assert database.execute("SELECT track_id FROM events").fetchall() == [("t",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.execute("INSERT INTO events (id, kind, at, stored_at) VALUES (1, 'remove', 0, 0)")
        database.close()
        store.close()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"not a database, " * 1000)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribbled_over(path: Path) -> None:
    """A tenth of the pages, in the middle: of the events and of what finds them."""
    pages = path.stat().st_size // 4096
    with open(path, "r+b") as file:
        file.seek(4096 * (pages // 2))
        file.write(b"\xff" * 4096 * (pages // 10))


def filled(store: EventStore) -> None:
    store.append([Remove(track_id=f"gone-{number}") for number in range(20)])
    store.append([Listen(user_id=f"u{number % 7}", track_id=f"t{number}") for number in range(3000)])
    store.close()  # the log goes into the file


@pytest.mark.parametrize("damage", [empty, no_database, cut_off, scribbled_over])
def test_a_damaged_store_says_so_and_mending_keeps_it_aside(
    damage: Callable[[Path], None], path: Path, store: EventStore
) -> None:
    filled(store)
    before = list(store.since(0))
    store.close()
    damage(path)
    damaged = path.read_bytes()
    with pytest.raises(DamagedError, match=r"data\.events mend") as raised:
        list(store.since(0))
    assert len(str(raised.value).splitlines()) == 2
    assert path.read_bytes() == damaged

    mended = mend(path)
    assert mended.aside.read_bytes() == damaged
    found = list(store.since(0))  # the same object opens the new file
    assert found.pop().kind == "mended"
    assert len(found) == mended.saved
    assert set(found) <= set(before)
    assert [event.number for event in found] == sorted(event.number for event in found)
    assert store.append([Remove(track_id="after")]) == 1
    assert store.takedowns()[-1].number > len(before)


def test_mending_saves_what_a_damaged_page_does_not_hold(path: Path, store: EventStore) -> None:
    filled(store)
    scribbled_over(path)
    mended = mend(path)
    assert 1000 < mended.saved < 3020
    assert mended.saved + mended.lost <= 3020


def test_mending_a_whole_store_loses_nothing_even_what_lies_in_the_log(path: Path, store: EventStore) -> None:
    store.append([Remove(track_id=f"gone-{number}") for number in range(20)])
    before = list(store.since(0))  # the store stays open: all of it lies in the log
    assert Path(f"{path}-wal").stat().st_size > 0
    mended = mend(path)
    assert (mended.saved, mended.lost) == (20, 0)
    assert list(store.since(0))[:-1] == before
    assert mend(path).aside != mended.aside
    with pytest.raises(UserError, match="no event store"):
        mend(path.with_name("none.sqlite"))
