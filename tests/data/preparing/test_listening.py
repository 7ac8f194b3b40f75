"""A person's files, listening and playlists, joined."""

import json
import os
import time
from pathlib import Path

import mutagen
import polars as pl
import pytest

from data.dataset import load_dataset
from data.errors import UserError
from data.preparing.folder import prepare_folder
from data.preparing.listening import prepare_with_listening
from data.storage.workspace import Workspace
from tests.data.audio.sound_files import tone, write

SONGS = [
    ("Björk", "Jóga"),
    ("Low", "Sunflower"),
    ("Twins, The", "Ice"),
    ("Cavern", "Brandenburg Concerto No. 3: I. Allegro"),
]
NOT_THERE = ("Nobody", "Never Recorded Before")


def song(path: Path, artist: str, title: str, hertz: float) -> None:
    write(path, tone(2, hertz=hertz))
    file = mutagen.File(path)
    file["artist"], file["title"] = artist, title
    file.save()
    os.utime(path, (time.time() - 3600, time.time() - 3600))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for number, (artist, title) in enumerate(SONGS):
        song(tmp_path / f"music/{artist}/{number}.flac", artist, title, 200.0 + 20 * number)
    return tmp_path / "music"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Scrobbles of the first three songs, otherwise spelled, and of one that is not there; each played twice."""
    spelled = [("Bjork", "Joga"), ("Low", "Sunflower (2011 Remaster)"), ("The Twins", "Ice"), NOT_THERE]
    lines = ["uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"]
    for play, (artist, title) in enumerate(spelled * 2):
        lines.append(f'{1700000000 + 1000 * play},"14 Nov 2023, 22:13","{artist}",,,,"{title}",')
    (tmp_path / "export").mkdir()
    (tmp_path / "export/scrobbles.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "export"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def played(space: Workspace) -> list[str]:
    dataset = load_dataset(space)
    return dataset.track_ids.to_names(dataset.listens["track"])


FILES = ["Björk/0.flac", "Low/1.flac", "Twins, The/2.flac"]


def test_plays_of_an_export_are_plays_of_the_files(space, music, export):
    taken = prepare_with_listening(space, music, export, None)
    dataset = load_dataset(space)
    (other,) = set(dataset.track_ids.names) - {f"{artist}/{number}.flac" for number, (artist, _) in enumerate(SONGS)}
    assert played(space) == [*FILES, other] * 2
    own = dataset.tracks.filter(pl.col("audio_path").is_not_null())
    assert set(own.select("artist", "title").rows()) == set(SONGS)
    told = json.loads(json.dumps(taken.as_json()))
    (matching,) = told["matching"].values()
    assert matching["songs"] == 4
    assert sum(matching["matched"].values()) == 3
    (left,) = matching["unmatched"]
    assert (left["new_id"], left["new_title"], left["new_artist"]) == (other, NOT_THERE[1], NOT_THERE[0])
    assert pl.read_parquet(space.matches / next(iter(told["matching"])) / "unmatched.parquet").height == 1


@pytest.mark.usefixtures("listening")
def test_what_did_not_match_is_said_with_the_nearest(space, music, export, capsys):
    prepare_with_listening(space, music, export, None).report()
    said = capsys.readouterr().err
    assert "3 of 4 songs matched: " in said
    assert "not matched  Nobody - Never Recorded Before  (" in said


def test_the_same_in_two_steps_and_again_changes_nothing(space, music, export, tmp_path):
    prepare_folder(space, music)
    prepare_with_listening(space, music, export, None)  # all that is held, and one more: nothing is replaced
    before = load_dataset(space)
    assert not any(prepare_with_listening(space, music, export, None).composed.changes.tables.values())
    assert load_dataset(space).fingerprint == before.fingerprint
    other = Workspace(tmp_path / "other")
    prepare_with_listening(other, music, export, None)
    assert load_dataset(other).tracks.equals(before.tracks, null_equal=True)


def test_a_file_that_comes_later_takes_the_plays(space, music, export, tmp_path):
    (music / "Low/1.flac").rename(tmp_path / "aside.flac")
    prepare_with_listening(space, music, export, None)
    assert "Low/1.flac" not in played(space)
    count = len(played(space))
    (tmp_path / "aside.flac").rename(music / "Low/1.flac")
    prepare_folder(space, music)
    assert played(space).count("Low/1.flac") == 2
    assert len(played(space)) == count
    assert len(load_dataset(space).track_ids) == 5


def test_plays_of_a_file_that_goes_stay(space, music, export):
    prepare_with_listening(space, music, export, None)
    count = len(played(space))
    (music / "Low/1.flac").unlink()
    prepare_folder(space, music)
    assert "Low/1.flac" not in load_dataset(space).track_ids.names
    assert len(played(space)) == count


class TestPlaylists:
    @pytest.fixture
    def lists(self, music, tmp_path) -> Path:
        folder = tmp_path / "lists"
        folder.mkdir()
        lines = [
            "../music/Björk/0.flac",
            str(music / "Low/1.flac"),
            r"D:\Music\Twins, The\2.flac",
            "#EXTINF:2,Low - Sunflower",
            "/elsewhere/x.flac",
            "#EXTINF:2,Nobody - Nothing",
            "/elsewhere/y.flac",
            "/elsewhere/z.flac",
        ]
        (folder / "mine.m3u8").write_text("#EXTM3U\n" + "\n".join(lines) + "\n")
        return folder

    def test_entries_are_found_as_players_write_them(self, space, music, lists):
        prepare_with_listening(space, music, None, lists)
        dataset = load_dataset(space)
        assert dataset.playlist_ids.names == ("mine.m3u8",)
        found = dataset.track_ids.to_names(dataset.playlist_tracks["track"])
        assert found[:3] == FILES
        assert found[3:] == ["nobody - nothing"]  # what is named is kept; what only has a path elsewhere is not
        own = dataset.tracks.filter(pl.col("audio_path").is_not_null())
        assert set(own.select("artist", "title").rows()) == set(SONGS)

    def test_playlists_inside_the_music_are_not_read_twice(self, space, music, lists):
        lists.rename(music / "lists")
        prepare_with_listening(space, music, None, music / "lists")
        assert load_dataset(space).playlist_ids.names == ("lists/mine.m3u8",)


@pytest.mark.parametrize(("listens", "playlists"), [("nowhere", None), (None, "nowhere"), ("music", None)])
def test_a_mistake_is_met_before_anything_is_made(space, music, tmp_path, listens, playlists):
    given = [None if name is None else tmp_path / name for name in (listens, playlists)]
    with pytest.raises(UserError, match=r"nowhere|no export of listening"):
        prepare_with_listening(space, music, *given)
    assert not space.root.exists()
