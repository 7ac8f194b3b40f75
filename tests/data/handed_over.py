"""What an importer of a public data set hands over, put together for a test to look at."""

from collections.abc import Iterable

import polars as pl

from data.tables import Imported, TablePart, Validated, no_rejects, validate


def put_together(parts: Iterable[TablePart]) -> Imported:
    """All parts of a table as one; the first row of a track or playlist counts, as the contract says."""
    frames: dict[str, list[pl.DataFrame]] = {}
    for table, frame in parts:
        assert 0 < frame.height <= 100_000
        frames.setdefault(table, []).append(frame)
    rejects = pl.concat([no_rejects(), *frames.pop("rejects", [])])
    tables = {table: pl.concat(some) for table, some in frames.items()}
    for table in ("tracks", "playlists"):
        if table in tables:
            tables[table] = tables[table].unique(f"{table[:-1]}_id", keep="first", maintain_order=True)
    return Imported(tables, rejects)


def valid(parts: Iterable[TablePart]) -> Validated:
    """As it comes through the border."""
    return validate(put_together(parts))


def refused(found: Validated | Imported) -> list[tuple[str, str, str]]:
    """Table, source and reason of every reject."""
    return found.rejects.select("table", "source", "reason").rows()
