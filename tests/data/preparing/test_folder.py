"""A folder of music in a workspace: scanned again, beside other data, beside another folder, and watched."""

import os
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from data.dataset import load_dataset
from data.errors import UserError
from data.imports.saving import save_import
from data.preparing.folder import prepare_folder, watch_folder
from data.preparing.taking import Coming, Taken, take
from data.storage.workspace import Workspace
from data.tables import Imported
from tests.data.audio.sound_files import tone, write

PATIENCE_S = 60


def song(path: Path, hertz: float) -> Path:
    """A song that nobody has written to for an hour."""
    write(path, tone(1, hertz=hertz))
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    return path


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for number in range(4):
        song(tmp_path / f"music/{number}.flac", 200.0 + 20 * number)
    return tmp_path / "music"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def add_plays(space: Workspace, *tracks: str) -> None:
    listens = pl.DataFrame({"user_id": ["me"] * len(tracks), "track_id": tracks, "position": range(len(tracks))})
    settings = {"importer": "test"}
    take(space, [Coming("test", lambda known: save_import(space, Imported({"listens": listens}), settings))], "add")


def changes(taken: Taken) -> dict[str, int]:
    return taken.composed.changes.as_json()["tracks"]


def test_scanned_again_songs_keep_their_plays_wherever_they_are(space, music):
    prepare_folder(space, music)
    add_plays(space, "0.flac", "1.flac")
    (music / "0.flac").rename(music / "moved.flac")
    song(music / "new.flac", 999)
    taken = prepare_folder(space, music)
    assert changes(taken) == {"new": 1, "changed": 1, "gone": 0}
    dataset = load_dataset(space)
    played = dataset.track_ids.to_names(dataset.listens["track"])
    assert played == ["0.flac", "1.flac"]
    assert dataset.audio_file(dataset.track_ids.names.index("0.flac")) == (music / "moved.flac").resolve()
    before = dataset.fingerprint
    assert changes(prepare_folder(space, music)) == {"new": 0, "changed": 0, "gone": 0}
    assert load_dataset(space).fingerprint == before


def test_a_second_folder_has_ids_of_its_own(space, music, tmp_path):
    prepare_folder(space, music)
    song(tmp_path / "other/0.flac", 999)
    (tmp_path / "other/mine.m3u").write_text("0.flac\n")
    with pytest.raises(UserError, match=r"holds other data: folder-music-\w+ \(.*music\).*\n.*--add"):
        prepare_folder(space, tmp_path / "other")
    assert changes(prepare_folder(space, tmp_path / "other", "add"))["new"] == 1
    dataset = load_dataset(space)
    (own,) = set(dataset.track_ids.names) - {f"{number}.flac" for number in range(4)}
    assert own.startswith("other-")
    assert own.endswith("/0.flac")
    assert dataset.track_ids.to_names(dataset.playlist_tracks["track"]) == [own]
    song(tmp_path / "other/1.flac", 1200)
    prepare_folder(space, tmp_path / "other")
    assert load_dataset(space).track_ids.names[-1] == own.replace("0.flac", "1.flac")
    prepare_folder(space, tmp_path / "other", "replace")
    assert load_dataset(space).track_ids.names == (own, own.replace("0.flac", "1.flac"))


def test_what_is_missing_is_refused_and_the_catalogue_stays(space, music):
    with pytest.raises(UserError, match="no folder"):
        prepare_folder(space, music.with_name("nowhere"))
    assert not space.root.exists()
    prepare_folder(space, music)
    music.rename(music.with_name("unmounted"))
    with pytest.raises(UserError, match=r"4 songs with it.*\n.*--allow-gone"):
        prepare_folder(space, music)
    assert len(load_dataset(space).track_ids) == 4


class TestWatching:
    @pytest.fixture
    def watching(self, space, music):
        """What a watch has said so far, once the folder is imported."""
        prepare_folder(space, music)
        said: list[object] = []
        stop = threading.Event()
        arguments = (space, music, said.append, said.append, False, stop)
        thread = threading.Thread(target=watch_folder, args=arguments)
        thread.start()
        yield said
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    @staticmethod
    def until(space: Workspace, songs: int) -> None:
        end = time.monotonic() + PATIENCE_S
        while len(load_dataset(space).track_ids) != songs and time.monotonic() < end:
            time.sleep(0.1)
        assert len(load_dataset(space).track_ids) == songs

    def test_a_new_song_is_there_soon_and_one_that_is_gone_is_not(self, space, music, watching):
        write(music / "new.flac", tone(1, hertz=999))
        self.until(space, 5)
        (music / "new.flac").unlink()
        self.until(space, 4)
        assert all(isinstance(each, Taken) for each in watching)

    def test_an_unmounted_disk_is_told_and_deletes_nothing(self, space, music, watching):
        for file in music.iterdir():
            file.rename(music.parent / file.name)
        end = time.monotonic() + PATIENCE_S
        while not any(isinstance(each, UserError) for each in watching) and time.monotonic() < end:
            time.sleep(0.1)
        assert "--allow-gone" in str(watching[-1])
        assert len(load_dataset(space).track_ids) == 4
