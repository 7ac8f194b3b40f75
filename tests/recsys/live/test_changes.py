"""What is told while a recommender is open, by itself or by another process, is in its next answer."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import DamagedError, UnknownIdError
from data.events.kinds import Remove
from data.events.store import EventStore
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender
from tests.recsys.commands import Commands

ROOT = Path(__file__).parents[3]
EVERYTHING = 60
NEWCOMER = "nobody has heard of me"
NOW = datetime.now(UTC)


@pytest.fixture
def listener(alive: Recommender) -> str:
    return alive.dataset.user_ids.names[0]


def ids(found: list[Recommendation]) -> list[str]:
    return [song.track_id for song in found]


def elsewhere(root: Path, code: str) -> None:
    """Run code in another process; `store` is the workspace's."""
    begin = (
        "import sys\nfrom pathlib import Path",
        "from data.events.kinds import *\nfrom data.events.store import EventStore",
        "store = EventStore(Path(sys.argv[1]))",
    )
    command = [sys.executable, "-c", "\n".join([*begin, code]), str(root / "events.sqlite")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


def every_answer(alive: Recommender, user: str, seeds: list[str]) -> dict[str, list[Recommendation]]:
    """All that each method can answer."""
    wide: dict[str, Any] = {"per_artist": None, "versions": True}
    title = alive.dataset.tracks["title"]
    return {
        "recommend": alive.recommend(user, EVERYTHING, **wide),
        "heard": alive.recommend(user, EVERYTHING, heard=True, **wide),
        "dial": alive.recommend(user, EVERYTHING, discovery=0.5, **wide),
        "newcomer": alive.recommend(NEWCOMER, EVERYTHING, **wide),
        "playlist": alive.continue_playlist(seeds, k=EVERYTHING, **wide),
        "title": alive.continue_playlist([], title="calm evening", k=EVERYTHING, **wide),
        "next": alive.next_song(seeds, EVERYTHING, **wide),
        "similar": alive.similar(seeds[0], EVERYTHING, **wide),
        "popular": alive.popular_and_fresh(EVERYTHING, **wide),
        "path": alive.path(seeds[0], seeds[1], 12, **wide),
        "search": alive.search(" ".join(word for word in title if word), EVERYTHING, **wide),
    }


def test_a_song_taken_down_by_another_process_is_in_no_answer_and_comes_back(
    root: Path, alive: Recommender, listener: str
) -> None:
    seeds = list(alive.dataset.track_ids.names[:2])
    before = every_answer(alive, listener, seeds)
    shown = {song for name, found in before.items() if name != "path" for song in ids(found)} - set(seeds)
    gone = sorted(shown)[::3]
    assert len(gone) > 10
    assert all(set(gone) & set(ids(found)) for name, found in before.items() if name != "path")
    elsewhere(root, f"store.append([Remove(track_id=name, reason='rights') for name in {gone}])")
    after = every_answer(alive, listener, seeds)
    for name, found in after.items():
        assert found, name
        assert not set(gone) & set(ids(found)), name
        assert not set(gone) & {song.because for song in found}, name
        if name in ("popular", "newcomer", "playlist"):
            assert set(ids(before[name])) - set(gone) == set(ids(found)), name
    frame = alive.recommend([listener, NEWCOMER], EVERYTHING)
    assert not set(gone) & set(frame["track_id"])
    assert not set(gone) & {near for each in alive.explain(after["recommend"], listener, 99) for near in each.nearest}

    reopened = Recommender.load(root)
    assert every_answer(reopened, listener, seeds) == after
    elsewhere(root, f"store.append([Restore(track_id=name) for name in {gone}])")
    assert every_answer(alive, listener, seeds) == before


def test_a_song_taken_down_is_refused_as_a_seed_and_artists_stand_for_the_rest(alive: Recommender) -> None:
    artists = alive._catalogue.artists
    name = next(name for name in artists.most_frequent(60) if 2 <= len(artists.songs(name)) < 20)
    songs = alive.dataset.track_ids.to_names(artists.songs(name))
    other = next(song for song in alive.dataset.track_ids.names if song not in songs)
    alive.remove_tracks(songs[:1], "the label asked")
    asking: list[Callable[[], object]] = [
        lambda: alive.similar(songs[0]),
        lambda: alive.next_song([other, songs[0]]),
        lambda: alive.continue_playlist([songs[0]]),
        lambda: alive.path(songs[0], other),
        lambda: alive.recommend("u", more_like=[songs[0]]),
    ]
    for ask in asking:
        with pytest.raises(UnknownIdError, match=f'"{songs[0]}" is taken down on .*: the label asked'):
            ask()
    found = alive.continue_playlist([f"artist:{name}"], k=EVERYTHING)
    assert found
    assert not set(songs) & set(ids(found))
    assert alive.continue_playlist(songs[1:], k=EVERYTHING, per_artist=None) == alive.continue_playlist(
        [f"artist:{name}"], k=EVERYTHING, per_artist=None
    )
    alive.remove_tracks(songs)
    with pytest.raises(UnknownIdError, match="taken down"):
        alive.similar(f"artist:{name}")


def test_another_version_of_a_song_that_is_taken_down_stays(
    alive: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = alive.dataset.track_ids.names[:2]
    twins = alive._recordings.copy()
    twins[:2] = twins.max() + 1
    monkeypatch.setattr(alive, "_recordings", twins)
    alive.remove_tracks([one])
    found = ids(alive.popular_and_fresh(EVERYTHING, per_artist=None))
    assert other in found
    assert one not in found


def test_new_listens_are_history_for_known_and_unknown_listeners(alive: Recommender, listener: str) -> None:
    for user in (listener, NEWCOMER):
        was = set(alive.dataset.track_ids.to_names(alive._listeners.heard(user)))
        played = [song for song in alive.dataset.track_ids.names if song not in was][:4]
        before = alive.recommend(user, EVERYTHING, per_artist=None)
        rows = [
            {"user_id": user, "track_id": song, "listened_at": NOW + timedelta(seconds=n)}
            for n, song in enumerate(played)
        ]
        assert (alive.add_listens(rows).new, alive.add_listens(rows).repeated) == (4, 4)
        after = alive.recommend(user, EVERYTHING, per_artist=None)
        assert set(played) <= set(ids(before))
        assert not set(played) & set(ids(after))
        assert set(alive.dataset.track_ids.to_names(alive._listeners.heard(user))) == was | set(played)
        assert set(played) <= set(ids(alive.recommend(user, EVERYTHING, heard=True, per_artist=None)))
    reasons = {song.because for song in alive.recommend(NEWCOMER, 20)} - {None}
    assert reasons
    assert reasons <= set(played)


def test_a_newcomer_is_answered_from_new_listens_as_from_the_same_songs_in_the_dataset(alive: Recommender) -> None:
    """Who is known by the same plays gets the same songs, the models' own row of the listener aside."""
    songs = list(alive.dataset.track_ids.names[5:9])
    alive.add_listens([{"user_id": "n1", "track_id": song, "listened_at": NOW} for song in songs])
    alive.add_listens([{"user_id": "n2", "track_id": song, "listened_at": NOW} for song in songs])
    assert alive.recommend("n1", 10) == alive.recommend("n2", 10)
    assert alive.recommend("n1", 10) != alive.recommend(NEWCOMER, 10)


def test_likes_and_dislikes_act_as_in_the_tables(alive: Recommender, listener: str) -> None:
    songs = ids(alive.recommend(listener, 10))
    alive.add_feedback(listener, songs[0], "dislike")
    for heard in (False, True):
        assert songs[0] not in ids(alive.recommend(listener, EVERYTHING, heard=heard))
    alive.add_feedback(listener, songs[0], "like")
    assert songs[0] in ids(alive.recommend(listener, EVERYTHING, heard=True, per_artist=None))
    alive.add_feedback(listener, songs[1], "skip")
    query = alive._listeners._plays(listener)[0]
    told = {alive.dataset.track_ids.names[t]: w for t, w in zip(query.tracks[-3:], query.evidence[-3:], strict=True)}
    assert told == {songs[0]: 2.0, songs[1]: -0.5}


def test_blocks_are_the_listeners_own_and_last(root: Path, alive: Recommender, listener: str) -> None:
    wide: dict[str, Any] = {"heard": True, "per_artist": None}
    song, *_, artist = (alive.recommend(listener, 12)[0].track_id, *alive._catalogue.artists.most_frequent(1))
    by_artist = set(alive.dataset.track_ids.to_names(alive._catalogue.artists.songs(artist)))
    other = alive.dataset.user_ids.names[1]
    untouched = alive.recommend(other, EVERYTHING, **wide), alive.recommend(NEWCOMER, EVERYTHING, **wide)
    alive.add_feedback(listener, song, "block")
    alive.add_feedback(listener, f"artist:{artist.upper()}", "block")
    alive.add_feedback(NEWCOMER, song, "block")
    for open_one in (alive, Recommender.load(root)):
        found = set(ids(open_one.recommend(listener, EVERYTHING, **wide)))
        assert found
        assert not found & (by_artist | {song})
        assert open_one.recommend(other, EVERYTHING, **wide) == untouched[0]
        assert song not in ids(open_one.recommend(NEWCOMER, EVERYTHING, **wide))
    alive.dataset.manifest.facts["events_upto"] = alive._changes.store.last  # as after a build: a block is in no table
    assert (
        not set(ids(Recommender(alive.dataset, alive.models, alive.words).recommend(listener, EVERYTHING, **wide)))
        & by_artist
    )
    alive.add_feedback(listener, f"artist:{artist}", "unblock")
    alive.add_feedback(listener, song, "unblock")
    alive.add_feedback(NEWCOMER, song, "unblock")
    assert by_artist & set(ids(alive.recommend(listener, EVERYTHING, **wide)))
    assert alive.recommend(NEWCOMER, EVERYTHING, **wide) == untouched[1]


def test_events_that_are_in_the_dataset_do_not_count_again(alive: Recommender, listener: str) -> None:
    songs = list(alive.dataset.track_ids.names[:3])
    alive.add_listens([{"user_id": listener, "track_id": song} for song in songs])
    assert len(alive._changes.plays(listener)) == 3
    alive.dataset.manifest.facts["events_upto"] = alive._changes.store.last
    later = Recommender(alive.dataset, alive.models, alive.words)
    assert later._changes.plays(listener) == []
    later.add_listens([{"user_id": listener, "track_id": songs[0]}])
    assert len(later._changes.plays(listener)) == 1


def test_asking_changes_nothing_and_makes_no_store(root: Path, alive: Recommender, listener: str) -> None:
    every_answer(alive, listener, list(alive.dataset.track_ids.names[:2]))
    assert not (root / "events.sqlite").exists()


def test_a_store_that_is_damaged_is_refused_when_opened_but_who_is_open_keeps_what_is_known(
    root: Path, alive: Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    gone = ids(alive.popular_and_fresh(3))
    alive.remove_tracks(gone)
    answer = alive.popular_and_fresh(10)
    assert not set(gone) & set(ids(answer))
    alive.add_listens([{"user_id": NEWCOMER, "track_id": answer[0].track_id}])
    alive.add_feedback(NEWCOMER, answer[1].track_id, "block")
    alive._changes.store.close()
    (root / "events.sqlite").write_bytes(b"broken" * 1000)
    with caplog.at_level(logging.WARNING):
        assert not set(gone) & set(ids(alive.recommend(NEWCOMER, EVERYTHING)))
        assert alive.popular_and_fresh(10) == answer
    assert len([record for record in caplog.records if "mend" in record.message]) == 1
    with pytest.raises(DamagedError, match="mend"):
        Recommender.load(root)
    with pytest.raises(DamagedError, match="mend"):
        alive.remove_tracks(gone)


def test_a_recommender_that_stands_in_a_fork_sees_and_tells(root: Path, alive: Recommender) -> None:
    first, second = ids(alive.popular_and_fresh(2))
    child = os.fork()
    if child == 0:
        alive.remove_tracks([first])
        os._exit(int(first in ids(alive.popular_and_fresh(10))))
    assert os.waitpid(child, 0)[1] == 0
    found = ids(alive.popular_and_fresh(10))
    assert first not in found
    assert second in found


def test_the_commands_go_together(commands: Commands, root: Path, alive: Recommender) -> None:
    first, second = ids(alive.popular_and_fresh(2))

    def answered() -> list[str]:
        result = commands.run("recsys.recommend", "--user", "guest", "--json", "-k", "20", "-w", root)
        assert result.code == 0, result.err
        return [song["track_id"] for song in json.loads(result.out)]

    assert commands.run("recsys.recommend", "--user", "guest", "-w", root).code == 2
    told = commands.run("data.events", "listen", "guest", first, "--json", "-w", root)
    assert (told.code, json.loads(told.out)["new"]) == (0, 1)
    before = answered()
    assert first not in before
    assert second in before
    assert commands.run("data.events", "remove", second, "-w", root).code == 0
    assert second not in answered()
    wrong = commands.run("data.events", "feedback", "guest", first, "meh", "-w", root)
    assert wrong.code == 2
    assert commands.run("data.events", "block", "guest", " ", "-w", root).code == 2


def test_every_question_looks_at_what_has_come(alive: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = alive.dataset.track_ids.names[:2]
    found = alive.popular_and_fresh(2)
    asking: dict[str, Callable[[], object]] = {
        "recommend": lambda: alive.recommend(NEWCOMER),
        "continue_playlist": lambda: alive.continue_playlist([one]),
        "next_song": lambda: alive.next_song([one]),
        "similar": lambda: alive.similar(one),
        "path": lambda: alive.path(one, other),
        "search": lambda: alive.search("calm"),
        "popular_and_fresh": alive.popular_and_fresh,
        "explain": lambda: alive.explain(found),
    }
    public = {name for name in vars(Recommender) if not name.startswith("_")} - {"load", "newest"}
    assert set(asking) == public
    for name, ask in asking.items():
        looked: list[str] = []
        monkeypatch.setattr(alive._changes, "look", lambda name=name, looked=looked: looked.append(name))
        ask()
        assert looked == [name]


def test_a_takedown_is_in_the_next_answer_while_others_write(root: Path, alive: Recommender) -> None:
    first = alive.popular_and_fresh(1)[0].track_id
    listening = "for n in range(50): store.append([Listen(user_id='w', track_id=str(n))])"
    elsewhere(root, f"{listening}\nstore.append([Remove(track_id={first!r})])")
    assert first not in ids(alive.popular_and_fresh(10))


def test_a_store_that_is_replaced_is_read_from_its_beginning(root: Path, alive: Recommender, tmp_path: Path) -> None:
    first, second = ids(alive.popular_and_fresh(2))
    alive.remove_tracks([first])
    assert first not in ids(alive.popular_and_fresh(10))
    other = EventStore(tmp_path / "other.sqlite")
    other.append([Remove(track_id=second)])
    other.close()
    alive._changes.store.close()
    shutil.move(tmp_path / "other.sqlite", root / "events.sqlite")
    found = ids(alive.popular_and_fresh(10))
    assert first in found
    assert second not in found
    assert np.array_equal(alive._changes.gone, alive.dataset.track_ids.to_rows([second]))
