"""DuckDB for what would not fit in memory. Tables go in and out as Parquet, so neither side needs pyarrow."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from data.errors import UserError
from data.storage.parquet import for_duckdb, read_parquet

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
THREAD_BYTES = 256 * UNITS["MIB"]
"Each thread holds buffers of its own, so little memory means few threads."
TWO_THREADS = 200 * UNITS["MB"]
"What two were seen to sort 20 million listens in."


def memory_bytes(memory: str) -> int:
    """How much "1GB" or "512MiB" is. Raises UserError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?B)", memory.strip().upper())
    if found is None:
        raise UserError(f'"{memory}" is no amount of memory.', "Give a number and a unit, such as 1GB or 512MB.")
    return int(float(found[1]) * UNITS[found[2]])


@contextmanager
def connect(folder: Path, memory: str, in_order: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database that needs `memory` at most and spills into `folder` beyond it.

    in_order: rows without ORDER BY come as they were read.
    """
    size = memory_bytes(memory)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{size}B",
        "temp_directory": str(folder),
        "preserve_insertion_order": in_order,
        "threads": min(os.cpu_count() or 1, max(size // THREAD_BYTES, 2 if size >= TWO_THREADS else 1)),
    }
    with duckdb.connect(":memory:", config=config) as connection:
        # It would go to stdout, among what a command prints there.
        connection.execute("SET enable_progress_bar=false")
        yield connection


def parquet(folder: Path, files: str, numbered: bool = False) -> str:
    """A table of SQL: the Parquet files in a folder whose names match. numbered: with a column `file_row_number`."""
    return f"read_parquet({quoted(for_duckdb(folder) + '/' + files)}, file_row_number = {str(numbered).lower()})"


def quoted(text: object) -> str:
    """A string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def query(sql: str, tables: Mapping[str, pl.DataFrame], memory: str = "1GB", **values: float) -> pl.DataFrame:
    """The result of one SELECT over the named tables, with `$name` filled from `values`.

    memory: DuckDB's limit, e.g. "1GB"; beyond it the work spills to disk. Rows have the order of ORDER BY, or none.
    """
    with tempfile.TemporaryDirectory() as folder, connect(Path(folder) / "spill", memory) as connection:
        for name, frame in tables.items():
            frame.write_parquet(Path(folder) / f"{name}.parquet")
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {parquet(Path(folder), f'{name}.parquet')}")
        result = Path(folder) / "result.parquet"
        connection.execute(f"COPY ({sql}) TO {quoted(result)} (FORMAT parquet)", values)
        return read_parquet(result)
