"""Joins spooled parts into the tables of the contract, in bounded memory.

Rows have been checked one by one; what is left needs whole tables: duplicates, references, order. The rules are those
of `data.tables.validate`, but for one: tracks that only other tables name become tracks with nothing but an id, whether
or not the data set describes some of its tracks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from data.ingest.spool import REJECTS, ROW, Spool
from data.storage.duckdb_query import connect, parquet, quoted
from data.storage.parquet import scan_parquet
from data.tables import REJECT_SCHEMA, SCHEMAS, UNIQUE, as_rejects, missing_reason, to_schema, usual_width, width_reason

BATCH = 100_000
"Rows that become rejects at a time."
BEHIND = 2**48
"More than any table has rows: what is numbered from here comes after a table's own rows."
ORDER = {"listens": f"user_id, listened_at NULLS FIRST, position NULLS FIRST, {ROW}"}
"How rows lie in the published file, if not in the order of reading: as they are used."


@dataclass(frozen=True)
class Assembled:
    """What was written: rows per table, rows merged per table, listeners."""

    rows: dict[str, int]
    merged: dict[str, int]
    listeners: int


def assemble(spool: Spool, folder: Path, memory: str, progress: Callable[[str], None] | None = None) -> Assembled:
    """Write every table, and the rejects, as a Parquet file into `folder`.

    memory: DuckDB's limit, e.g. "1GB"; beyond it the work spills into the spool's folder. progress: called with the
    name of each table that is written. Rejects found here are added to the spool's.
    """
    spool.flush()
    with connect(spool.folder / "spill", memory) as database:
        for name in SCHEMAS:
            _view(database, f"raw_{name}", f"SELECT * FROM {parquet(spool.folder, f'{name}-*.parquet')}")
        merged = {name: _merge(database, name, _alike(database, spool, name)) for name in UNIQUE}
        _find_tracks(database)
        _find_playlists(database, spool)
        _view(database, "final_listens", "FROM raw_listens")
        _view(database, "final_features", "FROM once_features")
        rows = {}
        for name, schema in SCHEMAS.items():
            rows[name] = _write(database, f"final_{name}", schema, ORDER.get(name, ROW), folder / f"{name}.parquet")
            if progress is not None:
                progress(name)
        spool.flush()
        _view(database, REJECTS, f"FROM {parquet(spool.folder, f'{REJECTS}-*.parquet')}")
        _write(database, REJECTS, REJECT_SCHEMA, ROW, folder / f"{REJECTS}.parquet")
        listeners = _number(database, "SELECT count(DISTINCT user_id) FROM raw_listens")
    return Assembled(rows, {name: count for name, count in merged.items() if count}, listeners)


def _alike(database: duckdb.DuckDBPyConnection, spool: Spool, name: str) -> str:
    """Which rows can stay, as a condition: all, but of features those as wide as most; the others are rejected."""
    if name != "features":
        return "true"
    lengths = database.execute("SELECT len(features), count(*) FROM raw_features GROUP BY 1").fetchall()
    width = usual_width(dict(lengths))
    for bad in _batches(database, spool.folder, name, f"FROM raw_features WHERE len(features) <> {width}"):
        spool.reject(as_rejects(name, bad, width_reason(width)))
    return f"len(features) = {width}"


def _merge(database: duckdb.DuckDBPyConnection, name: str, condition: str) -> int:
    """View `once_{name}`: of the rows that say the same thing the first. Returns how many are left out."""
    database.execute(
        f"CREATE TABLE first_{name} AS SELECT min({ROW}) AS {ROW} FROM raw_{name} WHERE {condition} "
        f"GROUP BY {', '.join(UNIQUE[name])}"
    )
    _view(database, f"once_{name}", f"FROM raw_{name} SEMI JOIN first_{name} USING ({ROW})")
    counts = f"(SELECT count(*) FROM raw_{name} WHERE {condition}) - (SELECT count(*) FROM first_{name})"
    return _number(database, f"SELECT {counts}")


def _find_tracks(database: duckdb.DuckDBPyConnection) -> None:
    """View `final_tracks`: those of the tracks table, then those that only listens, playlists or features name."""
    database.execute(
        f"""
        CREATE TABLE named_tracks AS SELECT track_id, min({ROW}) AS {ROW} FROM (
            SELECT track_id, {BEHIND} + {ROW} AS {ROW} FROM raw_listens
            UNION ALL SELECT track_id, 2 * {BEHIND} + {ROW} FROM raw_playlist_tracks
            UNION ALL SELECT track_id, 3 * {BEHIND} + {ROW} FROM once_features
        ) ANTI JOIN raw_tracks USING (track_id) GROUP BY track_id
        """
    )
    _view(database, "final_tracks", "FROM once_tracks UNION ALL BY NAME FROM named_tracks")


def _find_playlists(database: duckdb.DuckDBPyConnection, spool: Spool) -> None:
    """Views `final_playlists` and `final_playlist_tracks`; entries of playlists that are not there are rejected."""
    if "playlists" not in spool.given:
        named = f"SELECT playlist_id, min({ROW}) AS {ROW} FROM raw_playlist_tracks GROUP BY playlist_id"
        _view(database, "final_playlists", f"FROM once_playlists UNION ALL BY NAME ({named})")
        _view(database, "final_playlist_tracks", "FROM once_playlist_tracks")
        return
    orphans = "FROM once_playlist_tracks ANTI JOIN raw_playlists USING (playlist_id)"
    for bad in _batches(database, spool.folder, "playlist_tracks", orphans):
        spool.reject(as_rejects("playlist_tracks", bad, missing_reason("playlist_id")))
    _view(database, "final_playlists", "FROM once_playlists")
    entries = "FROM once_playlist_tracks SEMI JOIN raw_playlists USING (playlist_id)"
    _view(database, "final_playlist_tracks", entries)


def _view(database: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    database.execute(f"CREATE VIEW {name} AS {sql}")


def _number(database: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = database.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _write(database: duckdb.DuckDBPyConnection, table: str, columns: Iterable[str], order: str, path: Path) -> int:
    """Write columns of a table or view to a Parquet file. Returns its rows."""
    names = ", ".join(f'"{column}"' for column in columns)
    options = "(FORMAT parquet, COMPRESSION zstd)"
    return _number(database, f"COPY (SELECT {names} FROM {table} ORDER BY {order}) TO {quoted(path)} {options}")


def _batches(database: duckdb.DuckDBPyConnection, folder: Path, name: str, rows: str) -> Iterator[pl.DataFrame]:
    """Rows of table `name` in contract form, some at a time, in the order of reading."""
    path = folder / "batch.parquet"
    count = _write(database, f"({rows})", SCHEMAS[name], ROW, path)
    for start in range(0, count, BATCH):
        yield to_schema(name, scan_parquet(path).slice(start, BATCH).collect())
