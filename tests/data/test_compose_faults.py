"""The dataset of imports is whole after any death, and for readers while it is swapped."""

import json
import subprocess
import sys

import polars as pl
import pytest

from data.dataset import load_dataset, save_dataset
from data.storage.workspace import Workspace
from data.tables import Imported

PATIENCE_S = 120


KILL = """
import json, os, shutil, signal, sys
from pathlib import Path
import polars as pl
from data.compose import compose
from data.dataset import save_dataset
from data.imports.saving import save_import
from data.imports.shelf import hold, names_after
from data.storage.manifest import read_manifest, verify
from data.storage.parquet import read_parquet
from data.storage.workspace import Workspace
from data.tables import Imported

CHANGES = ("os.rename", "os.link", "shutil.rmtree")
root, how = Path(sys.argv[1]), sys.argv[2]
word = "replace" if how == "replace" else "add"

def change(space, ids, how=word):
    names = names_after(space, ["two"], how)
    save_import(space, Imported({"tracks": pl.DataFrame({"track_id": ids})}), {"importer": "two"})
    hold(space, names)
    compose(space)

def begin(space):
    save_dataset(space, Imported({"tracks": pl.DataFrame({"track_id": ["a", "b"]})}), {"importer": "one"})
    if how == "update":
        change(space, ["x", "y"], "add")

def die_at(space, moment):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        seen += event in CHANGES
        if seen == moment and event in CHANGES:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    change(space, ["b", "c"])

def songs(space, told):
    verify(space.dataset)
    told.write_text("".join(sorted(read_parquet(space.dataset / "tracks.parquet")["track_id"])))

def apart(work, *arguments):
    # Each in a process of its own: the threads of Polars do not survive a fork.
    if (child := os.fork()) == 0:
        work(*arguments)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0

killed, at, told = True, 0, root / "told"
apart(begin, Workspace(root / "begin"))
while killed:
    at += 1
    space = Workspace(root / str(at))
    shutil.copytree(root / "begin", space.root)
    killed = apart(die_at, space, at)
    apart(songs, space, told)
    left = told.read_text()
    apart(change, space, ["b", "c"])
    apart(songs, space, told)
    kept = sorted(os.listdir(space.root))
    print(json.dumps([killed, left, told.read_text(), kept, sorted(os.listdir(space.imports))]), flush=True)
"""


@pytest.mark.parametrize(("how", "old", "new"), [("replace", "ab", "bc"), ("update", "abxy", "abc")])
def test_killed_at_any_moment_leaves_old_or_new_and_the_next_run_completes(tmp_path, how, old, new):
    command = [sys.executable, "-c", KILL, str(tmp_path), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) > 10
    for killed, left, after, kept, imports in outcomes:
        assert left in ({old, new} if killed else {new})
        assert after == new
        assert {*kept} - {"matches"} == {".work", "dataset", "imports"}
        assert imports == (["list.json", "two"] if how == "replace" else ["list.json", "one", "two"])
    assert {left for killed, left, *_ in outcomes if killed} == {old, new}


WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import polars as pl
from data.dataset import save_dataset
from data.storage.workspace import Workspace
from data.tables import Imported

for number in range(int(sys.argv[2])):
    songs = [f"{number % 2}-{song}" for song in range(50)]
    listens = pl.DataFrame({"user_id": ["me"] * 50, "track_id": songs, "position": range(50)})
    with Workspace(Path(sys.argv[1])).lock():
        save_dataset(Workspace(Path(sys.argv[1])), Imported({"listens": listens}), {"importer": "one"})
"""


def test_readers_without_the_lock_see_one_dataset_and_two_writers_take_turns(tmp_path):
    space = Workspace(tmp_path / "workspace")
    listens = pl.DataFrame({"user_id": "me", "track_id": [f"0-{song}" for song in range(50)], "position": range(50)})
    save_dataset(space, Imported({"listens": listens}), {"importer": "one"})
    command = [sys.executable, "-c", WRITE, str(space.root), "15"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    seen = set()
    try:
        while any(writer.poll() is None for writer in writers):
            dataset = load_dataset(space)
            (version,) = {name[0] for name in dataset.track_ids.names}
            seen.add(version)
            assert (dataset.listens.height, dataset.tracks.height) == (50, 50)
    finally:
        for writer in writers:
            writer.kill()
    assert [writer.returncode for writer in writers] == [0, 0], [writer.stderr.read() for writer in writers]
    assert seen == {"0", "1"}
