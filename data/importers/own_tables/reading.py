"""Unparsed rows of a table file: CSV and JSON as text, Parquet with its types.

Nothing is parsed here, so that an id "007" stays "007". A line that is no row is rejected with its content.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import ijson
import polars as pl

from data.errors import UserError
from data.importers.own_tables.csv_rows import decode, read_csv
from data.storage.parquet import read_parquet
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA

CSV, JSON = (".csv", ".tsv"), (".jsonl", ".ndjson", ".json")
KINDS = (*CSV, *JSON, ".parquet")
CHUNK = 100_000


@dataclass
class Rows:
    """A file's rows, those that could not be read, and what else is to be said of the file."""

    frame: pl.DataFrame
    rejects: pl.DataFrame
    remarks: list[str] = field(default_factory=list)


def read_rows(path: Path, table: str) -> Rows:
    """All rows of a file, by its ending, or of the Parquet files of a folder. Rejects are named after `table`.

    Raises UserError where it is no table.
    """
    if path.is_dir():
        return Rows(_read_parts(path, table), pl.DataFrame(schema=REJECT_SCHEMA))
    if not path.is_file():
        raise UserError(f"no file {path}.", f"It was given for {table}.")
    name = path.name.lower().removesuffix(".gz")
    rejected: list[tuple[str, int, str]] = []
    remarks: list[str] = []
    try:
        if name.endswith(".parquet"):
            frame = read_parquet(path)
        elif name.endswith(CSV):
            frame = _read_csv(path, rejected, remarks)
        elif name.endswith(JSON):
            frame = _read_json(path, rejected)
        else:
            raise UserError(
                f"{path}: unknown kind of file.", f"These can be read, but for Parquet also as .gz: {', '.join(KINDS)}."
            )
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ijson.JSONError) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0][:200]}).") from error
    if not frame.width:
        raise UserError(f"{path}: empty file.", "A header, or keys, must name the columns.")
    rows = [(table, f"{path.name}, line {at}", reason, line[:LONGEST_CONTENT]) for reason, at, line in rejected]
    return Rows(frame, pl.DataFrame(rows, REJECT_SCHEMA, orient="row"), remarks)


def _read_parts(folder: Path, table: str) -> pl.DataFrame:
    """The Parquet files of a folder, as Spark and others write one table."""
    parts = sorted(
        path for path in folder.rglob("*.parquet") if path.is_file() and not path.name.startswith(("_", "."))
    )
    if not parts:
        raise UserError(f"{folder} is a folder without Parquet files.", f"It was given for {table}.")
    try:
        return pl.concat([read_parquet(path) for path in parts], how="diagonal_relaxed")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{folder}: cannot be read as one table ({str(error).splitlines()[0][:200]}).") from error


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()


def _read_csv(path: Path, rejected: list[tuple[str, int, str]], remarks: list[str]) -> pl.DataFrame:
    text, others = decode(_content(path))
    if others:
        remarks.append(f"{others:,} lines of {path.name} are not UTF-8 and were read as Windows-1252")
    try:
        found = read_csv(text)
    except ValueError as error:
        raise UserError(f"{path}: {error}.", "Rename one of the two.") from error
    if found is None:
        return pl.DataFrame()
    rejected += found.rejected
    return found.frame


def _read_json(path: Path, rejected: list[tuple[str, int, str]]) -> pl.DataFrame:
    """JSON lines; or one array of objects, also as a list in an object that is the whole file."""
    content = _content(path).removeprefix(b"\xef\xbb\xbf")
    if content.lstrip()[:1] == b"[":
        return _objects(ijson.items(io.BytesIO(content), "item"), rejected)
    if path.name.lower().removesuffix(".gz").endswith(".json") and (key := _list_in_object(content)):
        return _objects(ijson.items(io.BytesIO(content), f"{key}.item"), rejected)
    chunks = [pl.DataFrame()]
    lines = enumerate(io.BytesIO(content), start=1)
    # In chunks because Python's strings take many times the memory of Polars' own.
    while some := list(islice(lines, CHUNK)):
        chunks.append(_table([row for number, line in some if (row := _json_row(number, line, rejected))]))
    return pl.concat(chunks, how="diagonal")


def _list_in_object(content: bytes) -> str | None:
    """Where the first list of objects stands in a file that is one object; None in a file of lines."""
    try:
        events = ijson.parse(io.BytesIO(content))
        opened = ""
        for prefix, event, _ in events:
            if event == "start_map" and opened and prefix == f"{opened}.item":
                for _ in events:  # to the end, where a second object would follow in a file of lines
                    continue
                return opened
            opened = prefix if event == "start_array" else ""
    except ijson.JSONError:
        return None
    return None


def _objects(found: Iterator[object], rejected: list[tuple[str, int, str]]) -> pl.DataFrame:
    chunks = [pl.DataFrame()]
    numbered = enumerate(found, start=1)
    while some := list(islice(numbered, CHUNK)):
        rows = []
        for number, item in some:
            if isinstance(item, dict):
                rows.append({str(key): _text(value) for key, value in item.items()})
            else:
                rejected.append(("an item of the array is not an object", number, str(item)))
        chunks.append(_table(rows))
    return pl.concat(chunks, how="diagonal")


def _json_row(number: int, line: bytes, rejected: list[tuple[str, int, str]]) -> dict[str, str | None]:
    try:
        # Numbers stay the text they are: an id of twenty digits must not become a float.
        row = json.loads(line, parse_int=str, parse_float=str) if line.strip() else {}
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return {str(key): _text(value) for key, value in row.items()}
    rejected.append(("not a JSON object", number, line.decode("utf-8", "replace").strip()))
    return {}


def _table(rows: list[dict[str, str | None]]) -> pl.DataFrame:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return _frame(([row.get(column) for column in columns] for row in rows), columns)


def _frame(rows: Iterable[list[str | None]], columns: list[str]) -> pl.DataFrame:
    schema = dict.fromkeys(columns, pl.String)
    rows, chunks = iter(rows), [pl.DataFrame(schema=schema)]
    while chunk := list(islice(rows, CHUNK)):
        chunks.append(pl.DataFrame(chunk, schema, orient="row"))
    return pl.concat(chunks)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value) if not isinstance(value, bool) else str(value).lower()
