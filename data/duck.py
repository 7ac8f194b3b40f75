"""DuckDB for joins that would not fit in memory. Tables go in and out as Parquet, so neither side needs pyarrow."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

THREADS = 4
"At most; each thread of a sort or join holds blocks of its own, and a small limit has no room for many."


@contextmanager
def connected(folder: Path, memory: str, in_order: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills to `folder` beyond `memory`, e.g. "1GB".

    in_order: rows without ORDER BY come as they were read.
    """
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"SET memory_limit='{memory}'; SET temp_directory='{folder}/spill'")
        connection.execute(f"SET threads={min(os.cpu_count() or 1, THREADS)}")
        # Its progress bar would go to stdout, among what a command prints there.
        connection.execute(f"SET preserve_insertion_order={in_order}; SET enable_progress_bar=false")
        yield connection


def query(sql: str, tables: Mapping[str, pl.DataFrame], memory: str = "1GB", **values: float) -> pl.DataFrame:
    """The result of one SELECT over the named tables, with `$name` filled from `values`.

    memory: DuckDB's limit, e.g. "1GB"; beyond it the work spills to disk. Rows have the order of ORDER BY, or none.
    """
    with tempfile.TemporaryDirectory() as folder, connected(Path(folder), memory) as connection:
        for name, frame in tables.items():
            frame.write_parquet(Path(folder) / f"{name}.parquet")
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet')")
        result = Path(folder) / "result.parquet"
        connection.execute(f"COPY ({sql}) TO '{result}' (FORMAT parquet)", values)
        return pl.read_parquet(result)
