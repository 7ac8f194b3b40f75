"""What a recommender is told is stored as it was meant, and what is no event is counted."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from data.errors import UserError
from data.tables import SCHEMAS
from recsys.recommender import Recommender

NOW = datetime.now(UTC)


def test_what_is_no_event_is_counted_with_an_example_and_the_rest_is_stored(alive: Recommender) -> None:
    song = alive.dataset.track_ids.names[0]
    rows: list[dict[str, Any]] = [
        {"user_id": "u", "track_id": song},
        {"user_id": "", "track_id": song},
        {"user_id": "u", "track_id": song, "played_ratio": 7},
        {"user_id": "u", "track_id": "not here"},
    ]
    outcome = alive.add_listens(rows)
    assert (outcome.new, outcome.refused.total, outcome.unknown, outcome.unknown_song) == (2, 2, 1, "not here")
    assert len(list(outcome.remarks())) == 2
    assert set(outcome.as_json()) == {"new", "repeated", "refused", "unknown", "unknown_song"}


def test_rows_of_the_listens_table_are_taken_as_they_are(alive: Recommender) -> None:
    row = dict.fromkeys(("user_id", "track_id", "listened_at", "position", "played_ratio", "feedback"))
    rows = [{**row, "user_id": "u", "track_id": "t", "listened_at": NOW, "feedback": said} for said in (None, "like")]
    frame = pl.DataFrame(rows, {**SCHEMAS["listens"]})
    assert alive.add_listens(frame).new == 2
    assert alive.add_listens(frame).repeated == 2
    assert [event.kind for event in alive._changes.store.since(0)] == ["listen", "feedback"]
    outcome = alive.add_listens([None, "text", {"user_id": "u", "track_id": "t", "feedback": "meh"}])  # type: ignore[list-item]
    assert (outcome.new, outcome.refused.total) == (0, 3)


@pytest.mark.parametrize(("song", "word"), [("t", "meh"), ("", "like"), ("artist:", "block")])
def test_one_word_that_means_nothing_is_an_error(alive: Recommender, song: str, word: str) -> None:
    with pytest.raises(UserError):
        alive.add_feedback("u", song, word)  # type: ignore[arg-type]
    assert alive._changes.store.last == 0


def test_songs_nobody_knows_stay_on_the_list_of_takedowns(alive: Recommender) -> None:
    assert alive.remove_tracks(["comes later"]).unknown == 1
    assert [event.track_id for event in alive._changes.store.takedowns()] == ["comes later"]


def test_ids_are_stored_as_the_dataset_writes_them(alive: Recommender) -> None:
    song = alive.dataset.track_ids.names[0]
    assert alive.remove_tracks([f"  {song} "]).unknown == 0
    assert [event.track_id for event in alive._changes.store.takedowns()] == [song]


def test_added_songs_wait_for_the_next_build(alive: Recommender) -> None:
    new = alive.dataset.tracks[:1].drop("release_date", "duration_s")
    assert alive.add_tracks(new).new == 1
    assert alive.add_tracks([{"track_id": "n", "title": "N", "genres": ["x"]}, {"title": "no id"}]).refused.total == 1
    assert [event.track_id for event in alive._changes.store.since(0)] == [new["track_id"].item(), "n"]
    assert alive.popular_and_fresh(3)
