"""The contract of the store: nothing that was acknowledged is lost, doubled, changed or put into another order."""

import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.events.kinds import Block, Event, Feedback, Listen, Remove, Restore, Row, Unblock
from data.events.store import EventStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def listens(count: int, user: str = "u") -> list[Event]:
    return [Listen(user_id=user, track_id=f"t{at}", at=NOON + timedelta(minutes=at)) for at in range(count)]


def tracks(store: EventStore) -> list[str | None]:
    return [event.track_id for event in store.since(0)]


def test_without_a_file_nothing_has_happened_and_asking_makes_none(store: EventStore, path: Path) -> None:
    assert (store.last, list(store.since(0)), store.takedowns(), store.plays(["u"]), store.blocks(["u"])) == (
        0,
        [],
        [],
        [],
        [],
    )
    assert not path.parent.exists()


def test_events_come_back_as_they_were_in_the_order_they_came(store: EventStore) -> None:
    told: list[Event] = [
        Listen(user_id="é", track_id="🎸", at=NOON, played_ratio=0.25, id="mine"),
        Feedback(user_id="u", track_id="t", feedback="skip", at=NOON),
        Block(user_id="u", artist="A", at=NOON),
        Unblock(user_id="u", track_id="t", at=NOON),
        Remove(track_id="t", reason="rights", at=NOON),
    ]
    assert store.append(told) == 5
    found = list(store.since(0))
    assert [tuple(event[1:]) for event in found] == [tuple(event.row()) for event in told]
    assert [event.number for event in found] == [1, 2, 3, 4, 5]
    assert {event.moment for event in found} == {NOON}
    assert list(store.since(3)) == found[3:]
    assert list(store.since(1, upto=4, kinds=("block", "unblock"))) == found[2:4]
    assert store.last == 5


def test_the_same_event_is_stored_once(store: EventStore) -> None:
    assert store.append(listens(3)) == 3
    assert store.append([*listens(4), *listens(2)]) == 1
    assert (
        store.append([Listen(user_id="x", track_id="y", id="n1"), Listen(user_id="other", track_id="z", id="n1")]) == 1
    )
    assert tracks(store) == ["t0", "t1", "t2", "t3", "y"]


WORDS = st.sampled_from(["a", "b", "é", "0"])
EVENTS = st.lists(
    st.one_of(
        st.builds(Listen, user_id=WORDS, track_id=WORDS, at=st.sampled_from([NOON, NOON - timedelta(days=1)])),
        st.builds(Remove, track_id=WORDS, at=st.just(NOON), reason=WORDS),
        st.builds(Restore, track_id=WORDS, at=st.just(NOON), id=st.none() | WORDS),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=EVENTS, cut=st.integers(0, 12), again=st.integers(0, 12))
def test_whatever_is_repeated_in_whatever_parts_each_event_is_there_once_in_order(
    told: list[Event], cut: int, again: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = EventStore(tmp_path_factory.mktemp("store") / "events.sqlite")
    parts = told[:cut], told[: max(cut - again, 0)], told[max(cut - again, 0) :], told
    new = [store.append(part) for part in parts]
    wanted = list({event.row().id: event.row() for event in reversed(told)}.values())[::-1]
    firsts: dict[str | bytes, Row] = {}
    for event in told:
        firsts.setdefault(event.row().id, event.row())
    found = list(store.since(0))
    assert [tuple(event[1:]) for event in found] == [tuple(row) for row in firsts.values()]
    assert sum(new) == len(found) == len(wanted)
    assert [event.number for event in found] == sorted({event.number for event in found})
    state = {event.track_id: event.kind for event in store.takedowns()}
    assert state == {row.track_id: row.kind for row in firsts.values() if row.kind != "listen"}
    store.close()


def test_what_is_looked_up_by_listener(store: EventStore) -> None:
    store.append(
        [
            *listens(2, "u"),
            *listens(2, "v"),
            Block(user_id="u", track_id="t1"),
            Feedback(user_id="u", track_id="t0", feedback="like"),
        ]
    )
    assert [event.kind for event in store.plays(["u"])] == ["listen", "listen", "feedback"]
    assert [event.kind for event in store.plays(["u"], since=2)] == ["feedback"]
    assert [event.number for event in store.plays(["v", "u"])] == [1, 2, 3, 4, 6]
    assert [event.track_id for event in store.blocks(["u"])] == ["t1"]
    assert store.blocks(["v"]) == []


def test_order_is_by_number_though_the_clock_was_set_back(store: EventStore) -> None:
    store.append([Remove(track_id="t", at=NOON)])
    store.append([Restore(track_id="t", at=NOON - timedelta(days=400))])
    assert [event.kind for event in store.takedowns()] == ["remove", "restore"]
    assert [event.kind for event in store.takedowns(since=1)] == ["restore"]


def test_what_one_appends_another_sees_at_once(store: EventStore, path: Path) -> None:
    reader = EventStore(path)
    before = reader.counter
    store.append(listens(1))
    assert reader.counter != before
    before = reader.counter
    assert reader.counter == before
    store.append([Remove(track_id="t")])
    assert reader.counter != before
    assert len(reader.takedowns()) == 1


def test_nothing_in_a_store_can_be_changed(store: EventStore, path: Path) -> None:
    store.append(listens(2))
    database = sqlite3.connect(path)
    for change in ("UPDATE events SET user_id = 'x'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            database.execute(change)
    database.close()
    assert tracks(store) == ["t0", "t1"]


def test_threads_that_append_at_once_all_learn_how_many_were_new(store: EventStore) -> None:
    new: dict[int, int] = {}
    together = threading.Barrier(8)

    def append(number: int) -> None:
        together.wait()
        new[number] = store.append([*listens(3, f"user-{number}"), *listens(1, "everybody's")])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new.values()) == store.last == 8 * 3 + 1
    assert set(new.values()) <= {3, 4}


def test_a_failed_append_fails_for_each_thread_and_stores_nothing(store: EventStore, path: Path) -> None:
    store.append(listens(1))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    hurried = EventStore(path, wait_s=0.1)
    failed = []

    def append(number: int) -> None:
        try:
            hurried.append(listens(2, f"user-{number}"))
        except UserError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    holder.execute("ROLLBACK")
    holder.close()
    assert len(failed) == 4
    assert store.last == 1
    assert hurried.append(listens(2, "user-0")) == 2


def test_a_fork_opens_the_file_for_itself(store: EventStore, path: Path) -> None:
    store.append(listens(1))
    assert store.last == 1
    child = os.fork()
    if child == 0:
        done = store.append(listens(2, "child")) == 2 and store.last == 3
        os._exit(0 if done else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.append(listens(1, "parent")) == 1
    assert store.last == 4


def test_a_large_append_goes_in_several_transactions(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.events.store.AT_ONCE", 3)
    monkeypatch.setattr("data.events.store.READ", 4)
    assert store.append(iter(listens(11))) == 11
    assert tracks(store) == [f"t{at}" for at in range(11)]
