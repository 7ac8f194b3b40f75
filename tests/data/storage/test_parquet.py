"""Paths that look like patterns are names of one file each."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from data.dataset import load_dataset, save_dataset, save_parts
from data.listening.sessions import write_sessions
from data.split import ensure_split
from data.storage.parquet import for_duckdb, read_parquet, scan_parquet
from data.storage.workspace import Workspace
from data.tables import Imported

ODD = ["[ab]", "a*", "a?", "*", "it's 100 %"]
LISTENS = pl.DataFrame(
    {"user_id": ["u", "u"], "track_id": ["s", "t"], "listened_at": [datetime(2025, 5, 1, tzinfo=UTC)] * 2}
)


@pytest.fixture(params=ODD)
def folder(request, tmp_path) -> Path:
    """A folder with an odd name, beside others that the name, as a pattern, would match."""
    for decoy in ("a", "ab", "b"):
        (tmp_path / decoy).mkdir()
        pl.DataFrame({"x": [0, 0, 0]}).write_parquet(tmp_path / decoy / "t.parquet")
    made = tmp_path / str(request.param)
    made.mkdir()
    return made


def test_one_file_is_read(folder):
    file = folder / "t.parquet"
    pl.DataFrame({"x": [1], "y": [2]}).write_parquet(file)
    assert read_parquet(file).rows() == [(1, 2)]
    assert read_parquet(file, columns=["y"]).rows() == [(2,)]
    assert scan_parquet(file).collect().rows() == [(1, 2)]
    assert duckdb.execute("SELECT * FROM read_parquet($file)", {"file": for_duckdb(file)}).fetchall() == [(1, 2)]


def test_a_workspace_may_have_any_name(folder):
    for way in ("at once", "in parts"):
        workspace = Workspace(folder / way)
        if way == "at once":
            save_dataset(workspace, Imported({"listens": LISTENS}), {})
        else:
            save_parts(workspace, [("listens", LISTENS)], {}, {}, "300MB")
        dataset = load_dataset(workspace)
        assert dataset.track_ids.names == ("s", "t")
        assert dataset.listens.select("user", "track").rows() == [(0, 0), (0, 1)]
        assert len(ensure_split(workspace, dataset).listens) == 2
        assert write_sessions(workspace.dataset / "listens.parquet", folder / "sessions.parquet") == 2
        assert read_parquet(folder / "sessions.parquet")["place"].to_list() == [0, 1]
