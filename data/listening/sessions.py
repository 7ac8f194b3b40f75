"""Sessions: what one listener played without a long pause. Where only an order is known, runs of a fixed length.

`sessions` cuts a table in memory; `write_sessions` cuts a Parquet file of any size, by the same definition.
"""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl

from data.errors import UserError
from data.storage.duckdb_query import connect
from data.storage.duckdb_query import quoted as text
from data.storage.parquet import for_duckdb

SESSION_GAP = timedelta(minutes=30)
RUN_LENGTH = 20

LISTENERS = ("user", "user_id")
"How the column of the listener may be called, in a dataset in memory and on disk."

# Windows without PARTITION BY and ORDER BY stream: each looks at the row before and at a running total, and keeps
# nothing. So only the sort takes memory, and that spills to disk. `_earlier_rows` are a listener's.
CUT = """
WITH ordered AS (
    SELECT * FROM read_parquet($source, file_row_number=true)
    ORDER BY {order}, file_row_number
), numbered AS (
    SELECT *, epoch_us(listened_at) AS _moment, row_number() OVER () AS _number, lag({user}) OVER () AS _user_before
    FROM ordered
), counted AS (
    SELECT *, _moment - lag(_moment) OVER () AS _pause,
        _number - max(CASE WHEN _number = 1 OR {user} IS DISTINCT FROM _user_before THEN _number END)
            OVER (ROWS UNBOUNDED PRECEDING) AS _earlier_rows
    FROM numbered
), cut AS (
    SELECT *, CASE
        WHEN _earlier_rows = 0 THEN true
        WHEN _moment IS NULL THEN _earlier_rows % $run = 0
        ELSE coalesce(_pause > $gap, true)
    END AS _starts FROM counted
)
SELECT {columns},
    count(CASE WHEN _starts THEN 1 END) OVER (ROWS UNBOUNDED PRECEDING) - 1 AS session,
    _number - max(CASE WHEN _starts THEN _number END) OVER (ROWS UNBOUNDED PRECEDING) AS place
FROM cut
"""


def sessions(listens: pl.DataFrame, gap: timedelta = SESSION_GAP, run: int = RUN_LENGTH) -> pl.DataFrame:
    """Adds `session` i64 (unique over listeners) and `place` i64 (0 = first) to listens, sorted by user and time.

    listens: as in Dataset. A pause longer than `gap` starts a new session; rows without a time are cut into runs of
    `run` plays. Plays at the same moment keep the order they have.
    """
    pause = pl.col("listened_at").diff().over("user")
    place_of_user = pl.int_range(pl.len()).over("user")
    starts = (
        pl.when(place_of_user == 0)
        .then(True)
        .when(pl.col("listened_at").is_null())
        .then(place_of_user % run == 0)
        .otherwise((pause > gap).fill_null(True))
    )
    return listens.with_columns(session=starts.cast(pl.Int64).cum_sum() - 1).with_columns(
        place=pl.int_range(pl.len()).over("session").cast(pl.Int64)
    )


def write_sessions(
    source: Path, target: Path, gap: timedelta = SESSION_GAP, run: int = RUN_LENGTH, memory: str = "512MB"
) -> int:
    """`sessions` of a Parquet file, in any order, into another; returns the number of rows.

    source: `user` or `user_id`, never null, `listened_at`, and what else there is, such as a dataset's listens.parquet.
    target: the same rows with `session` and `place`, by listener and time; those without a time come first, by
    `position` where there is one; equal rows keep the order they have in the file. memory: DuckDB's limit; the process
    takes about 150 MB more. What does not fit is sorted in files beside `target`. Raises UserError without the columns.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
        connect(Path(folder) / "spill", memory, in_order=True) as connection,
    ):
        result = Path(folder) / "sessions.parquet"
        values = {"source": for_duckdb(source), "gap": gap // timedelta(microseconds=1), "run": run}
        written = connection.execute(f"COPY ({sql(connection, source)}) TO {text(result)} (FORMAT parquet)", values)
        (count,) = written.fetchone() or (0,)
        os.replace(result, target)
    return int(count)


def sql(connection: duckdb.DuckDBPyConnection, source: Path) -> str:
    """`CUT` for the columns of a file."""
    described = {"source": for_duckdb(source)}
    found = connection.execute("DESCRIBE SELECT * FROM read_parquet($source)", described).fetchall()
    columns = [str(row[0]) for row in found]
    user = next((name for name in LISTENERS if name in columns), None)
    if user is None or "listened_at" not in columns:
        raise UserError(
            f"{source} has no listener or no time (its columns: {', '.join(columns)})",
            f"Sessions need {' or '.join(LISTENERS)}, and listened_at.",
        )
    order = [name for name in (user, "listened_at", "position") if name in columns]
    return CUT.format(
        user=user,
        order=", ".join(f"{name} NULLS FIRST" for name in order),
        columns=", ".join(quoted(name) for name in columns if name not in ("session", "place")),
    )


def quoted(name: str) -> str:
    """A column's name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'
