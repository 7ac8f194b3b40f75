"""Published text files, block by block: plain or compressed, one record a line, nothing quoted.

A block bounds the memory, whatever the file's size. Lines that are no records become rejects.
"""

import bz2
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile, ZipFile

import polars as pl

from data.errors import UserError
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA

BLOCK = 4 << 20
"Bytes read at a time: some 80,000 plays, or 500 rows of a thousand features."
LONGEST_LINE = 16 << 20
"Beyond it the file is another than its name says, and would be read into memory whole."
PACKED = ("", ".gz", ".bz2", ".zip")


def find(folder: Path, name: str) -> Path | None:
    """The file with a published name, or the same file packed; None where it is not there."""
    return next((path for end in PACKED if (path := folder / (name + end)).is_file()), None)


def nothing_found(path: Path, expected: Sequence[str], where: str) -> UserError:
    """The error of a reader that finds none of its files, packed or not."""
    packed = path.name.lower().endswith((".zip", ".gz", ".bz2", ".tar", ".tgz", ".7z", ".rar"))
    alone = "is an archive: unpack it and give the folder" if packed else "is not a folder"
    what = alone if not path.is_dir() else f"holds none of {', '.join(expected)}"
    return UserError(f"{path} {what}.", where)


def records(
    path: Path, table: str, columns: Sequence[str] | None = None, separator: str = "\t"
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Blocks of a file's records, all columns strings, each with the lines that had too many fields as rejects.

    columns: their names; None takes them from the first line. Fields that are empty or left off at the end are null,
    blank lines are passed over. Raises UserError where the file cannot be read to its end.
    """
    for lines in blocks(path):
        if columns is None:
            columns, lines = _header(path, lines[0].split(separator)), lines[1:]
        kept = pl.Series("line", [line for line in lines if line.strip()], pl.String)
        fields = kept.str.split_exact(separator, len(columns)).struct.unnest()
        over = fields.to_series(len(columns)).is_not_null()
        good = fields.filter(~over)[:, : len(columns)]
        good.columns = list(columns)
        good = good.with_columns(pl.when(pl.all() != "").then(pl.all()))
        lost = kept.filter(over)
        reasons = pl.Series([f"more than {len(columns)} fields"] * len(lost), dtype=pl.String)
        yield good, rejected(table, path, reasons, lost)


def named_records(path: Path, table: str, needed: Sequence[str]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Records of a file whose first line names its columns. Raises UserError where one that is needed is not there."""
    empty = True
    for block, bad in records(path, table):
        empty = False
        if missing := [name for name in needed if name not in block.columns]:
            raise UserError(f"{path}: the first line names no {missing[0]}.", f"Expected {', '.join(needed)}.")
        yield block, bad
    if empty:
        raise UserError(f"{path}: empty file.", "Fetch it again.")


def refuse(
    frame: pl.DataFrame, reason: pl.Expr, table: str, path: Path, shown: Sequence[str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows without a reason, and the others as rejects.

    reason: a string, null where the row is good. shown: the columns that are the reject's content; None is all.
    """
    reasons = frame.select(reason.alias("reason")).to_series()
    bad = frame.filter(reasons.is_not_null()).select(shown or frame.columns)
    content = bad.select(pl.concat_str(pl.all().cast(pl.String).fill_null(""), separator="\t")).to_series()
    return frame.filter(reasons.is_null()), rejected(table, path, reasons.drop_nulls(), content)


def rejected(table: str, path: Path, reasons: pl.Series, content: pl.Series) -> pl.DataFrame:
    """Rejects with one source."""
    return pl.DataFrame({"reason": reasons, "content": content.str.head(LONGEST_CONTENT)}).select(
        table=pl.lit(table, pl.String),
        source=pl.lit(path.name, pl.String),
        reason=pl.col("reason").cast(REJECT_SCHEMA["reason"]),
        content=pl.col("content").cast(REJECT_SCHEMA["content"]),
    )


def blocks(path: Path) -> Iterator[list[str]]:
    """Some lines at a time without their ends; never an empty list. Raises UserError where a file is damaged."""
    rest = b""
    first = True
    try:
        with _open(path) as file:
            while chunk := file.read(BLOCK):
                if first:
                    chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
                whole, end, rest = (rest + chunk).rpartition(b"\n")
                if end:
                    yield _lines(whole)
                if len(rest) > LONGEST_LINE:
                    raise UserError(f"{path}: a line is longer than {LONGEST_LINE:,} bytes.", "Is it the file it says?")
            if rest:
                yield _lines(rest)
    except (OSError, EOFError, zlib.error, BadZipFile) as error:
        raise UserError(f"{path}: cannot be read to its end ({error}).", "Fetch the file again.") from error


def _header(path: Path, names: list[str]) -> list[str]:
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f'{path}: the first line names "{twice[0]}" twice.', "Fetch the file again.")
    return names


def _open(path: Path) -> IO[bytes]:
    match path.suffix:
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".bz2":
            return cast(IO[bytes], bz2.open(path))
        case ".zip":
            return _open_zip(path)
    return path.open("rb")


def _open_zip(path: Path) -> IO[bytes]:
    archive = ZipFile(path)
    named = [name for name in archive.namelist() if Path(name).name == path.stem]
    if not named:
        raise BadZipFile(f"it holds no {path.stem}")
    return archive.open(named[0])


def _lines(block: bytes) -> list[str]:
    # Not splitlines(): names hold characters that it takes for ends of lines.
    lines = block.split(b"\n")
    try:
        return [line.rstrip("\r") for line in block.decode("utf-8").split("\n")]
    except UnicodeDecodeError:
        return [_decode(line).rstrip("\r") for line in lines]


def _decode(line: bytes) -> str:
    """UTF-8, or Latin-1 where it is not; a line by itself, because files mix them."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
