"""Events from files: tables of plays and of songs, read as `data.prepare tables` reads them."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from data.errors import UserError
from data.events.kinds import Event, Refused, read_events, row_of_listens
from data.importers.own_tables.importer import FilesSettings, import_files
from data.tables import validate

NO_TIME = "no time: without one a listen that comes again is not known again"


def listens_of(path: Path, columns: list[str], user: str | None) -> tuple[list[Event], Refused, list[str]]:
    """Listens, those with feedback as feedback; what was refused; and remarks on columns and values.

    columns: "contract=file" names. user: whose plays they are, where the file does not say. Raises UserError.
    """
    rows, refused, remarks = _rows("listens", path, columns, user)
    dated = rows.filter(pl.col("listened_at").is_not_null())
    for number in range(rows.height - dated.height):
        refused.add(NO_TIME, rows.filter(pl.col("listened_at").is_null()).row(number, named=True))
    events, bad = read_events(None, map(row_of_listens, dated.iter_rows(named=True)))
    return events, refused.with_more(bad), remarks


def songs_of(path: Path, columns: list[str]) -> tuple[list[Event], Refused, list[str]]:
    """Rows of tracks as events, likewise."""
    rows, refused, remarks = _rows("tracks", path, columns, None)
    records = ({name: value for name, value in row.items() if value is not None} for row in rows.iter_rows(named=True))
    events, bad = read_events("add", ({"track": record} for record in records))
    return events, refused.with_more(bad), remarks


def _rows(table: str, path: Path, columns: list[str], user: str | None) -> tuple[pl.DataFrame, Refused, list[str]]:
    named = [item for value in columns for item in value.split(",") if item]
    try:
        settings = FilesSettings.model_validate({table: path, "map": named, "user": user})
    except ValidationError as error:
        raise UserError(error.errors()[0]["msg"]) from error
    valid = validate(import_files(settings))
    refused = Refused()
    for reason, content in valid.rejects.select("reason", "content").iter_rows():
        refused.add(reason, content)
    return valid.tables[table], refused, list(_lines(valid.remarks))


def _lines(remarks: pl.DataFrame) -> Iterator[str]:
    for what, where, reason, rows, example in remarks.iter_rows():
        yield f"{what}: {where}, {rows:,} ({reason}), such as {example}"
