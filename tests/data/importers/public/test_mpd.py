"""The importer of the Million Playlist Dataset, on files in its published format."""

import json
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest

from data.errors import UserError
from data.importers.public.mpd import read

LOSE_CONTROL = {
    "pos": 0,
    "artist_name": "Missy Elliott",
    "track_uri": "spotify:track:0UaMYEvWZi0ZqiDOoHU3YI",
    "artist_uri": "spotify:artist:2wIVse2owClT7go1WT98tk",
    "track_name": "Lose Control (feat. Ciara & Fat Man Scoop)",
    "album_uri": "spotify:album:6vV5UrXcfyQD1wu4Qo2I9K",
    "duration_ms": 226863,
    "album_name": "The Cookbook",
}
FEVER = {
    "pos": 1,
    "artist_name": "Björn, Benny",
    "track_uri": "spotify:track:7iwx00eBzeSSSy6xfESyWN",
    "artist_uri": "spotify:artist:3tuX54dqgS8LsGUvNzgrpP",
    "track_name": "Fever 99°",
    "album_uri": "spotify:album:2Fg1t2tyOSGWkVYHlFfXVf",
    "duration_ms": 364320,
    "album_name": "Come Touch The Sun",
}


def playlist(pid: object, tracks: list[object], **more: object) -> dict[str, object]:
    return {
        "name": f"list {pid}",
        "collaborative": "false",
        "pid": pid,
        "modified_at": 1493424000,
        "num_tracks": len(tracks),
        "num_albums": 2,
        "num_followers": 1,
        "tracks": tracks,
        "num_edits": 6,
        "duration_ms": 11532414,
        "num_artists": 2,
    } | more


def put_slice(folder: Path, first: int, playlists: list[object]) -> Path:
    """A slice as the publisher writes it: indented by four, ASCII, its keys in this order."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mpd.slice.{first}-{first + 999}.json"
    info = {"generated_on": "2017-12-03 08:41:42.057563", "slice": f"{first}-{first + 999}", "version": "v1"}
    path.write_text(json.dumps({"info": info, "playlists": playlists}, indent=4))
    return path


def put_challenge(folder: Path, playlists: list[object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "challenge_set.json"
    path.write_text(json.dumps({"date": "2018-01-16 08:47:28.198015", "version": "v1", "playlists": playlists}))
    return path


def tables(folder: Path) -> dict[str, pl.DataFrame]:
    """All parts of each table, one below the other."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for name, frame in read(folder):
        parts.setdefault(name, []).append(frame)
    return {name: pl.concat(frames) for name, frames in parts.items()}


def test_a_slice(tmp_path):
    described = playlist(1, [LOSE_CONTROL], description="my favourites", modified_at=0)
    put_slice(tmp_path, 0, [playlist(0, [LOSE_CONTROL, FEVER]), described])
    found = tables(tmp_path)
    assert found["playlists"].select("playlist_id", "title", "description", "modified_at").rows() == [
        ("0", "list 0", None, datetime(2017, 4, 29, tzinfo=UTC)),
        ("1", "list 1", "my favourites", datetime(1970, 1, 1, tzinfo=UTC)),
    ]
    assert found["tracks"].select("track_id", "title", "artist", "album", "duration_s").rows() == [
        (LOSE_CONTROL["track_uri"], LOSE_CONTROL["track_name"], "Missy Elliott", "The Cookbook", 226.863),
        (FEVER["track_uri"], "Fever 99°", "Björn, Benny", "Come Touch The Sun", 364.32),
    ]
    assert found["playlist_tracks"].rows() == [
        ("0", 0, LOSE_CONTROL["track_uri"]),
        ("0", 1, FEVER["track_uri"]),
        ("1", 0, LOSE_CONTROL["track_uri"]),
    ]
    assert found["rejects"].is_empty()


def test_the_challenge_has_ids_of_its_own_gaps_between_positions_and_playlists_without_title_or_tracks(tmp_path):
    sizes = {"num_holdouts": 9, "num_samples": 1, "num_tracks": 10}
    only_a_title = {"name": "Party", "pid": 1000002, "tracks": [], **sizes}
    no_title = {"pid": 1000003, "tracks": [FEVER | {"pos": 7}], **sizes}
    put_challenge(tmp_path / "challenge", [only_a_title, no_title])
    put_slice(tmp_path / "mpd.v1" / "data", 0, [playlist(1000003, [LOSE_CONTROL])])
    found = tables(tmp_path)
    assert found["playlists"].select("playlist_id", "title").rows() == [
        ("1000003", "list 1000003"),
        ("challenge-1000002", "Party"),
        ("challenge-1000003", None),
    ]
    assert found["playlist_tracks"].rows()[1:] == [("challenge-1000003", 7, FEVER["track_uri"])]


def test_slices_come_in_the_order_of_their_numbers(tmp_path):
    for first in (100000, 1000, 0, 99000):
        put_slice(tmp_path, first, [playlist(first, [])])
    assert tables(tmp_path)["playlists"]["playlist_id"].to_list() == ["0", "1000", "99000", "100000"]


def test_a_file_is_read_a_bit_at_a_time_and_handed_over_a_bit_at_a_time(tmp_path):
    lists = [playlist(pid, [LOSE_CONTROL, FEVER]) for pid in range(50)]
    put_slice(tmp_path, 0, lists)
    whole = tables(tmp_path)
    with patch("data.importers.public.mpd.CHUNK", 97), patch("data.importers.public.mpd.PART_ENTRIES", 10):
        small = tables(tmp_path)
        largest = max(frame.height for _, frame in read(tmp_path))
    assert largest <= 10
    assert small["playlists"].equals(whole["playlists"])
    assert small["playlist_tracks"].equals(whole["playlist_tracks"])
    assert small["tracks"].unique().sort("track_id").equals(whole["tracks"].sort("track_id"))


def test_what_is_nested_without_end_ends_the_file_and_no_run(tmp_path):
    path = put_slice(tmp_path, 0, [playlist(0, [LOSE_CONTROL]), playlist(1, [FEVER])])
    put_slice(tmp_path, 1000, [playlist(1000, [FEVER])])
    text = path.read_text()
    at = text.index('"pid": 1')
    path.write_text(f'{text[:at]}"deep": {"[" * 200_000}, {text[at:]}')
    found = tables(tmp_path)
    assert found["playlists"]["playlist_id"].to_list() == ["0", "1000"]
    assert found["rejects"]["reason"].to_list() == ["the file ends here, or is no JSON from here on"]


@pytest.mark.parametrize("end", [1, 200, 700, -3])
def test_a_file_that_was_cut_keeps_the_playlists_before_the_cut(tmp_path, end):
    path = put_slice(tmp_path, 0, [playlist(0, [LOSE_CONTROL]), playlist(1, [FEVER]), playlist(2, [])])
    put_slice(tmp_path, 1000, [playlist(1000, [FEVER])])
    text = path.read_text()
    cut = text.index('"pid": 1') + end if end > 0 else len(text) + end
    path.write_text(text[:cut])
    found = tables(tmp_path)
    ids = found["playlists"]["playlist_id"].to_list()
    assert ids[0] == "0"
    assert ids[-1] == "1000"
    assert found["rejects"].select("source", "reason").rows() == [
        (path.name, "the file ends here, or is no JSON from here on")
    ]


def test_what_is_no_playlist_or_no_song_is_rejected_and_its_neighbours_stay(tmp_path):
    half = LOSE_CONTROL | {"track_name": "\ud83d half", "duration_ms": "long"}
    odd = [
        playlist(None, [LOSE_CONTROL]),
        playlist("7", [LOSE_CONTROL]),
        playlist(3, {"pos": 0}),
        "playlist",
        playlist(4, ["song", LOSE_CONTROL | {"track_uri": 5}, FEVER | {"pos": None}, FEVER]),
        playlist(5, [half], name=["x"], modified_at=2**60),
    ]
    put_slice(tmp_path, 0, odd)
    found = tables(tmp_path)
    assert found["rejects"].select("table", "reason").rows() == [
        *[("playlists", "no playlist with a pid and a list of tracks")] * 4,
        ("playlist_tracks", "not a JSON object"),
    ]
    assert found["playlists"]["playlist_id"].to_list() == ["4", "5"]
    assert found["playlists"].row(1)[1:] == (None, None, None)
    # A song without an id, or without its place, is left to the rules that hold for every data set.
    assert found["playlist_tracks"]["track_id"].null_count() == found["playlist_tracks"]["position"].null_count() == 1
    kept = found["tracks"].filter(track_id=LOSE_CONTROL["track_uri"])
    assert kept.select("title", "duration_s").row(0) == ("? half", None)


def test_a_file_without_playlists_is_rejected(tmp_path):
    (tmp_path / "challenge_set.json").write_text('{"name": "something else"}')
    assert tables(tmp_path)["rejects"].select("source", "reason", "content").rows() == [
        ("challenge_set.json", 'no list "playlists" at the head of the file', '{"name": "something else"}')
    ]


def test_a_folder_without_the_files_is_a_mistake_that_names_them(tmp_path):
    with pytest.raises(UserError, match=r"neither mpd.slice.\*.json nor challenge_set.json in .*\n.*--path"):
        next(read(tmp_path))
