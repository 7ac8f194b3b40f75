"""What is an event, and what is counted and left out."""

from datetime import UTC, datetime, timedelta

import pytest

from data import tables
from data.events import kinds
from data.events.kinds import Feedback, Listen, Track, read_events

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_track_has_the_columns_of_the_tracks_table() -> None:
    assert list(Track.model_fields) == list(tables.SCHEMAS["tracks"])
    assert (kinds.CLOCKS, kinds.ANNOUNCED) == (tables.CLOCKS, tables.ANNOUNCED)


@pytest.mark.parametrize(
    "told",
    [NOON, "2026-05-01T12:00:00Z", "2026-05-01 12:00:00", "2026-05-01T14:00+02:00", NOON.timestamp(), "1777636800"],
)
def test_moments_are_read_in_any_form_and_zone(told: object) -> None:
    (event,), refused = read_events("listen", [{"user_id": "u", "track_id": "t", "listened_at": told}])
    assert event.at == NOON
    assert not refused.total


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        ("listen", {"user_id": " ", "track_id": "t"}, "user_id: empty"),
        ("listen", {"user_id": "u"}, "track_id: field required"),
        ("listen", {"user_id": "u", "track_id": "\ud800"}, "track_id: holds what is no text"),
        ("listen", {"user_id": "u", "track_id": "t", "played_ratio": 1.5}, "played_ratio: "),
        ("listen", {"user_id": "u", "track_id": "t", "played_ratio": float("nan")}, "played_ratio: "),
        ("listen", {"user_id": "u", "track_id": "t", "mood": "blue"}, "mood: "),
        (
            "listen",
            {"user_id": "u", "track_id": "t", "at": datetime.now(UTC) + timedelta(days=3)},
            "at: more than a day",
        ),
        ("feedback", {"user_id": "u", "track_id": "t", "feedback": "meh"}, "feedback: "),
        ("block", {"user_id": "u"}, "names neither"),
        ("block", {"user_id": "u", "track_id": "t", "artist": "a"}, "names neither"),
        ("add", {"track": {"title": "no id"}}, "track.track_id: field required"),
        ("add", {"track": {"track_id": "t", "release_date": "9999-01-01"}}, "track.release_date: more than 366"),
        (None, {"kind": "applause", "user_id": "u"}, ""),
    ],
)
def test_a_bad_record_is_counted_with_its_reason_and_the_others_go_on(
    kind: str | None, record: dict[str, object], reason: str
) -> None:
    good = {"user_id": "u", "track_id": "t", "at": NOON, "kind": "listen"}
    others, _ = read_events(None, [good])
    events, refused = read_events(kind, [record])
    assert events == []
    assert refused.total == 1
    (said,) = refused.count
    assert reason in said
    assert str(refused).startswith("1 x ")
    events, refused = read_events(None, [{**record, "kind": kind or "applause"}, good])
    assert (events, refused.total) == (others, 1)


def test_what_is_no_record_is_counted_too() -> None:
    events, refused = read_events("listen", ["text", None])  # type: ignore[list-item]
    assert (events, refused.total) == ([], 2)


def test_the_same_content_has_the_same_id_and_other_content_another() -> None:
    listen = Listen(user_id="u", track_id="t", at=NOON)
    assert listen.row().id == Listen(user_id="u", track_id="t", at=NOON).row().id
    others = [
        Listen(user_id="v", track_id="t", at=NOON),
        Listen(user_id="u", track_id="s", at=NOON),
        Listen(user_id="u", track_id="t", at=NOON + timedelta(microseconds=1)),
        Listen(user_id="u", track_id="t", at=NOON, played_ratio=0.5),
        Feedback(user_id="u", track_id="t", at=NOON, feedback="like"),
    ]
    assert len({event.row().id for event in [listen, *others]}) == 1 + len(others)
