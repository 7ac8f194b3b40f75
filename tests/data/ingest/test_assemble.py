"""What is assembled from parts on disk is what validation gives for tables in memory."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.ingest.assemble import Assembled, assemble
from data.ingest.spool import Spool
from data.storage.duckdb_query import memory_bytes
from data.tables import SCHEMAS, Imported, TablePart, Validated, no_rejects, reject, to_schema, validate
from tests.data.random_tables import NOON, some_tables


def assembled(parts: list[TablePart]) -> tuple[dict[str, pl.DataFrame], Assembled, Spool]:
    """The published tables and rejects of some parts, with so little room that everything is done in several steps."""
    little_room = patch("data.ingest.spool.MOST_ROWS", 3), patch("data.ingest.assemble.BATCH", 2)
    with tempfile.TemporaryDirectory() as folder, little_room[0], little_room[1]:
        spool, target = Spool(Path(folder, "it's a [spool]")), Path(folder, "it's a [target]")
        spool.folder.mkdir()
        target.mkdir()
        for part in parts:
            spool.add(part)
        made = assemble(spool, target, "200MB")
        names = [*SCHEMAS, "rejects"]
        return {name: pl.read_parquet(target / f"{name}.parquet", glob=False) for name in names}, made, spool


def in_memory(tables: dict[str, pl.DataFrame], rejects: pl.DataFrame) -> Validated:
    """The oracle. Its tracks are made complete beforehand: an importer need not list those that it only names."""
    if "tracks" in tables:
        others = {name: frame for name, frame in tables.items() if name != "tracks"}
        named = validate(Imported(others)).tables["tracks"]
        known = validate(Imported({"tracks": tables["tracks"]})).tables["tracks"]["track_id"]
        unknown = named.filter(~pl.col("track_id").is_in(known.implode()))
        tables = {**tables, "tracks": pl.concat([tables["tracks"], unknown])}
    return validate(Imported(tables, rejects))


def in_file_order(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    if name != "listens":
        return frame
    return frame.with_row_index("row").sort("user_id", "listened_at", "position", "row").drop("row")


def sorted_rows(rejects: pl.DataFrame) -> list[tuple[str, ...]]:
    return sorted(rejects.rows())


@settings(max_examples=40)
@given(some_tables(), st.integers(1, 6), st.booleans())
@example({}, 1, True)
def test_both_ways_agree(tables: dict[str, pl.DataFrame], size: int, own_rejects: bool):
    mine = reject("tracks", "cut.flac", "ends after 0.4 s") if own_rejects else no_rejects()
    parts: list[TablePart] = [
        (name, frame[start : start + size])
        for name, frame in tables.items()
        for start in range(0, max(frame.height, 1), size)
    ]
    found, made, spool = assembled([*parts, ("rejects", mine)])
    wanted = in_memory(tables, mine)
    for name in SCHEMAS:
        assert found[name].equals(in_file_order(name, wanted.tables[name]), null_equal=True), name
        assert found[name].schema == wanted.tables[name].schema
    assert sorted_rows(found["rejects"]) == sorted_rows(wanted.rejects)
    assert spool.tally.total == wanted.rejects.height
    assert made.rows == {name: frame.height for name, frame in wanted.tables.items()}
    assert made.merged == wanted.merged
    assert made.listeners == wanted.tables["listens"]["user_id"].n_unique()


class TestWhatNeedsTheWhole:
    def test_the_first_of_two_parts_wins(self):
        found, made, _ = assembled(
            [("tracks", pl.DataFrame({"track_id": ["b", "a"], "title": ["one", "two"]}))]
            + [("tracks", pl.DataFrame({"track_id": ["a", "c"], "title": ["three", "four"]}))] * 4
        )
        assert found["tracks"].select("track_id", "title").rows() == [("b", "one"), ("a", "two"), ("c", "four")]
        assert made.merged == {"tracks": 7}

    def test_tracks_that_are_only_named_come_behind_the_described_in_the_order_of_their_names(self):
        listens = pl.DataFrame({"user_id": ["u"] * 4, "track_id": ["y", "b", "x", "y"], "position": [4, 3, 2, 1]})
        entries = pl.DataFrame({"playlist_id": ["p", "p"], "track_id": ["w", "x"], "position": [0, 1]})
        found, made, _ = assembled(
            [
                ("playlist_tracks", entries),
                ("listens", listens),
                ("tracks", pl.DataFrame({"track_id": ["b"], "title": ["B"]})),
            ]
        )
        assert found["tracks"]["track_id"].to_list() == ["b", "y", "x", "w"]
        assert found["playlists"]["playlist_id"].to_list() == ["p"]
        assert made.rows["listens"] == 4
        assert found["rejects"].is_empty()

    def test_entries_of_a_playlist_that_is_not_there_are_rejected_if_there_are_playlists(self):
        entries = pl.DataFrame({"playlist_id": ["p", "q"] * 3, "track_id": list("abcdef"), "position": range(6)})
        found, _, spool = assembled([("playlist_tracks", entries), ("playlists", pl.DataFrame({"playlist_id": ["p"]}))])
        assert found["playlist_tracks"]["track_id"].to_list() == ["a", "c", "e"]
        assert spool.tally.reasons["playlist_tracks"]["playlist_id not in playlists"][0] == 3

    def test_the_width_of_features_is_that_of_most_rows_in_all_parts(self):
        wide = pl.DataFrame({"track_id": ["a", "b"], "features": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]})
        usual = [("features", pl.DataFrame({"track_id": [name], "features": [[1.0, 2.0]]})) for name in "cde"]
        found, _, spool = assembled([("features", wide), *usual])
        assert found["features"]["track_id"].to_list() == ["c", "d", "e"]
        assert found["tracks"]["track_id"].to_list() == ["c", "d", "e"]
        assert spool.tally.reasons["features"] == {
            "not 2 values wide": (2, spool.tally.reasons["features"]["not 2 values wide"][1])
        }

    def test_every_column_of_the_contract_survives(self):
        tracks = pl.DataFrame(
            {
                "track_id": ["ünï\n'"],
                "genres": [["a", None]],
                "tags": [[]],
                "release_date": [NOON.date()],
                "duration_s": [61.5],
                "audio_path": ["/x"],
            }
        )
        listens = pl.DataFrame({"user_id": ["u"], "track_id": ["ünï\n'"], "listened_at": [NOON], "feedback": ["like"]})
        found, _, _ = assembled([("tracks", tracks), ("listens", listens)])
        assert found["tracks"].equals(to_schema("tracks", tracks))
        assert found["listens"].equals(to_schema("listens", listens))


@pytest.mark.parametrize(("text", "size"), [("1GB", 10**9), ("512 mib", 512 * 2**20), ("1.5GB", 1_500_000_000)])
def test_amounts_of_memory(text, size):
    assert memory_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1", "GB", "-1GB", "1GB; DROP", "half"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(UserError, match="1GB"):
        memory_bytes(text)
