"""The ten scenarios of the RecSys Challenge 2018: what is given, what is asked for, and which playlists fit."""

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset, load_dataset, save_dataset
from data.split import Split, SplitSettings, ensure_split
from data.storage.workspace import Workspace
from data.tables import Imported
from recsys.tasks import SCENARIOS, HeldOut, Scenario, held_out, scenario

LENGTHS = (4, 5, 6, 11, 26, 101, 250, 251)
World = tuple[Dataset, Split]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Playlists of many lengths, with a title and without, by many artists and by two; all that can be held out."""
    lists, entries = [], []
    for number in range(96):
        length = LENGTHS[number % len(LENGTHS)]
        titled, few = number % 3 > 0, number % 5 == 0
        name = f"p{number:02}-{length}{'-few' if few else ''}"
        lists.append({"playlist_id": name, "title": f"list {number}" if titled else None})
        songs = [f"few-{n % 2}-{n}" if few else f"song-{(number + n) % 300}" for n in range(length)]
        entries += [{"playlist_id": name, "position": at, "track_id": song} for at, song in enumerate(songs)]
    tracks = sorted({entry["track_id"] for entry in entries})
    artists = [track if track.startswith("song") else track[:5] for track in tracks]
    tables = {
        "tracks": pl.DataFrame({"track_id": tracks, "artist": artists}),
        "playlists": pl.DataFrame(lists, schema_overrides={"title": pl.String}),
        "playlist_tracks": pl.DataFrame(entries),
    }
    workspace = Workspace(tmp_path_factory.mktemp("scenarios"))
    save_dataset(workspace, Imported(tables), {})
    dataset = load_dataset(workspace)
    return dataset, ensure_split(workspace, dataset, SplitSettings(validation_share=0.1, playlist_test_share=0.49))


def rows_of(question: HeldOut) -> list[int]:
    return question.groups.tolist()


def test_there_are_ten_as_published():
    assert len(SCENARIOS) == len({one.name for one in SCENARIOS}) == 10
    assert [(one.seeds, one.title, one.at_random) for one in SCENARIOS] == [
        (0, True, False),
        (1, True, False),
        (5, True, False),
        (5, False, False),
        (10, True, False),
        (10, False, False),
        (25, True, False),
        (25, True, True),
        (100, True, False),
        (100, True, True),
    ]


@pytest.mark.parametrize("asked", SCENARIOS, ids=lambda one: one.name)
def test_gives_the_seeds_and_asks_for_all_the_rest(world, asked: Scenario):
    dataset, split = world
    question = scenario(dataset, split, "test", asked)
    assert question.queries
    assert asked.name in question.protocol
    assert question.given == "seeds"
    for number, query in enumerate(question.queries):
        row = rows_of(question)[number]
        songs = dataset.playlist_tracks.filter(playlist=row).sort("position")["track"].to_list()
        given = query.history.tolist()
        assert len(given) == asked.seeds
        assert given == [song for song in songs if song in given]  # in the playlist's order
        assert asked.at_random or given == songs[: asked.seeds]
        assert query.exclude.tolist() == given
        start, stop = question.targets.offsets[number : number + 2]
        assert question.targets.tracks[start:stop].tolist() == sorted(set(songs) - set(given))
        assert query.text == (dataset.playlists["title"][row] if asked.title else None)


@pytest.mark.parametrize("asked", SCENARIOS, ids=lambda one: one.name)
def test_takes_every_held_out_playlist_that_fits_and_no_other(world, asked: Scenario):
    dataset, split = world
    fitting = []
    for row in split.playlists_of("test").tolist():
        name = dataset.playlist_ids.names[row]
        length = int(name.split("-")[1])
        titled = dataset.playlists["title"][row] is not None
        if max(5, asked.seeds + 1) <= length <= 250 and "few" not in name and (titled or not asked.title):
            fitting.append(row)
    assert rows_of(scenario(dataset, split, "test", asked)) == fitting
    some = scenario(dataset, split, "test", asked, max_queries=2)
    assert len(some.queries) == 2
    assert set(rows_of(some)) <= set(fitting)


def test_songs_at_random_are_the_same_every_time_and_not_the_first(world):
    asked = next(one for one in SCENARIOS if one.name == "title+25-random")
    one, again, other = (scenario(*world, "test", asked, seed=seed) for seed in (1, 1, 2))
    assert [q.history.tolist() for q in one.queries] == [q.history.tolist() for q in again.queries]
    assert [q.history.tolist() for q in one.queries] != [q.history.tolist() for q in other.queries]
    first = scenario(*world, "test", Scenario("title+25", 25))
    np.testing.assert_array_equal(first.groups, one.groups)
    assert [q.history.tolist() for q in one.queries] != [q.history.tolist() for q in first.queries]


def test_the_same_songs_can_be_asked_for_with_any_number_of_seeds(world):
    asked = {n: held_out(*world, "playlist", "test", seeds=n, targets_from=10) for n in (1, 5, 10)}
    for question in asked.values():
        np.testing.assert_array_equal(question.targets.tracks, asked[10].targets.tracks)
        np.testing.assert_array_equal(question.groups, asked[10].groups)
    for n, question in asked.items():
        assert {len(query.history) for query in question.queries} == {n}
        assert {len(query.exclude) for query in question.queries} == {10}
