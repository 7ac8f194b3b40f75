"""Writes parts of tables to disk: each row is validated and numbered, so that the first of duplicates wins."""

from collections import Counter
from pathlib import Path

import polars as pl

from data.ingest.rejects import Tally
from data.tables import REJECT_SCHEMA, SCHEMAS, TablePart, check_rows, to_schema, without_wrong_clocks

MOST_ROWS = 200_000
MOST_BYTES = 32 * 2**20
"What a table gathers in memory before it goes to disk: large enough for few files, small beside DuckDB's share."
REJECTS = "rejects"
REMARKS = "remarks"
ROW = "_row"
"Number of a row in its table, in the order of reading."


class Spool:
    """Tables in `folder` as numbered Parquet files (`tracks-000003.parquet`): the columns of the contract, and ROW."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given: set[str] = set()
        "Tables of which a part came, even one without rows."
        self.tally = Tally()
        self.rows: Counter[str] = Counter()
        "Rows that keep the rules a row keeps or breaks by itself."
        self._waiting: dict[str, list[pl.DataFrame]] = {name: [] for name in (*SCHEMAS, REJECTS)}
        self._bytes: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._files: Counter[str] = Counter()

    def add(self, part: TablePart) -> None:
        """Take some rows of a table, some rejects or remarks; bad rows become rejects. KeyError for unknown tables."""
        name, frame = part
        if name == REMARKS:
            self.tally.remark(frame)
            return
        if name == REJECTS:
            self.reject(frame)
            return
        dated, remarks = without_wrong_clocks(name, to_schema(name, frame))
        for remark in remarks:
            self.tally.remark(remark)
        good, bad = check_rows(name, dated)
        self.given.add(name)
        self.reject(bad)
        self._put(name, good)

    def reject(self, rejects: pl.DataFrame) -> None:
        """Take some rejects, rows of REJECT_SCHEMA."""
        self.tally.add(rejects)
        self._put(REJECTS, rejects)

    def flush(self) -> None:
        """Everything is on disk after this; a table without rows has a file without rows."""
        for name in self._waiting:
            if self._waiting[name] or not self._files[name]:
                self._write(name)

    def _put(self, name: str, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        first = self.rows[name]
        self.rows[name] += frame.height
        self._waiting[name].append(frame.with_columns(pl.int_range(first, self.rows[name], dtype=pl.Int64).alias(ROW)))
        self._bytes[name] += int(frame.estimated_size())
        if self._bytes[name] >= MOST_BYTES or self.rows[name] - self._written[name] >= MOST_ROWS:
            self._write(name)

    def _write(self, name: str) -> None:
        schema = REJECT_SCHEMA if name == REJECTS else SCHEMAS[name]
        empty = pl.DataFrame(schema={**schema, ROW: pl.Int64})
        frame = pl.concat([empty, *self._waiting[name]])
        self._waiting[name], self._bytes[name] = [], 0
        self._written[name] = self.rows[name]
        self._files[name] += 1
        frame.write_parquet(self.folder / f"{name}-{self._files[name]:06}.parquet", compression="lz4")
