import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset, load_dataset, save_dataset
from data.split import IN_GAP, LEAKS, PARTS, Split, SplitSettings, ensure_split
from data.storage.workspace import Workspace
from data.tables import Imported

START = datetime(2025, 1, 1, tzinfo=UTC)


def used(dataset: Dataset) -> set[int]:
    """Tracks with a play or a playlist entry."""
    return {*dataset.listens["track"], *dataset.playlist_tracks["track"]}


def check(dataset: Dataset, split: Split) -> None:
    """What holds for every split of every dataset."""
    training = split.training(dataset)
    # Aligned, and every row in exactly one part.
    assert len(split.listens) == dataset.listens.height
    assert len(split.playlists) == dataset.playlists.height
    in_gap = pl.Series(split.listens == IN_GAP)
    assert sum(split.listens_of(dataset, part).height for part in PARTS) + in_gap.sum() == dataset.listens.height
    assert split.listens_of(dataset, *PARTS).equals(dataset.listens.filter(~in_gap))
    assert split.order == "time" or not in_gap.any()
    assert sorted(row for part in PARTS for row in split.playlists_of(part)) == list(range(dataset.playlists.height))
    # Nothing from the future.
    start = split.moment("validation")
    if start is not None:
        changed = dataset.playlists["modified_at"][split.playlists_of("train").tolist()].drop_nulls()
        moments = [changed, training.playlist_tracks["added_at"].drop_nulls()]
        if split.order == "time":
            moments.append(training.listens["listened_at"])
        assert all(moment < start for column in moments for moment in column)
    check_past(dataset, split)
    # Held-out playlists are out whole.
    assert set(training.playlist_tracks["playlist"]) <= set(split.playlists_of("train").tolist())
    # Cold is what training does not know.
    everything = set(range(len(dataset.track_ids)))
    assert set(np.flatnonzero(split.cold_before("validation"))) == everything - used(training)
    assert set(np.flatnonzero(split.cold_before("test"))) == everything - used(split.past(dataset))
    # What only the held-out part knows takes part in no training, and some songs that nobody plays do not either.
    held_out = set(np.flatnonzero(split.held_out_only))
    assert held_out & used(dataset) == used(dataset) - used(training)


def check_past(dataset: Dataset, split: Split) -> None:
    """Training and validation are in it, the test is not, nor anything as late."""
    past, test = split.past(dataset), set(split.playlists_of("test").tolist())
    known = [split.listens_of(dataset, "train", "validation").height, dataset.listens.height]
    assert known[0] <= past.listens.height <= known[1] - split.listens_of(dataset, "test").height
    assert used(split.training(dataset)) <= used(past)
    assert not test & set(past.playlist_tracks["playlist"])
    assert split.learned_from(dataset, "past").listens.equals(past.listens)
    assert split.learned_from(dataset, "all") is dataset
    start = split.moment("test")
    if start is not None and split.order == "time":
        assert all(moment < start for moment in past.listens["listened_at"])
        entries = past.playlist_tracks.with_columns(
            changed=dataset.playlists["modified_at"].gather(past.playlist_tracks["playlist"])
        )
        assert all(moment < start for moment in entries["added_at"].drop_nulls())
        assert all(moment < start for moment in entries.filter(pl.col("added_at").is_null())["changed"].drop_nulls())


def test_the_block_world_is_divided_at_one_moment(small_world):
    _, dataset, split = small_world
    check(dataset, split)
    start, measured = split.moment("validation"), split.moment("test")
    at = {part: split.listens_of(dataset, part)["listened_at"] for part in PARTS}
    assert at["train"].max() < start <= at["validation"].min()
    assert at["validation"].max() < measured <= at["test"].min()
    assert split.order == "time"
    assert split.moment("train") is None
    shares = [len(at[part]) / dataset.listens.height for part in PARTS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_songs_that_came_late_are_cold(small_world):
    _, dataset, split = small_world
    late = {name for name in dataset.track_ids.names if name[-2:] in ("12", "13", "14")}
    cold = split.cold_before("validation")
    assert set(dataset.track_ids.to_names(np.flatnonzero(cold))) == late
    assert split.held_out_only.tolist() == cold.tolist()


def test_songs_that_validation_plays_are_no_longer_cold_in_the_test(small_world):
    _, dataset, split = small_world
    still = set(dataset.track_ids.to_names(np.flatnonzero(split.cold_before("test"))))
    assert still == {name for name in dataset.track_ids.names if name.endswith("14")}


def test_of_a_validation_playlist_the_past_has_what_was_there_before_the_test(publish, tmp_path):
    """By the entry's own date, or else that of the playlist; without either it counts as old."""
    before, after = START + timedelta(days=8, hours=5), START + timedelta(days=9, hours=12)
    dates = [(before, after), (after, after), (None, after), (None, before), (None, None)]
    rows = [(f"p{n}", 0, f"s{n}", added) for n, (added, _) in enumerate(dates)]
    entries = pl.DataFrame(rows, ["playlist_id", "position", "track_id", "added_at"], orient="row")
    playlists = pl.DataFrame({"playlist_id": [f"p{n}" for n in range(5)], "modified_at": [late for _, late in dates]})
    dataset = publish(listens=plays(100), playlists=playlists, playlist_tracks=entries)
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    assert split.moment("test") == START + timedelta(days=9)
    everywhere = replace(split, playlists=np.full(5, PARTS.index("validation"), np.int8))
    seen = everywhere.past(dataset).playlist_tracks["track"]
    assert dataset.track_ids.to_names(seen) == ["s0", "s3", "s4"]


def test_the_asked_share_of_the_playlists_is_held_out(small_world):
    workspace, dataset, _ = small_world
    wanted = SplitSettings(validation_share=0.2, playlist_test_share=0.4)
    split = ensure_split(workspace, dataset, wanted)
    assert [len(split.playlists_of(part)) for part in PARTS] == [12, 6, 12]


def test_playlists_changed_after_the_training_period_are_held_out_however_many(publish, tmp_path):
    playlists = pl.DataFrame(
        {"playlist_id": [f"p{i}" for i in range(10)], "modified_at": [START + timedelta(days=9 + i) for i in range(10)]}
    )
    dataset = publish(listens=plays(100), playlists=playlists)
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    assert split.moment("validation") == START + timedelta(days=8)
    assert len(split.playlists_of("train")) == 0


def test_what_was_added_later_to_a_training_playlist_is_not_seen(publish, tmp_path):
    added = [START, START + timedelta(days=9), None]
    entries = pl.DataFrame(
        {"playlist_id": ["p"] * 3, "position": [0, 1, 2], "track_id": list("abc"), "added_at": added}
    )
    dataset = publish(listens=plays(100), playlist_tracks=entries, playlists=pl.DataFrame({"playlist_id": ["p"]}))
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    assert split.playlists_of("train").tolist() == [0]
    seen = split.training(dataset).playlist_tracks["track"]
    assert dataset.track_ids.to_names(seen) == ["a", "c"]
    check(dataset, split)


def plays(count: int, every: timedelta = timedelta(hours=2, minutes=24)) -> pl.DataFrame:
    """One listener's plays of a, b and c, evenly over ten days."""
    return pl.DataFrame(
        {
            "user_id": ["u"] * count,
            "track_id": ["abc"[i % 3] for i in range(count)],
            "listened_at": [START + i * every for i in range(count)],
        }
    )


def test_a_song_nobody_ever_played_is_cold_but_not_held_out(publish, tmp_path):
    dataset = publish(tracks=pl.DataFrame({"track_id": list("abcd")}), listens=plays(30))
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    assert split.cold_before("validation").tolist() == [False, False, False, True]
    assert split.cold_before("test").tolist() == [False, False, False, True]
    assert not split.held_out_only.any()


def test_some_of_the_songs_nobody_plays_measure_the_encoder(publish, tmp_path):
    tracks = pl.DataFrame({"track_id": ["a", "b", "c", *(f"unheard-{number}" for number in range(20))]})
    dataset = publish(tracks=tracks, listens=plays(30))
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    assert split.held_out_only.sum() == 4
    assert not split.held_out_only[:3].any()
    again = ensure_split(Workspace(tmp_path / "again"), dataset)
    assert again.held_out_only.tolist() == split.held_out_only.tolist()
    none = ensure_split(Workspace(tmp_path / "none"), dataset, SplitSettings(unheard_test_share=0))
    assert not none.held_out_only.any()
    assert none.fingerprint != split.fingerprint


def test_where_only_an_order_is_known_each_listeners_own_is_divided(publish, tmp_path):
    rows = [(f"u{user}", f"t{place % 7}", place) for user in range(3) for place in range(10 * (user + 1))]
    dataset = publish(listens=pl.DataFrame(rows, ["user_id", "track_id", "position"], orient="row"))
    split = ensure_split(Workspace(tmp_path / "split"), dataset)
    check(dataset, split)
    assert split.order == "position"
    assert split.moment("validation") is None
    for user in range(3):
        parts = split.listens[dataset.listens["user"].to_numpy() == user]
        n = 10 * (user + 1)
        assert parts.tolist() == [0] * int(0.8 * n) + [1] * (n // 10) + [2] * (n // 10)


class TestGap:
    def test_plays_shortly_before_a_moment_belong_to_no_part(self, publish, tmp_path):
        dataset = publish(listens=plays(100, every=timedelta(minutes=10)))
        split = ensure_split(Workspace(tmp_path / "split"), dataset, SplitSettings(gap=timedelta(minutes=30)))
        check(dataset, split)
        assert split.listens.tolist() == [0] * 77 + [IN_GAP] * 3 + [1] * 7 + [IN_GAP] * 3 + [2] * 10
        training = split.training(dataset).listens["listened_at"]
        assert split.moment("validation") - training.max() > timedelta(minutes=30)
        # What lies before validation is past by the time of the test; what lies right before the test is left out.
        assert split.past(dataset).listens.equals(dataset.listens.head(87))

    def test_none_leaves_nothing_out(self, publish, tmp_path):
        dataset = publish(listens=plays(100, every=timedelta(minutes=10)))
        split = ensure_split(Workspace(tmp_path / "split"), dataset, SplitSettings(gap=timedelta(0)))
        assert split.listens.tolist() == [0] * 80 + [1] * 10 + [2] * 10

    def test_a_split_from_before_there_was_a_gap_stays_as_it_is(self, small_world):
        workspace, dataset, _ = small_world
        old = ensure_split(workspace, dataset, SplitSettings(gap=timedelta(0)))
        recorded = json.loads((workspace.split / "manifest.json").read_text())["settings"]
        assert set(recorded) == {
            "validation_share",
            "test_share",
            "playlist_test_share",
            "unheard_test_share",
            "seed",
        }
        made = (workspace.split / "manifest.json").stat().st_mtime_ns
        again = ensure_split(workspace, dataset)
        assert again.fingerprint == old.fingerprint
        assert (workspace.split / "manifest.json").stat().st_mtime_ns == made

    def test_a_gap_makes_another_split_and_is_recorded(self, small_world):
        workspace, dataset, split = small_world
        other = ensure_split(workspace, dataset, SplitSettings(gap=timedelta(days=3)))
        assert other.fingerprint != split.fingerprint
        assert (other.listens == IN_GAP).sum() > (split.listens == IN_GAP).sum()
        assert ensure_split(workspace, dataset).fingerprint == other.fingerprint


class TestLeaveLastOut:
    def test_each_listeners_last_play_is_asked_for(self, publish, tmp_path):
        rows = [
            (f"u{user}", f"t{n}", START + timedelta(days=50 * user + n)) for user in range(4) for n in range(user + 1)
        ]
        dataset = publish(listens=pl.DataFrame(rows, ["user_id", "track_id", "listened_at"], orient="row"))
        split = ensure_split(Workspace(tmp_path / "split"), dataset, SplitSettings(method="leave-last-out"))
        assert split.order == "leave-last-out"
        assert split.listens.tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2]
        assert split.past(dataset).listens.equals(split.listens_of(dataset, "train", "validation"))
        assert split.moment("test") is None
        # What makes it unfit for anything but comparison: training holds plays later than some targets.
        tested = split.listens_of(dataset, "test")["listened_at"].min()
        assert split.training(dataset).listens["listened_at"].max() > tested
        assert "LEAKS" in LEAKS


class TestRecorded:
    def test_once_and_read_again(self, small_world):
        workspace, dataset, split = small_world
        recorded = (workspace.split / "manifest.json").stat().st_mtime_ns
        again = ensure_split(workspace, dataset)
        assert (workspace.split / "manifest.json").stat().st_mtime_ns == recorded
        assert again.fingerprint == split.fingerprint
        for name in ("listens", "playlists", "new_after_training", "new_after_validation", "held_out_only"):
            np.testing.assert_array_equal(getattr(again, name), getattr(split, name))

    def test_the_same_seed_gives_the_same_split_elsewhere(self, small_world, tmp_path):
        _, dataset, split = small_world
        other = ensure_split(Workspace(tmp_path / "elsewhere"), dataset)
        np.testing.assert_array_equal(other.playlists, split.playlists)
        assert other.fingerprint == split.fingerprint

    def test_another_seed_holds_out_other_playlists_but_the_same_listens(self, small_world):
        workspace, dataset, split = small_world
        other = ensure_split(workspace, dataset, SplitSettings(seed=1))
        assert other.playlists.tolist() != split.playlists.tolist()
        assert other.listens.tolist() == split.listens.tolist()
        assert other.fingerprint != split.fingerprint

    def test_who_asks_for_no_settings_gets_what_is_recorded(self, small_world):
        workspace, dataset, _ = small_world
        mine = ensure_split(workspace, dataset, SplitSettings(test_share=0.3))
        assert ensure_split(workspace, dataset).fingerprint == mine.fingerprint

    def test_another_dataset_gets_another_split(self, small_world, publish):
        workspace, _, split = small_world
        other = publish(listens=plays(50))
        again = ensure_split(workspace, other)
        assert again.fingerprint != split.fingerprint
        check(other, again)

    def test_a_truncated_one_is_made_again(self, small_world):
        workspace, dataset, split = small_world
        for name in ("listens.parquet", "manifest.json"):
            (workspace.split / name).write_bytes(b"")
            assert ensure_split(workspace, dataset).fingerprint == split.fingerprint


MOMENTS = st.none() | st.integers(0, 60).map(lambda day: START + timedelta(days=day))
TRACK = st.integers(0, 9).map(lambda n: f"t{n}")


@st.composite
def worlds(draw: st.DrawFn) -> Imported:
    """Few of everything, times given for all listens, for none, or for some."""
    timed = draw(st.sampled_from([st.none(), MOMENTS.filter(bool), MOMENTS]))
    listens = draw(st.lists(st.tuples(st.sampled_from("uvw"), TRACK, timed, st.integers(0, 99)), max_size=25))
    playlists = draw(st.lists(MOMENTS, max_size=8))
    count = max(len(playlists) - 1, 0)
    entry = st.tuples(st.integers(0, count).map(lambda n: f"p{n}"), st.integers(0, 9), TRACK, MOMENTS)
    entries = draw(st.lists(entry, max_size=20)) if playlists else []
    time = pl.Datetime("us", "UTC")
    return Imported(
        {
            "tracks": pl.DataFrame({"track_id": [f"t{n}" for n in range(10)]}),
            "listens": pl.DataFrame(
                listens,
                {"user_id": pl.String, "track_id": pl.String, "listened_at": time, "position": pl.Int64},
                orient="row",
            ),
            "playlists": pl.DataFrame(
                {"playlist_id": [f"p{n}" for n in range(len(playlists))], "modified_at": playlists},
                {"playlist_id": pl.String, "modified_at": time},
            ),
            "playlist_tracks": pl.DataFrame(
                entries,
                {"playlist_id": pl.String, "position": pl.Int32, "track_id": pl.String, "added_at": time},
                orient="row",
            ),
        }
    )


@settings(max_examples=30)
@given(worlds(), st.integers(0, 9))
def test_nothing_leaks_in_any_world(world, seed):
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        save_dataset(workspace, world, {})
        dataset = load_dataset(workspace)
        check(dataset, ensure_split(workspace, dataset, SplitSettings(seed=seed)))
