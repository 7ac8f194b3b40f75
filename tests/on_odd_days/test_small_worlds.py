"""Worlds in which there is one of everything: they build, load, answer and are evaluated without an error."""

import json
from pathlib import Path

import polars as pl
import pytest

from recsys.fitted.store import read_choices
from recsys.recommender import Recommender
from tests.on_odd_days import tables
from tests.on_odd_days.tables import FIRST, plays, songs
from tests.recsys.commands import Commands


def playlists() -> dict[str, pl.DataFrame]:
    """Twenty lists of eight songs, half of them with a title."""
    lists = [
        {"playlist_id": f"p{n}", "title": "calm river" if n % 2 else None, "modified_at": FIRST} for n in range(20)
    ]
    entries = [
        {"playlist_id": f"p{n}", "position": place, "track_id": f"t{(n % 4 + 4 * place):02}"}
        for n in range(20)
        for place in range(8)
    ]
    return {"playlists": pl.DataFrame(lists), "playlist_tracks": pl.DataFrame(entries)}


def only(tracks: int) -> dict[str, pl.DataFrame]:
    names = [f"t{n:02}" for n in range(tracks)]
    return {"tracks": songs(tracks), "listens": plays().filter(pl.col("track_id").is_in(names))}


WORLDS = {
    "one artist": {"tracks": songs().with_columns(artist=pl.lit("Ann")), "listens": plays()},
    "one listener": {"tracks": songs(), "listens": plays(1, 200)},
    "one track": only(1),
    "three tracks": only(3),
    "only playlists": {"tracks": songs(), **playlists()},
    "only tracks": {"tracks": songs()},
}


@pytest.mark.parametrize("world", WORLDS)
def test_it_is_built_answers_and_is_evaluated(commands: Commands, tmp_path: Path, world: str) -> None:
    workspace, _ = tables.built(commands, tmp_path, **WORLDS[world])
    recommender = Recommender.load(workspace)
    tracks = recommender.dataset.track_ids.names
    for user in [*recommender.dataset.user_ids.names[:3], "a stranger"]:
        row = recommender.dataset.user_ids.find(user)
        heard = recommender.dataset.listens.filter(user=-1 if row is None else row)["track"].n_unique()
        assert len(recommender.recommend(user, 100)) == len(tracks) - heard
        assert len(recommender.recommend(user, 100, heard=True)) == len(tracks)
    assert len(recommender.continue_playlist(tracks[:1], "river", 100)) == len(tracks) - 1
    assert len(recommender.next_song(tracks[:1], 100)) == len(tracks) - 1
    assert recommender.search("river")
    report = tmp_path / "report.json"
    done = commands.run("eval.run", "-w", workspace, "--task", "all", "--json", report)
    assert done.code == 0, done.err
    assert "nan" not in json.dumps(json.loads(report.read_text())).lower()


def test_titles_alone_are_never_answered_worse_than_by_search_or_popularity(built: Path) -> None:
    """On validation, which is where the fusion of titles is chosen."""
    reached = read_choices(built / "models").validation["playlist"]
    assert reached["fused by title"] >= max(reached["htcl-stage2 by title"], reached["popularity by title"])
