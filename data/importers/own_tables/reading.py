"""Unparsed rows of a table file: CSV and JSON lines as text, Parquet with its types.

Nothing is parsed here, so that an id "007" stays "007". A line that is no row is rejected with its content.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from data.errors import UserError
from data.storage.parquet import read_parquet
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA

KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".parquet")
CHUNK = 100_000
LONGEST_RECORD = 50
"Lines that a quoted field may span; an opening quote that never closes must not swallow the file."
Rejected = list[tuple[str, str]]
"Reasons and lines."


def read_rows(path: Path, table: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows of a file, by its ending, and rejects named after `table`. Raises UserError where it is no table."""
    if not path.is_file():
        raise UserError(f"no file {path}.", f"It was given for {table}.")
    kind = next((kind for kind in KINDS if path.name.lower().endswith(kind)), "")
    rejected: Rejected = []
    try:
        if kind == ".parquet":
            frame = read_parquet(path)
        elif kind.startswith((".csv", ".tsv")):
            frame = _read_csv(path, rejected)
        elif kind:
            frame = _read_jsonl(path, rejected)
        else:
            raise UserError(f"{path}: unknown kind of file.", f"These can be read: {', '.join(KINDS)}.")
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0][:200]}).") from error
    if not frame.width:
        raise UserError(f"{path}: empty file.", "A header, or keys, must name the columns.")
    rows = [(table, path.name, reason, line[:LONGEST_CONTENT]) for reason, line in rejected]
    return frame, pl.DataFrame(rows, REJECT_SCHEMA, orient="row")


def _content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()


def _read_csv(path: Path, rejected: Rejected) -> pl.DataFrame:
    content = _content(path)
    header = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
    if not header.strip():
        return pl.DataFrame()
    separator = max(",;\t|", key=header.count)
    columns = next(csv.reader([header], delimiter=separator))
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise UserError(f'{path}: the header names "{twice[0]}" twice.', "Rename one of the two.")
    try:
        frame = pl.read_csv(content, infer_schema=False, separator=separator)
    except pl.exceptions.PolarsError:
        # Polars stops at the first odd line: a stray quote, one field too many, a byte that is no UTF-8.
        frame = _frame(_careful_csv(content, separator, len(columns), rejected), columns)
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _careful_csv(content: bytes, separator: str, width: int, rejected: Rejected) -> Iterator[list[str | None]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    lines = list(io.StringIO(text, newline=""))
    at = 1
    while at < len(lines):
        row, used = _record(lines, at, separator)
        if len(row) > width:
            rejected.append((f"{len(row)} fields in line {at + 1}, the header has {width}", lines[at].rstrip("\r\n")))
        elif any(row):
            yield [value or None for value in row] + [None] * (width - len(row))
        at += used


def _record(lines: list[str], at: int, separator: str) -> tuple[list[str], int]:
    """The fields of the record that begins at a line, and its number of lines; stray quotes are plain characters."""
    for end in range(at + 1, min(at + LONGEST_RECORD, len(lines)) + 1):
        try:
            rows = list(csv.reader(lines[at:end], delimiter=separator, strict=True))
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                continue
            break
        if len(rows) == 1:
            return rows[0], end - at
        break
    return lines[at].rstrip("\r\n").split(separator), 1


def _read_jsonl(path: Path, rejected: Rejected) -> pl.DataFrame:
    chunks = [pl.DataFrame()]
    lines = enumerate(io.BytesIO(_content(path)), start=1)
    # In chunks because Python's strings take many times the memory of Polars' own.
    while some := list(islice(lines, CHUNK)):
        rows = [row for number, line in some if (row := _json_row(number, line, rejected))]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        chunks.append(_frame(([row.get(column) for column in columns] for row in rows), columns))
    return pl.concat(chunks, how="diagonal")


def _json_row(number: int, line: bytes, rejected: Rejected) -> dict[str, str | None]:
    try:
        # Numbers stay the text they are: an id of twenty digits must not become a float.
        row = json.loads(line, parse_int=str, parse_float=str) if line.strip() else {}
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return {str(key): _text(value) for key, value in row.items()}
    rejected.append((f"line {number} is not a JSON object", line.decode("utf-8", "replace").strip()))
    return {}


def _frame(rows: Iterable[list[str | None]], columns: list[str]) -> pl.DataFrame:
    schema = dict.fromkeys(columns, pl.String)
    rows, chunks = iter(rows), [pl.DataFrame(schema=schema)]
    while chunk := list(islice(rows, CHUNK)):
        chunks.append(pl.DataFrame(chunk, schema, orient="row"))
    return pl.concat(chunks)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return json.dumps(value, ensure_ascii=False)
