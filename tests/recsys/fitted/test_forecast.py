"""What a first build says of itself before it begins."""

from recsys.fitted.forecast import LONG, announcement, minutes_of_first_build
from recsys.settings import TuningSettings


def test_a_small_catalogue_says_nothing(fixed_world):
    _, dataset, _ = fixed_world
    assert minutes_of_first_build(len(dataset.track_ids), dataset.listens.height, TuningSettings()) < LONG
    assert announcement(dataset, TuningSettings()) == ""


def test_it_grows_with_songs_plays_and_the_minutes_of_tuning():
    base = minutes_of_first_build(1_000_000, 10_000_000, TuningSettings())
    assert base > minutes_of_first_build(900_000, 10_000_000, TuningSettings())
    assert base > minutes_of_first_build(1_000_000, 9_000_000, TuningSettings())
    assert minutes_of_first_build(1_000_000, 10_000_000, TuningSettings(minutes=28)) == base + 8


def test_where_it_is_long_it_is_said_with_the_sizes(fixed_world):
    _, dataset, _ = fixed_world
    words = announcement(dataset, TuningSettings(minutes=10_000))
    plays = dataset.listens.height + dataset.playlist_tracks.height
    assert f"{len(dataset.track_ids):,} songs, {plays:,} plays" in words
    assert "10000 of them for tuning" in words
