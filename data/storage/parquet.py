"""Parquet files by their literal names: Polars and DuckDB would read `*`, `?` or `[` in a path as a pattern."""

import glob
from pathlib import Path

import polars as pl


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """The table in a file."""
    return pl.read_parquet(path, columns=columns, glob=False)


def scan_parquet(path: Path) -> pl.LazyFrame:
    """The same, read when it is needed."""
    return pl.scan_parquet(path, glob=False)


def for_duckdb(path: Path) -> str:
    """What DuckDB must be given to read this file and no other."""
    return glob.escape(str(path))
