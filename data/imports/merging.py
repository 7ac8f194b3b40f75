"""Several imports as one set of tables, in bounded memory.

Tracks, playlists and features go by their ids; of what two imports say the later wins, and null says nothing. A track
that an earlier import has under another id (`data.imports.matching`) takes that id, and there the earlier one wins: a
file's own tags stand above what an export calls the song. A playlist's songs are those of the last import that has the
playlist. A listen counts as often as the import that holds it most often has it: two exports of the same weeks say the
same twice. A listen with a time goes by the time, one without by its position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from data.ingest.assemble import BEHIND, ORDER
from data.ingest.spool import ROW
from data.storage.duckdb_query import connect, parquet, quoted
from data.tables import SCHEMAS, usual_width

PRIORITY = "_priority"
"Of several values that stands whose row has the greatest."
EMPTY = "empty"
"A folder beside the imports with tables of the contract that hold no row, for the columns' sake."


@dataclass(frozen=True)
class Part:
    """An import as it is merged. pairs: a Parquet file of `new_id` and `known_id`, which takes the new one's place."""

    folder: Path
    pairs: Path | None = None


@dataclass(frozen=True)
class Merged:
    """Rows by table, listeners, and what was left out: features of another width than most, playlists of
    earlier imports."""

    rows: dict[str, int]
    listeners: int
    narrow: int = 0
    repeated: tuple[int, str] = (0, "")
    "Playlists that several imports have, and one of them."


def merge(parts: Sequence[Part], target: Path, memory: str) -> Merged:
    """Write the tables of all parts, the first import first, into `target`; it holds nothing else afterwards."""
    spill = target / "spill"
    with connect(spill, memory) as database:
        for name, schema in SCHEMAS.items():
            pl.DataFrame(schema=schema).write_parquet(target / f"{EMPTY}-{name}.parquet")
        for name in SCHEMAS:
            _gather(database, name, parts, target)
        width, narrow = _usual(database)
        _view(database, "final_tracks", _by_id("tracks", "all_tracks"))
        _view(database, "final_listens", UNITED)
        _view(database, "final_playlists", _by_id("playlists", "all_playlists"))
        _view(database, "final_playlist_tracks", LAST_LISTS)
        _view(database, "final_features", _by_id("features", f"(FROM all_features WHERE len(features) = {width})"))
        rows = {name: _write(database, name, target) for name in SCHEMAS}
        repeated = database.execute(
            "SELECT count(*), coalesce(min(playlist_id), '') FROM "
            "(SELECT playlist_id FROM all_playlists GROUP BY 1 HAVING count(*) > 1)"
        ).fetchone()
        listeners = _number(database, "SELECT count(DISTINCT user_id) FROM all_listens")
    for name in SCHEMAS:
        (target / f"{EMPTY}-{name}.parquet").unlink()
    return Merged(rows, listeners, narrow, repeated or (0, ""))


UNITED = f"""
    SELECT user_id, track_id, listened_at, unnest(arg_max(positions, [len(positions), import])) AS position,
        played_ratio, feedback, min({ROW}) AS {ROW}
    FROM (
        SELECT user_id, track_id, listened_at, CASE WHEN listened_at IS NULL THEN position END AS place,
            list(position ORDER BY {ROW}) AS positions, played_ratio, feedback, min({ROW}) AS {ROW},
            {ROW} // {BEHIND} AS import
        FROM all_listens
        GROUP BY user_id, track_id, listened_at, place, played_ratio, feedback, import
    )
    GROUP BY user_id, track_id, listened_at, place, played_ratio, feedback
"""
LAST_LISTS = f"""
    SELECT playlist_id, min(position) AS position, track_id, arg_min(added_at, position) AS added_at,
        min({ROW}) AS {ROW}
    FROM all_playlist_tracks
    SEMI JOIN (
        SELECT playlist_id, max({ROW} // {BEHIND}) AS import FROM all_playlists GROUP BY playlist_id
    ) last ON all_playlist_tracks.playlist_id = last.playlist_id AND {ROW} // {BEHIND} = last.import
    GROUP BY playlist_id, track_id
"""


def _gather(database: duckdb.DuckDBPyConnection, table: str, parts: Sequence[Part], target: Path) -> None:
    """View `all_{table}`: the rows of all imports, numbered through, ids of matched tracks replaced."""
    rows = [f"SELECT *, 0 AS {ROW}, 0 AS {PRIORITY} FROM {parquet(target, f'{EMPTY}-{table}.parquet')}"]
    for number, part in enumerate(parts):
        numbered = f"{number * BEHIND} + file_row_number"
        source = parquet(part.folder, f"{table}.parquet", numbered=True)
        told = f"{numbered} AS {ROW}, {number * BEHIND} - file_row_number AS {PRIORITY}"
        if part.pairs is None or "track_id" not in SCHEMAS[table]:
            rows.append(f"SELECT * EXCLUDE (file_row_number), {told} FROM {source}")
        else:
            matched = f"CASE WHEN known_id IS NULL THEN {number * BEHIND} - file_row_number ELSE -({numbered}) END"
            pairs = f"SELECT new_id, known_id FROM {parquet(part.pairs.parent, part.pairs.name)}"
            rows.append(
                f"""
                SELECT * EXCLUDE (file_row_number, known_id, new_id) REPLACE (coalesce(known_id, track_id) AS track_id),
                    {numbered} AS {ROW}, {matched} AS {PRIORITY}
                FROM {source} LEFT JOIN ({pairs}) ON track_id = new_id
                """
            )
    _view(database, f"all_{table}", " UNION ALL BY NAME ".join(rows))


def _by_id(table: str, rows: str) -> str:
    """SQL: one row for each id, every column from the row of the greatest priority that has a value there."""
    identity, *columns = SCHEMAS[table]
    values = ", ".join(f'arg_max({_told(table, name)}, {PRIORITY}) AS "{name}"' for name in columns)
    return f"SELECT {identity}, {values}, min({ROW}) AS {ROW} FROM {rows} GROUP BY {identity}"


def _told(table: str, column: str) -> str:
    """SQL: the value of a column; an empty list says as little as null does."""
    if isinstance(SCHEMAS[table][column], pl.List):
        return f'CASE WHEN len("{column}") > 0 THEN "{column}" END'
    return f'"{column}"'


def _usual(database: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many values most features have, and the number of those that have more or less."""
    lengths = dict(database.execute("SELECT len(features), count(*) FROM all_features GROUP BY 1").fetchall())
    width = usual_width(lengths)
    return width, sum(rows for length, rows in lengths.items() if length != width)


def _view(database: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    database.execute(f"CREATE VIEW {name} AS {sql}")


def _number(database: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = database.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _write(database: duckdb.DuckDBPyConnection, table: str, target: Path) -> int:
    names = ", ".join(f'"{column}"' for column in SCHEMAS[table])
    rows = f"SELECT {names} FROM final_{table} ORDER BY {ORDER.get(table, ROW)}"
    path = quoted(target / f"{table}.parquet")
    return _number(database, f"COPY ({rows}) TO {path} (FORMAT parquet, COMPRESSION zstd)")
