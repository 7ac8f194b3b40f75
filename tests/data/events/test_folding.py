"""Events put into the tables say there what was said to the store."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.events.folding import folded
from data.events.kinds import Add, Block, Event, Feedback, Listen, Remove, Restore, Track
from data.events.store import EventStore
from data.tables import SCHEMAS, Imported, validate

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def tables() -> dict[str, pl.DataFrame]:
    """Three songs; u has played a and b, v has no time but a position; one playlist of all, features of a and b."""
    made = {
        "tracks": pl.DataFrame({"track_id": ["a", "b", "c"], "title": ["A", "B", None], "artist": ["X", "Y", None]}),
        "listens": pl.DataFrame(
            {
                "user_id": ["u", "u", "v"],
                "track_id": ["a", "b", "a"],
                "listened_at": [NOON, NOON + MINUTE, None],
                "position": [None, None, 0],
            }
        ),
        "playlists": pl.DataFrame({"playlist_id": ["p"], "title": ["all"]}),
        "playlist_tracks": pl.DataFrame({"playlist_id": ["p"] * 3, "position": [0, 1, 2], "track_id": ["a", "b", "c"]}),
        "features": pl.DataFrame({"track_id": ["a", "b"], "features": [[1.0, 2.0], [3.0, 4.0]]}),
    }
    return validate(Imported(made)).tables


def with_events(tables: dict[str, pl.DataFrame], store: EventStore, *events: Event) -> dict[str, pl.DataFrame]:
    store.append(events)
    found = folded(tables, store)
    assert found.last == store.last
    assert {name: dict(table.schema) for name, table in found.tables.items()} == SCHEMAS
    again = validate(Imported(found.tables))
    assert again.rejects.is_empty()
    assert not again.merged
    return found.tables


def test_without_events_the_tables_are_the_same(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    found = with_events(tables, store)
    for name, table in tables.items():
        assert_frame_equal(found[name], table)


def test_what_was_given_is_not_changed(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    before = {name: table.clone() for name, table in tables.items()}
    with_events(
        tables,
        store,
        Remove(track_id="a"),
        Listen(user_id="u", track_id="b"),
        Add(track=Track(track_id="b", title="!")),
    )
    for name, table in before.items():
        assert_frame_equal(tables[name], table)


def test_listens_and_feedback_become_rows_but_blocks_do_not(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    found = with_events(
        tables,
        store,
        Listen(user_id="new", track_id="c", at=NOON, played_ratio=0.5),
        Feedback(user_id="u", track_id="c", feedback="dislike", at=NOON),
        Block(user_id="u", track_id="c"),
    )["listens"]
    assert_frame_equal(found[:3], tables["listens"])
    assert found[3:].rows() == [("new", "c", NOON, None, 0.5, None), ("u", "c", NOON, None, None, "dislike")]


def test_a_listen_that_is_in_the_table_is_not_counted_twice(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    split_second = timedelta(milliseconds=400)
    found = with_events(
        tables,
        store,
        Listen(user_id="u", track_id="a", at=NOON + split_second, played_ratio=1),
        Listen(user_id="u", track_id="c", at=NOON),
        Listen(user_id="u", track_id="c", at=NOON + split_second),
        Listen(user_id="w", track_id="a", at=NOON),
        Feedback(user_id="u", track_id="a", at=NOON, feedback="like"),
    )["listens"]
    assert found[3:].select("user_id", "track_id", "feedback").rows() == [
        ("u", "c", None),
        ("w", "a", None),
        ("u", "a", "like"),
    ]


def test_the_last_word_is_the_last_though_it_was_said_at_once_or_with_a_clock_set_back(
    tables: dict[str, pl.DataFrame], store: EventStore
) -> None:
    words = ["like", "dislike", "like", "dislike"]
    times = [NOON, NOON, NOON - timedelta(days=90), NOON - timedelta(days=200)]
    said = [
        Feedback.model_validate({"user_id": "u", "track_id": "c", "feedback": w, "at": t, "id": str(n)})
        for n, (w, t) in enumerate(zip(words, times, strict=True))
    ]
    found = with_events(tables, store, *said)["listens"][3:]
    assert found.sort("listened_at", maintain_order=True)["feedback"][-1] == "dislike"
    found = with_events(tables, store, Feedback(user_id="u", track_id="c", feedback="like", at=NOON, id="last"))[
        "listens"
    ][3:]
    assert found.sort("listened_at", maintain_order=True)["feedback"][-1] == "like"


def test_a_song_taken_down_is_gone_from_every_table_until_it_is_restored(
    tables: dict[str, pl.DataFrame], store: EventStore
) -> None:
    store.append(
        [
            Listen(user_id="w", track_id="a", at=NOON),
            Remove(track_id="a", reason="rights"),
            Remove(track_id="never seen"),
        ]
    )
    gone = folded(tables, store)
    for name in ("tracks", "listens", "playlist_tracks", "features"):
        assert "a" not in gone.tables[name]["track_id"], name
        assert gone.tables[name].height > 0
    assert gone.remarks.select("where", "reason", "rows", "example").rows() == [("tracks", "taken down", 1, "a")]
    with_events(tables, store, Add(track=Track(track_id="a", title="once more")))
    assert "a" not in folded(tables, store).tables["tracks"]["track_id"]
    back = with_events(tables, store, Restore(track_id="a"))
    assert back["tracks"].row(0, named=True)["title"] == "once more"
    assert back["listens"].filter(track_id="a")["user_id"].to_list() == ["u", "v", "w"]
    assert "a" in back["playlist_tracks"]["track_id"]


def test_added_songs_come_by_id_and_what_they_know_wins(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    day = date(2026, 5, 1)
    found = with_events(
        tables,
        store,
        Add(track=Track(track_id="d", title="D", genres=["x", "y"], release_date=day, duration_s=12.5)),
        Add(track=Track(track_id="b", title="B!", album="new")),
        Add(track=Track(track_id="d", artist="Z", genres=["z"])),
        Listen(user_id="u", track_id="d", at=NOON),
    )
    rows = {row["track_id"]: row for row in found["tracks"].iter_rows(named=True)}
    assert list(rows) == ["a", "b", "c", "d"]
    assert (rows["b"]["title"], rows["b"]["artist"], rows["b"]["album"]) == ("B!", "Y", "new")
    d = rows["d"]
    assert (d["title"], d["artist"], d["genres"], d["release_date"], d["duration_s"]) == ("D", "Z", ["z"], day, 12.5)
    assert found["listens"][-1]["track_id"].item() == "d"


def test_listens_of_songs_nobody_knows_wait_and_are_counted(tables: dict[str, pl.DataFrame], store: EventStore) -> None:
    store.append([Listen(user_id="u", track_id="later", at=NOON + at * MINUTE) for at in range(3)])
    found = folded(tables, store)
    assert_frame_equal(found.tables["listens"], tables["listens"])
    assert found.remarks.select("what", "where", "rows", "example").rows() == [
        ("passed over", "listens", 3, "u played later")
    ]
    known = with_events(tables, store, Add(track=Track(track_id="later")))
    assert known["listens"].filter(track_id="later").height == 3


def test_ids_that_differ_by_blanks_or_the_form_of_accents_are_the_tables_own(store: EventStore) -> None:
    composed, taken_apart = "caf\u00e9", "cafe\u0301"
    listens = pl.DataFrame({"user_id": [composed], "track_id": [composed], "listened_at": [NOON]})
    tables = validate(Imported({"tracks": pl.DataFrame({"track_id": [composed, "other"]}), "listens": listens})).tables
    found = with_events(tables, store, Listen(user_id=f" {taken_apart}", track_id=taken_apart, at=NOON + MINUTE))
    assert found["listens"].select("user_id", "track_id").unique().rows() == [(composed, composed)]
    gone = with_events(tables, store, Remove(track_id=taken_apart))
    assert gone["tracks"]["track_id"].to_list() == ["other"]
