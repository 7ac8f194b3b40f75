import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.dataset import POSITIVE, load_dataset, save_dataset
from data.errors import DamagedError, UserError
from data.storage.manifest import read_manifest
from data.storage.parquet import scan_parquet
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from data.tables import SCHEMAS, Imported

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)


def test_rows_refer_to_the_tables_they_point_into(small_world):
    _, dataset, _ = small_world
    assert dataset.tracks["track_id"].to_list() == list(dataset.track_ids.names)
    assert dataset.playlists["playlist_id"].to_list() == list(dataset.playlist_ids.names)
    heard = dataset.listens.filter(POSITIVE)
    for user, track in heard.select("user", "track").unique().iter_rows():
        block = dataset.track_ids.names[track].split("-")[0]
        assert dataset.user_ids.names[user].startswith(f"fan-of-{block}-")
    for playlist, track in dataset.playlist_tracks.select("playlist", "track").iter_rows():
        block = dataset.track_ids.names[track].split("-")[0]
        assert dataset.playlist_ids.names[playlist].startswith(f"list-of-{block}-")
    inside = [dataset.listens["user"], dataset.listens["track"], dataset.playlist_tracks["playlist"]]
    assert {column.dtype for column in inside} == {pl.Int32()}


def test_listens_are_by_listener_oldest_first_and_ties_keep_their_order(publish):
    rows = [("b", "x", 2), ("a", "x", 5), ("b", "y", 1), ("a", "y", 5), ("a", "z", 4), ("a", "w", 5)]
    listens = pl.DataFrame(rows, ["user_id", "track_id", "hour"], orient="row")
    listens = listens.with_columns(listened_at=pl.lit(NOON) + pl.duration(hours="hour"))
    dataset = publish(listens=listens)
    found = [
        (dataset.user_ids.names[user], dataset.track_ids.names[track])
        for user, track in dataset.listens.select("user", "track").iter_rows()
    ]
    assert found == [("a", "z"), ("a", "x"), ("a", "y"), ("a", "w"), ("b", "y"), ("b", "x")]


def test_plays_without_a_time_are_ordered_by_position(publish):
    listens = pl.DataFrame({"user_id": ["u"] * 3, "track_id": ["c", "a", "b"], "position": [3, 1, 2]})
    dataset = publish(listens=listens)
    assert dataset.track_ids.to_names(dataset.listens["track"]) == ["a", "b", "c"]


def test_playlists_keep_their_order(publish):
    entries = pl.DataFrame({"playlist_id": ["p", "p", "p"], "position": [7, -1, 3], "track_id": ["c", "a", "b"]})
    dataset = publish(playlist_tracks=entries)
    assert dataset.track_ids.to_names(dataset.playlist_tracks["track"]) == ["a", "b", "c"]


def test_the_order_of_files_does_not_change_what_is_loaded(publish):
    listens = pl.DataFrame(
        {
            "user_id": [f"u{i % 7}" for i in range(200)],
            "track_id": [f"t{i % 13}" for i in range(200)],
            "listened_at": [NOON + timedelta(minutes=i) for i in range(200)],
        }
    )
    tracks = pl.DataFrame({"track_id": [f"t{i}" for i in range(13)]})
    first, again = publish(tracks=tracks, listens=listens), publish(tracks=tracks, listens=listens.reverse())
    assert first.listens.equals(again.listens)


@pytest.mark.parametrize("table", ["tracks", "listens", "playlist_tracks", "features"])
def test_any_single_table_makes_a_dataset(publish, table):
    tables = {
        "tracks": pl.DataFrame({"track_id": ["t"]}),
        "listens": pl.DataFrame({"user_id": ["u"], "track_id": ["t"], "position": [0]}),
        "playlist_tracks": pl.DataFrame({"playlist_id": ["p"], "track_id": ["t"], "position": [0]}),
        "features": pl.DataFrame({"track_id": ["t"], "features": [[1.0, 2.0]]}),
    }
    dataset = publish(**{table: tables[table]})
    assert dataset.track_ids.names == ("t",)
    assert len(dataset.user_ids) == (table == "listens")
    assert dataset.artists.tolist() == [-1]
    assert "1 tracks" in dataset.summary()


@pytest.mark.parametrize(
    ("ratio", "feedback", "wanted"),
    [
        (None, None, True),
        (0.5, None, True),
        (0.49, None, False),
        (1.0, "skip", False),
        (1.0, "dislike", False),
        (None, "like", True),
        (None, "skip", False),
    ],
)
def test_a_listen_counts_as_wanted_if_half_played_and_neither_skipped_nor_disliked(ratio, feedback, wanted):
    frame = pl.DataFrame(
        {"played_ratio": [ratio], "feedback": [feedback]}, {"played_ratio": pl.Float32, "feedback": pl.String}
    )
    assert frame.select(POSITIVE).item() is wanted


def test_artists_are_told_apart_by_name_without_case(publish):
    names = ["Björk", "BJÖRK ", "Low", None, "low", None]
    artists = publish(tracks=pl.DataFrame({"track_id": list("abcdef"), "artist": names})).artists
    assert artists[0] == artists[1] >= 0
    assert artists[2] == artists[4] >= 0
    assert artists[0] != artists[2]
    assert artists[3] == artists[5] == -1


def test_audio_lies_below_the_workspace_and_may_not_leave_it(publish):
    paths = ["demo-audio/a.flac", "/music/b.flac", None, "../secret.flac"]
    dataset = publish(tracks=pl.DataFrame({"track_id": list("abcd"), "audio_path": paths}))
    assert dataset.audio_file(0) == dataset.root.resolve() / "demo-audio/a.flac"
    assert dataset.audio_file(1) == Path("/music/b.flac")
    assert dataset.audio_file(2) is None
    with pytest.raises(UserError, match="leaves"):
        dataset.audio_file(3)


def test_a_part_of_the_listening_keeps_the_catalogue_and_its_ids(small_world):
    _, dataset, _ = small_world
    part = dataset.only(dataset.listens.head(3), dataset.playlist_tracks.head(0))
    assert (part.listens.height, part.playlist_tracks.height) == (3, 0)
    assert part.tracks is dataset.tracks
    assert part.user_ids is dataset.user_ids
    assert dataset.listens.height > 3


def test_the_manifest_tells_what_was_read_rejected_and_merged(tmp_path):
    tracks = pl.DataFrame({"track_id": ["a", "a", None, "b"]})
    save_dataset(Workspace(tmp_path), Imported({"tracks": tracks}, facts={"terms": "CC0"}), {"importer": "test"})
    facts = read_manifest(tmp_path / "dataset").facts
    assert (facts["rows"]["tracks"], facts["merged"], facts["rejected"], facts["terms"]) == (2, {"tracks": 1}, 1, "CC0")
    rejects = pl.read_parquet(tmp_path / "imports/test/rejects.parquet")
    assert rejects["reason"].to_list() == ["no track_id"]


@pytest.mark.usefixtures("listening")
def test_what_was_rejected_is_said_with_counts_reasons_and_where_to_look(tmp_path, capsys):
    tracks = pl.DataFrame({"track_id": ["a", None, None], "title": ["[b]", "lost", "gone"]})
    save_dataset(Workspace(tmp_path), Imported({"tracks": tracks}), {})
    said = capsys.readouterr()
    assert said.out == ""
    assert "tracks: 3 read, 1 kept, 2 rejected" in said.err
    assert str(tmp_path / "imports/import/rejects.parquet") in said.err
    assert re.search(r"rejected +tracks +2  no track_id", said.err)
    assert "lost" in said.err


@pytest.mark.usefixtures("listening")
def test_a_dataset_without_a_track_is_refused_and_the_old_one_stays(tmp_path, capsys):
    space = Workspace(tmp_path)
    save_dataset(space, Imported({"tracks": pl.DataFrame({"track_id": ["a"]})}), {})
    with pytest.raises(UserError, match="no track is left"):
        save_dataset(space, Imported({"tracks": pl.DataFrame({"track_id": [None]}, {"track_id": pl.String})}), {})
    assert "no track_id" in capsys.readouterr().err
    assert load_dataset(space).track_ids.names == ("a",)


def test_a_dataset_of_before_recordings_had_ids_is_read_with_none(publish, tmp_path):
    dataset = publish(tracks=pl.DataFrame({"track_id": ["a"], "title": ["Rain"], "mbid": ["m"], "isrc": ["i"]}))
    assert dataset.tracks.select("mbid", "isrc").row(0) == ("m", "i")
    old = Workspace(tmp_path / "old")
    with publishing(old.dataset, "dataset", settings={}) as draft:
        for table in SCHEMAS:
            frame = scan_parquet(Workspace(dataset.root).dataset / f"{table}.parquet").collect()
            frame.drop("mbid", "isrc", strict=False).write_parquet(draft.folder / f"{table}.parquet")
    loaded = load_dataset(old)
    assert loaded.tracks.select("track_id", "title", "mbid", "isrc").rows() == [("a", "Rain", None, None)]
    assert loaded.tracks.columns == dataset.tracks.columns


def test_where_there_is_none_it_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"no dataset in .*\n.*data.prepare"):
        load_dataset(Workspace(tmp_path / "nowhere"))


@pytest.mark.parametrize("table", list(SCHEMAS))
def test_a_damaged_table_is_refused_by_name_and_its_own_command_is_proposed(small_world, table):
    workspace, *_ = small_world
    path = workspace.dataset / f"{table}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=rf"{table}.parquet is damaged.*\n.*data.prepare"):
        load_dataset(workspace)
    os.remove(path)
    with pytest.raises(DamagedError, match=rf"{table}.parquet is missing"):
        load_dataset(workspace)


def test_the_same_data_has_the_same_fingerprint_and_other_data_another(publish):
    def one(title: str) -> str:
        return publish(tracks=pl.DataFrame({"track_id": ["a"], "title": [title]})).fingerprint

    assert one("x") == one("x")
    assert one("x") != one("y")


def test_a_recording_is_known_by_title_and_artist(publish):
    tracks = pl.DataFrame(
        {
            "track_id": list("abcdef"),
            "title": ["Rain", "rain ", "Rain", None, "Rain", None],
            "artist": ["Ann", "ANN", "Bob", "Ann", None, None],
        }
    )
    found = publish(tracks=tracks).recordings
    assert found[0] == found[1] >= 0
    assert found[2] not in (-1, found[0])
    assert found[3:].tolist() == [-1, -1, -1]
