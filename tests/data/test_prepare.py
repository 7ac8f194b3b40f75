"""The command as a person calls it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.dataset import load_dataset
from data.storage.manifest import verify
from data.storage.workspace import Workspace
from tests.data.audio.sound_files import tone, write

Ended = subprocess.CompletedProcess[str]
Command = Callable[..., Ended]
TRACKS = "track_id,name,artist\n007,Ice,Low\n8,Fire,\n,Nobody,\n"
LISTENS = "who,track_id,listened_at,played_ratio\nu1,007,2025-01-01T10:00:00Z,1\nu1,9,2025-01-01T11:00:00Z,1\n"


def python(*arguments: str, cwd: Path) -> Ended:
    """Run Python in a folder, output captured, as wide as a terminal can be."""
    known = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=known, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def prepare(tmp_path: Path) -> Command:
    """`prepare("tables", "--tracks", "t.csv")` in a folder that holds a few tables."""
    (tmp_path / "t.csv").write_text(TRACKS)
    (tmp_path / "l.csv").write_text(LISTENS)
    return lambda *arguments: python("-m", "data.prepare", *arguments, cwd=tmp_path)


def test_tables_are_read_mapped_and_reported(prepare, tmp_path):
    mapped = ("--map", "title=name,listens.user_id=who")
    ended = prepare("tables", "--tracks", "t.csv", "--listens", "l.csv", *mapped, "-w", "here")
    assert (ended.returncode, ended.stdout) == (0, "")
    for said in (
        "2 tracks, 1 listeners, 1 listens",
        "tracks: 3 read, 2 kept, 1 rejected",
        "no track_id",
        "recsys.build_index",
    ):
        assert said in ended.stderr
    assert "listens: 2 read, 1 kept, 1 rejected" in ended.stderr
    assert "track_id not in tracks" in ended.stderr
    dataset = load_dataset(Workspace(tmp_path / "here"))
    assert dataset.track_ids.names == ("007", "8")
    assert dataset.tracks["title"].to_list() == ["Ice", "Fire"]
    assert dataset.user_ids.names == ("u1",)
    assert not dataset.simulated


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tables",), "no table given"),
        (("tables", "--tracks", "gone.csv"), "no file gone.csv"),
        (("tables", "--tracks", "t.csv", "--map", "title=nmae"), 'the closest name is "name"'),
        (("tables", "--listens", "t.csv"), "user_id"),
        (("tables", "--columns", "gone.toml"), "gone.toml"),
        (("folder", "--path", "gone"), "no folder gone"),
        (("demo", "--tracks", "3"), "--tracks"),
        (("dmeo",), "dmeo"),
    ],
)
def test_a_mistake_gets_two_lines_that_name_it_and_exit_code_2(prepare, tmp_path, arguments, said):
    ended = prepare(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "workspace").exists()


def test_debug_shows_where_and_keeps_the_message_and_the_exit_code(prepare):
    ended = prepare("tables", "--tracks", "gone.csv", "--debug")
    assert ended.returncode == 2
    assert "Traceback" in ended.stderr
    assert "error: no file gone.csv" in ended.stderr


def test_no_track_left_is_a_mistake_and_the_old_tables_stay(prepare, tmp_path):
    assert prepare("tables", "--tracks", "t.csv").returncode == 0
    (tmp_path / "t.csv").write_text("track_id,name\n,x\n")
    ended = prepare("tables", "--tracks", "t.csv")
    assert ended.returncode == 2
    assert "no track is left" in ended.stderr
    assert load_dataset(Workspace(tmp_path / "workspace")).track_ids.names == ("007", "8")


def test_flags_win_over_the_settings_file(prepare, tmp_path):
    (tmp_path / "other.csv").write_text("track_id,name\nonly,x\n")
    (tmp_path / "s.toml").write_text('tracks = "other.csv"\n[map]\ntitle = "name"\n')
    assert prepare("tables", "--columns", "s.toml", "-w", "a").returncode == 0
    assert prepare("tables", "--columns", "s.toml", "--tracks", "t.csv", "-w", "b").returncode == 0
    titles = [load_dataset(Workspace(tmp_path / name)).tracks["title"].to_list() for name in "ab"]
    assert titles == [["x"], ["Ice", "Fire"]]


def test_a_folder_of_music_becomes_tracks_and_playlists(prepare, tmp_path):
    write(tmp_path / "music/Low/01 Ice.flac", tone(2))
    write(tmp_path / "music/b.ogg", tone(2))
    (tmp_path / "music/broken.mp3").write_bytes(b"no music at all")
    (tmp_path / "music/mine.m3u8").write_text("b.ogg\nLow/01 Ice.flac\n")
    ended = prepare("folder", "--path", "music")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "broken.mp3" in ended.stderr
    assert "2 tracks, 1 playlists" in ended.stderr
    dataset = load_dataset(Workspace(tmp_path / "workspace"))
    assert sorted(dataset.track_ids.names) == ["Low/01 Ice.flac", "b.ogg"]
    assert dataset.track_ids.to_names(dataset.playlist_tracks["track"]) == ["b.ogg", "Low/01 Ice.flac"]
    assert all(dataset.audio_file(track).is_file() for track in range(2))
    (rejects,) = (tmp_path / "workspace/imports").glob("folder-music-*/rejects.parquet")
    assert pl.read_parquet(rejects)["source"].to_list() == ["broken.mp3"]


def test_the_demo_makes_a_simulated_catalogue_with_audio_once(prepare, tmp_path):
    ended = prepare("demo", "--tracks", "40")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "40 tracks" in ended.stderr
    workspace = Workspace(tmp_path / "workspace")
    dataset = load_dataset(workspace)
    assert dataset.simulated
    assert all(dataset.audio_file(track).is_file() for track in range(40))
    assert min(dataset.listens.height, dataset.playlists.height, len(dataset.user_ids)) > 0
    before = verify(workspace.dataset)
    assert prepare("demo", "--tracks", "40").returncode == 0
    assert verify(workspace.dataset) == before


def test_other_data_is_merged_or_replaced_when_that_is_said(prepare, tmp_path):
    space = Workspace(tmp_path / "workspace")
    mapped = ("--map", "title=name,listens.user_id=who")
    assert prepare("tables", "--tracks", "t.csv", *mapped[:1], "title=name").returncode == 0
    (tmp_path / "more.csv").write_text("track_id,title\n8,Flame\n9,Rain\n")
    refused = prepare("tables", "--tracks", "more.csv")
    assert refused.returncode == 2
    assert re.search(r"workspace holds other data: tables-t-\w{6}\.\n +--add .*--replace ", refused.stderr)
    assert load_dataset(space).track_ids.names == ("007", "8")
    both = prepare("tables", "--tracks", "more.csv", "--add", "--replace")
    assert (both.returncode, "--add and --replace" in both.stderr) == (2, True)
    added = prepare("tables", "--tracks", "more.csv", "--add", "--json")
    assert added.returncode == 0
    assert "changes     tracks 1 new, 1 changed" in added.stderr
    assert json.loads(added.stdout)["changes"]["tracks"] == {"new": 1, "changed": 1, "gone": 0}
    assert load_dataset(space).tracks["title"].to_list() == ["Ice", "Flame", "Rain"]
    (tmp_path / "more.csv").write_text("track_id,title\n9,Rain\n")
    again = prepare("tables", "--tracks", "more.csv")  # its own import, whatever else there is
    assert again.returncode == 0
    assert "changes     tracks 1 changed" in again.stderr
    assert load_dataset(space).tracks["title"].to_list() == ["Ice", "Fire", "Rain"]
    assert prepare("tables", "--tracks", "more.csv", "--replace").returncode == 0
    assert load_dataset(space).track_ids.names == ("9",)
    nothing = prepare("tables", "--tracks", "more.csv")
    assert "changes     nothing changed" in nothing.stderr


APP = """
import typer
from data.console.command import run
from data.errors import UserError

app = typer.Typer()

@app.command()
def command() -> None:
    print("result")
    raise {error}

run(app)
"""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ('UserError("no [song] x", "Take y.")', 2, "error: no [song] x\n       Take y.\n"),
        ('RuntimeError("boom")', 1, "error: RuntimeError: boom\n       --debug shows where.\n"),
        ("KeyboardInterrupt", 1, "Stopped. Finished work is kept; the same command goes on from there.\n"),
    ],
)
def test_how_every_command_ends(tmp_path, error, code, said):
    ended = python("-c", APP.format(error=error), cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "result\n", said)


def test_an_error_of_ours_shows_where_with_debug(tmp_path):
    ended = python("-c", APP.format(error='RuntimeError("boom")'), "--debug", cwd=tmp_path)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "boom" in ended.stderr
