"""What is asked of models: nothing of the answer may stand in the question, nor in training."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from data.dataset import POSITIVE, Dataset
from data.split import IN_GAP, PARTS, Split, ensure_split
from data.storage.workspace import Workspace
from recsys.queries import EVIDENCE
from recsys.tasks import HISTORY, TASKS, HeldOut, held_out

PERIODS = ("validation", "test")


@pytest.fixture(scope="module")
def world(fixed_world) -> tuple[Dataset, Split]:
    _, dataset, split = fixed_world
    return dataset, split


@pytest.fixture(params=PERIODS)
def part(request) -> str:
    return str(request.param)


def targets_of(question: HeldOut, query: int) -> list[int]:
    start, stop = question.targets.offsets[query : query + 2]
    return question.targets.tracks[start:stop].tolist()


def plays_of(dataset: Dataset, split: Split, user: int) -> pl.DataFrame:
    """A listener's plays, oldest first, with the name of their part."""
    parts = pl.Series("part", ["gap" if code == IN_GAP else PARTS[code] for code in split.listens])
    plays = dataset.listens.with_columns(parts, wanted=POSITIVE, evidence=EVIDENCE)
    return plays.filter(pl.col("user") == user)


def same(question: HeldOut, other: HeldOut) -> bool:
    return (
        len(question.queries) == len(other.queries)
        and all(
            a.user == b.user and a.text == b.text and np.array_equal(a.history, b.history)
            for a, b in zip(question.queries, other.queries, strict=True)
        )
        and np.array_equal(question.targets.tracks, other.targets.tracks)
        and np.array_equal(question.targets.offsets, other.targets.offsets)
    )


class TestEveryTask:
    @pytest.mark.parametrize("task", TASKS)
    def test_every_query_has_a_target_and_everything_is_aligned(self, world, task, part):
        question = held_out(*world, task, part)
        assert question.queries
        assert len(question.queries) == len(question.targets) == len(question.groups)
        assert question.targets.nonempty().all()
        assert len(question.repeats) == len(question.targets.tracks)
        assert question.task == task
        assert part in question.protocol

    @pytest.mark.parametrize("task", TASKS)
    def test_no_target_is_excluded(self, world, task, part):
        question = held_out(*world, task, part)
        for number, query in enumerate(question.queries):
            assert not np.isin(targets_of(question, number), query.exclude).any()

    @pytest.mark.parametrize("task", TASKS)
    def test_a_sample_is_the_same_every_time_and_another_with_another_seed(self, world, task, part):
        everything = held_out(*world, task, part)
        most = len(everything.queries) // 2
        sample = held_out(*world, task, part, max_queries=most)
        assert len(sample.queries) <= most
        assert same(sample, held_out(*world, task, part, max_queries=most))
        assert not all(same(sample, held_out(*world, task, part, max_queries=most, seed=seed)) for seed in range(5))
        assert not Counter(sample.groups.tolist()) - Counter(everything.groups.tolist())

    @pytest.mark.parametrize("task", TASKS)
    def test_a_limit_above_the_number_changes_nothing(self, world, task, part):
        everything = held_out(*world, task, part)
        assert same(everything, held_out(*world, task, part, max_queries=len(everything.queries), seed=1))


class TestNextSong:
    def test_asks_for_every_wanted_play_of_the_part_from_what_was_played_before(self, world, part):
        dataset, split = world
        question = held_out(dataset, split, "next-song", part)
        at = 0
        for user in range(len(dataset.user_ids)):
            plays = plays_of(dataset, split, user)
            tracks, evidence = plays["track"].to_numpy(), plays["evidence"].to_numpy()
            for place, (of, wanted) in enumerate(plays.select("part", "wanted").iter_rows()):
                if of != part or not wanted or place == 0:
                    continue
                query = question.queries[at]
                assert query.user == user == question.groups[at]
                assert targets_of(question, at) == [tracks[place]]
                np.testing.assert_array_equal(query.history, tracks[max(0, place - HISTORY) : place])
                np.testing.assert_array_equal(query.evidence, evidence[max(0, place - HISTORY) : place])
                moments = plays["listened_at"]
                days = (moments[place] - moments[max(0, place - HISTORY) : place]).dt.total_milliseconds() / 86_400_000
                np.testing.assert_allclose(query.ages_days, days.to_numpy(), rtol=1e-6)
                assert question.repeats[at] == (tracks[place] in tracks[:place])
                assert len(query.exclude) == 0
                at += 1
        assert at == len(question.queries)

    def test_history_is_older_than_the_target_and_training_older_than_the_part(self, world, part):
        dataset, split = world
        begins = split.moment(part)
        training = split.training(dataset).listens
        assert training["listened_at"].max() < split.moment("validation") <= begins
        for user in range(len(dataset.user_ids)):
            plays = plays_of(dataset, split, user)
            assert plays["listened_at"].is_sorted()
            assert (plays.filter(part=part)["listened_at"] >= begins).all()


class TestColdStart:
    def test_targets_are_cold_wanted_in_the_part_and_never_heard_before(self, world, part):
        dataset, split = world
        question = held_out(dataset, split, "cold-start", part)
        asked = set()
        for number, query in enumerate(question.queries):
            plays = plays_of(dataset, split, query.user)
            begins = plays["part"].to_list().index(part)
            before = plays.head(begins)
            np.testing.assert_array_equal(query.history, before["track"].to_numpy()[-HISTORY:])
            days = (split.moment(part) - before["listened_at"][-HISTORY:]).dt.total_milliseconds() / 86_400_000
            np.testing.assert_allclose(query.ages_days, days.to_numpy(), rtol=1e-6)
            np.testing.assert_array_equal(query.exclude, np.unique(before["track"].to_numpy()))
            expected = {
                track
                for place, (track, of, wanted) in enumerate(plays.select("track", "part", "wanted").iter_rows())
                if of == part
                and wanted
                and split.cold_before(part)[track]
                and track not in plays["track"].to_list()[:place]
            }
            assert set(targets_of(question, number)) == expected
            asked.add(query.user)
        assert len(asked) == len(question.queries)

    def test_what_is_learned_from_knows_nothing_of_the_targets(self, world, part):
        dataset, split = world
        targets = held_out(dataset, split, "cold-start", part).targets.tracks
        assert len(targets)
        training = split.training(dataset) if part == "validation" else split.past(dataset)
        assert not np.isin(targets, training.listens["track"].to_numpy()).any()
        assert not np.isin(targets, training.playlist_tracks["track"].to_numpy()).any()
        assert {name.split("-")[1] for name in dataset.track_ids.to_names(targets)} <= (
            {"12", "13", "14"} if part == "validation" else {"14"}
        )


class TestPlaylists:
    @pytest.mark.parametrize("seeds", [None, 0, 1, 5])
    def test_the_first_songs_are_given_and_the_rest_is_asked_for(self, world, part, seeds):
        dataset, split = world
        question = held_out(dataset, split, "playlist", part, seeds=seeds)
        assert question.groups.tolist() == split.playlists_of(part).tolist()
        for number, query in enumerate(question.queries):
            row = int(question.groups[number])
            songs = dataset.playlist_tracks.filter(playlist=row).sort("position")["track"].to_list()
            given = len(songs) // 2 if seeds is None else seeds
            assert query.history.tolist() == songs[:given]
            assert query.exclude.tolist() == songs[:given]
            assert targets_of(question, number) == sorted(songs[given:])
            assert query.text == dataset.playlists["title"][row]
            assert query.user is None

    def test_title_alone_gives_nothing_but_the_title(self, world, part):
        question = held_out(*world, "playlist", part, seeds=0)
        assert question.queries
        assert all(len(query.history) == len(query.exclude) == 0 and query.text for query in question.queries)
        assert "title alone" in question.protocol

    def test_playlists_shorter_than_the_seeds_are_not_asked(self, world, part):
        assert not held_out(*world, "playlist", part, seeds=8).queries
        assert not held_out(*world, "playlist", part, seeds=100).queries

    def test_nothing_of_a_held_out_playlist_is_in_training(self, world, part):
        dataset, split = world
        asked = held_out(dataset, split, "playlist", part).groups
        assert len(asked)
        assert not np.isin(split.training(dataset).playlist_tracks["playlist"].to_numpy(), asked).any()

    def test_title_alone_needs_a_title(self, publish):
        dataset = publish(**playlists_only(titles=False))
        split = ensure_split(Workspace(dataset.root), dataset)
        assert held_out(dataset, split, "playlist", "test").queries
        assert not held_out(dataset, split, "playlist", "test", seeds=0).queries


class TestWithoutListeners:
    def test_cold_start_asks_for_the_cold_songs_of_playlists(self, publish):
        dataset = publish(**playlists_only())
        split = ensure_split(Workspace(dataset.root), dataset)
        question = held_out(dataset, split, "cold-start", "test")
        assert question.queries
        assert question.task == "cold-start"
        assert split.cold_before("test")[question.targets.tracks].all()

    def test_next_song_has_nothing_to_ask(self, publish):
        dataset = publish(**playlists_only())
        split = ensure_split(Workspace(dataset.root), dataset)
        assert held_out(dataset, split, "next-song", "test").queries == []


def playlists_only(titles: bool = True) -> dict[str, pl.DataFrame]:
    """40 playlists of 6 songs; the last song of each belongs to it alone."""
    entries = [
        {"playlist_id": f"p{number:02}", "position": place, "track_id": f"t{(number * 3 + place) % 20:02}"}
        for number in range(40)
        for place in range(5)
    ]
    entries += [{"playlist_id": f"p{n:02}", "position": 5, "track_id": f"only-{n:02}"} for n in range(40)]
    tracks = sorted({entry["track_id"] for entry in entries})
    lists = {
        "playlist_id": [f"p{n:02}" for n in range(40)],
        "title": [f"list {n}" if titles else None for n in range(40)],
    }
    return {
        "tracks": pl.DataFrame({"track_id": tracks, "title": tracks}),
        "playlists": pl.DataFrame(lists, schema_overrides={"title": pl.String}),
        "playlist_tracks": pl.DataFrame(entries),
    }
