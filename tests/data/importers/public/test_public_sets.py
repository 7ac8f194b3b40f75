"""Public data sets as a person prepares them, and what every registered one has to say about itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from data.dataset import load_dataset, save_dataset, save_parts
from data.errors import UserError
from data.importers.public.lastfm_1k import FILE
from data.importers.registry import DATA_SETS
from data.preparing.data_sets import prepare_public
from data.storage.manifest import read_manifest, verify
from data.storage.workspace import Workspace
from data.tables import Imported, TablePart

PLAY = "user_000001\t{time}\t\tLow\t\t{title}\n"


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, output captured, as wide as a terminal can be."""
    command = [sys.executable, "-m", "data.prepare", *arguments]
    known = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with small files of lastfm-1k and mpd."""
    folder = tmp_path / "published"
    folder.mkdir()
    plays = [PLAY.format(time=f"2009-05-04T23:08:5{place}Z", title=f"Song {place % 3}") for place in range(9, -1, -1)]
    (folder / FILE).write_text("".join(plays) + PLAY.format(time="soon", title="Never"))
    song = {"pos": 0, "track_uri": "spotify:track:a", "track_name": "A", "artist_name": "B", "duration_ms": 1000}
    lists = [{"pid": pid, "name": "Party", "modified_at": 1493424000, "tracks": [song]} for pid in range(3)]
    (folder / "mpd.slice.0-999.json").write_text(json.dumps({"info": {}, "playlists": lists}))
    return folder


def test_the_command_says_terms_and_source_then_counts_rejects_and_what_to_do_next(published, tmp_path):
    ended = prepare(tmp_path, "lastfm-1k", "--path", str(published), "--memory", "500MB")
    assert (ended.returncode, ended.stdout) == (0, "")
    known = DATA_SETS["lastfm-1k"]
    order = [known.about, known.terms, known.source, "10 kept, 1 rejected", "the time cannot be read", f"{FILE}:11"]
    order += ["3 tracks, 1 listeners, 10 listens", "python -m recsys.build_index --workspace workspace"]
    places = [ended.stderr.index(said) for said in order]
    assert places == sorted(places)
    workspace = Workspace(tmp_path / "workspace")
    dataset = load_dataset(workspace)
    assert dataset.track_ids.names == ("Low :: Song 0", "Low :: Song 2", "Low :: Song 1")
    assert dataset.listens["listened_at"].is_sorted()
    facts = read_manifest(workspace.dataset).facts
    assert (facts["importer"], facts["terms"], facts["source"]) == ("lastfm-1k", known.terms, known.source)
    assert (facts["rejected"], facts["simulated"], dataset.simulated) == (1, False, False)
    assert not list((tmp_path / "workspace" / ".work").iterdir())


def test_playlists_without_listens(published, tmp_path):
    ended = prepare(tmp_path, "mpd", "--path", str(published), "-w", "here")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "1 tracks, 3 playlists" in ended.stderr
    dataset = load_dataset(Workspace(tmp_path / "here"))
    assert dataset.playlist_ids.names == ("0", "1", "2")
    assert dataset.manifest.facts["importer"] == "mpd"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--path", "gone"), "no folder gone"),
        (("--path", "empty"), f"no {FILE} in empty"),
        (("--path", "published", "--memory", "lots"), '"lots" is no amount of memory'),
    ],
)
def test_a_mistake_is_met_before_anything_is_made(published, tmp_path, arguments, said):
    (tmp_path / "empty").mkdir()
    ended = prepare(tmp_path, "lastfm-1k", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert not (tmp_path / "workspace").exists()


class TestSaveParts:
    tables = {
        "tracks": pl.DataFrame({"track_id": ["b", "a", "c"], "title": ["B", "A", None]}),
        "listens": pl.DataFrame({"user_id": ["v", "u", "v", "u"], "track_id": list("acab"), "position": [2, 1, 1, 0]}),
        "playlists": pl.DataFrame({"playlist_id": ["q", "p"]}),
        "playlist_tracks": pl.DataFrame(
            {"playlist_id": ["p", "q", "p"], "position": [1, 0, 0], "track_id": list("abc")}
        ),
        "features": pl.DataFrame({"track_id": ["c", "b"], "features": [[1.0, 2.0], [3.0, 4.0]]}),
    }

    def test_what_is_loaded_is_the_same_as_of_tables_in_memory(self, tmp_path):
        first, second = Workspace(tmp_path / "first"), Workspace(tmp_path / "second")
        save_dataset(first, Imported(self.tables), {"importer": "test"})
        save_parts(second, self.tables.items(), {}, {"importer": "test"}, "300MB")
        one, other = load_dataset(first), load_dataset(second)
        for name in ("tracks", "listens", "playlists", "playlist_tracks", "features"):
            assert getattr(one, name).equals(getattr(other, name), null_equal=True), name
        for name in ("track_ids", "user_ids", "playlist_ids"):
            assert getattr(one, name) == getattr(other, name)
        assert one.manifest.facts["rows"] == other.manifest.facts["rows"]

    def test_the_same_parts_have_the_same_fingerprint(self, tmp_path):
        prints = set()
        for name in ("first", "second"):
            save_parts(Workspace(tmp_path / name), self.tables.items(), {}, {"importer": "test"}, "300MB")
            prints.add(verify(tmp_path / name / "dataset").fingerprint)
        assert len(prints) == 1

    @pytest.mark.parametrize("parts", ["no track", "breaks off"])
    def test_a_failure_leaves_what_was_published_and_no_scratch(self, tmp_path, parts):
        def breaks_off() -> Iterator[TablePart]:
            yield "tracks", pl.DataFrame({"track_id": ["x"]})
            raise OSError("the disk is gone")

        workspace = Workspace(tmp_path)
        save_parts(workspace, self.tables.items(), {}, {"importer": "test"}, "300MB")
        no_track = [("tracks", pl.DataFrame({"track_id": [None]}, {"track_id": pl.String}))]
        with pytest.raises((UserError, OSError), match=r"no track is left|the disk is gone"):
            save_parts(workspace, no_track if parts == "no track" else breaks_off(), {}, {}, "300MB")
        assert load_dataset(workspace).track_ids.names == ("b", "a", "c")
        assert sorted(path.name for path in tmp_path.iterdir()) == [".work", "dataset", "imports"]
        assert not list((tmp_path / ".work").iterdir())


@pytest.mark.parametrize(
    ("name", "file", "ordered"),
    [
        ("hetrec-lastfm", "user_artists.dat", False),
        ("msd-taste-profile", "train_triplets.txt", False),
        ("music4all-onion", "userid_trackid_count.tsv", False),
        ("music4all-onion", "userid_trackid_timestamp.tsv", True),
        ("lastfm-1k", FILE, True),
    ],
)
def test_the_dataset_knows_whether_its_order_of_plays_is_one(tmp_path, name, file, ordered):
    lines = {
        "user_artists.dat": "userID\tartistID\tweight\n2\t51\t13883\n",
        "train_triplets.txt": "u1\tSOAKIMP12A8C130995\t1\n",
        "userid_trackid_count.tsv": "user_id\ttrack_id\tcount\nu1\tt1\t3\n",
        "userid_trackid_timestamp.tsv": "user_id\ttrack_id\ttimestamp\nu1\tt1\t2019-08-21 09:01:00\n",
        FILE: PLAY.format(time="2009-05-04T23:08:57Z", title="Song"),
    }
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / file).write_text(lines[file])
    workspace = Workspace(tmp_path / "workspace")
    prepare_public(workspace, DATA_SETS[name], folder, "300MB")
    dataset = load_dataset(workspace)
    assert dataset.listens.height == 1
    assert dataset.ordered is ordered


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_every_data_set_says_what_it_is_and_is_called_by_its_name(name):
    known = DATA_SETS[name]
    assert known.name == name
    assert all((known.about, known.terms, known.source, known.files))
    assert not any(text.endswith(".") for text in (known.about, known.terms, known.source, known.files))


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_every_data_set_refuses_a_folder_without_its_files(name, tmp_path):
    with pytest.raises(UserError, match="--path"):
        list(DATA_SETS[name].read(tmp_path))
