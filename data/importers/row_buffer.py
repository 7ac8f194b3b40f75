"""Collects an importer's rows into parts of bounded size."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from data.importers.formats.json_records import text_of
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA, SCHEMAS, TablePart

PART_ROWS = 50_000


class Gathered:
    """Rows of several tables until one of them has enough for a part; memory is bounded by that part.

    columns: per table the columns its rows bring, in their order. Of rows of tracks and playlists with the same id
    only the first of a part is kept.
    """

    def __init__(self, columns: Mapping[str, Sequence[str]], limit: int = PART_ROWS) -> None:
        self._schemas = {table: {name: SCHEMAS[table][name] for name in names} for table, names in columns.items()}
        self._schemas["rejects"] = dict(REJECT_SCHEMA)
        self._rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in self._schemas}
        self._seen: dict[str, set[object]] = {"tracks": set(), "playlists": set()}
        self._limit = limit
        self.full = False
        "A table has enough: take() before more is added."

    def add(self, table: str, *row: object) -> None:
        """One row. Times are microseconds since 1970."""
        seen = self._seen.get(table)
        if seen is not None:
            if row[0] in seen:
                return
            seen.add(row[0])
        rows = self._rows[table]
        rows.append(row)
        self.full = self.full or len(rows) >= self._limit

    def reject(self, table: str, source: str, reason: str, content: str = "") -> None:
        """One row of `table` that could not be made, and why."""
        self.add("rejects", table, text_of(source) or "", reason, text_of(content[:LONGEST_CONTENT]) or "")

    def take(self) -> Iterator[TablePart]:
        """All rows so far, table by table; then there are none."""
        for table, rows in self._rows.items():
            if rows:
                yield table, pl.DataFrame(rows, self._schemas[table], orient="row")
                rows.clear()
        for seen in self._seen.values():
            seen.clear()
        self.full = False


def id_by_name(artist: str | None, title: str | None) -> str | None:
    """An id for a track of which only the name is known, the same however it is written; None where half is missing."""
    if not artist or not title:
        return None
    name = unicodedata.normalize("NFKC", f"{artist} - {title}").casefold()
    return " ".join(name.split())
