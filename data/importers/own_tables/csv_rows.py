"""Rows of a CSV file as text. Every line of the file becomes part of a row or of a reject; none is lost.

Well-formed lines are read by Polars at once. Odd ones (a quote that never closes, inches, quotes escaped by a
backslash, too many fields) are read one by one, and so are records that span lines: a stray quote costs no rows.
RFC 4180, and what spreadsheets make of it.
"""

import csv
import io
import re
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

LONGEST_RECORD = 50
"Lines that a quoted field may span; an opening quote that never closes must not swallow the file."
SEPARATORS = ",;\t|"
WIDER = "more fields than the header has"


@dataclass(frozen=True)
class CsvRows:
    """frame: all columns strings, null where a field is empty. rejected: (reason, line number from 1, line)."""

    frame: pl.DataFrame
    rejected: list[tuple[str, int, str]]


@dataclass(frozen=True)
class Dialect:
    """How fields are told apart, as patterns of a field and of lines, whole ones and parts of a longer record."""

    separator: str

    @property
    def field(self) -> str:
        return f'(?:"(?:[^"]|"")*"|[^"{self._s}]*)'

    @property
    def whole(self) -> str:
        """A line of well-formed fields."""
        return f"^{self.field}(?:{self._s}{self.field})*$"

    @property
    def opens(self) -> str:
        """A line that ends inside a quoted field."""
        return f'^(?:{self.field}{self._s})*"(?:[^"]|"")*$'

    @property
    def closes(self) -> str:
        """A line on which a quoted field ends, and the others with it."""
        return f'^(?:[^"]|"")*"(?:{self._s}{self.field})*$'

    @property
    def goes_on(self) -> str:
        """A line in the middle of a quoted field, or on which one ends and another one is left open."""
        return f'^(?:[^"]|"")*(?:"(?:{self._s}{self.field})*{self._s}"(?:[^"]|"")*)?$'

    @property
    def _s(self) -> str:
        return re.escape(self.separator)

    def fields(self, line: str) -> list[str]:
        """Of a line that is odd: quotes that do not stand around a field are plain characters."""
        if '\\"' in line:
            with suppress(csv.Error):
                return next(
                    csv.reader([line], delimiter=self.separator, escapechar="\\", doublequote=False, strict=True)
                )
        found, at = [], 0
        pattern = re.compile(f' *"((?:[^"]|"")*)" *(?={self._s}|$)|([^{self._s}]*)')
        while True:
            match = pattern.match(line, at)
            assert match is not None  # the second half fits nothing at all as well
            quoted, plain = match.groups()
            found.append(plain if quoted is None else quoted.replace('""', '"'))
            if match.end() == len(line):
                return found
            at = match.end() + 1


def read_csv(text: str) -> CsvRows | None:
    """None where there is no header. Raises ValueError where the header names a column twice."""
    written = pl.Series("line", [text]).str.split("\n").list.explode()
    lines = written.str.strip_suffix("\r")
    dialect, columns, begin = _header(lines)
    if not columns:
        return None
    table = pl.DataFrame({"line": lines}).with_row_index("number").slice(begin)
    table = table.filter(pl.col("line").str.strip_chars() != "")
    quoted = pl.col("line").str.contains('"', literal=True)
    plain = pl.when(quoted).then(pl.col("line").str.replace_all('"(?:[^"]|"")*"', "")).otherwise("line")
    fits = plain.str.count_matches(dialect.separator, literal=True) < len(columns)
    good = pl.when(quoted).then(pl.col("line").str.contains(dialect.whole)).otherwise(True) & fits
    table = table.with_columns(good=good)
    # Where lines end in LF, a CR LF inside quotes is part of the field.
    records, within = _records_over_lines(
        lines if "\r\n" in text[: text.find("\n") + 1] else written, table, dialect, len(columns)
    )
    table = table.filter(~pl.col("number").is_in(list(within)))
    rejected: list[tuple[str, int, str]] = []
    odd: list[tuple[int, list[str]]] = []
    for number, line in table.filter(~pl.col("good")).select("number", "line").iter_rows():
        row = dialect.fields(line)
        if len(row) > len(columns) and any(row[len(columns) :]):
            rejected.append((WIDER, number + 1, line))
        else:
            odd.append((number, row[: len(columns)]))
    frame = _in_order(table.filter("good"), [*records, *odd], columns, dialect.separator)
    return CsvRows(frame.filter(~pl.all_horizontal(pl.all().is_null())), rejected)


def decode(content: bytes) -> tuple[str, int]:
    """The text of a file, and how many of its lines were not UTF-8 and read as Windows-1252.

    UTF-16 is known by its mark or by its zeros. Line by line, since files that grew over years mix encodings.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), 0
    start = content[:1000]
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if len(start) > 3 and zeros.count(0) > 0.6 * len(zeros):
            return content.decode(encoding, "replace"), 0
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in content:
        content = content.replace(b"\r", b"\n")
    try:
        return content.decode("utf-8"), 0
    except UnicodeDecodeError:
        lines, others = [], 0
        for line in content.split(b"\n"):
            try:
                lines.append(line.decode("utf-8"))
            except UnicodeDecodeError:
                lines.append(line.decode("cp1252", "replace"))
                others += 1
        return "\n".join(lines), others


def _header(lines: pl.Series) -> tuple[Dialect, list[str], int]:
    """How fields are separated, the columns' names, and the line after. A spreadsheet's `sep=;` may stand before."""
    given, begin = "", 0
    for begin, line in enumerate(lines):
        if not line.strip() or (line.startswith("#") and not any(mark in line for mark in SEPARATORS)):
            continue
        if (mark := re.fullmatch(r'"?sep=(.)"?', line.strip())) and not given:
            given = mark[1]
            continue
        dialect = Dialect(given or max(SEPARATORS, key=line.count))
        names = [name.strip().strip("\ufeff") for name in dialect.fields(line)]
        while len(names) > 1 and not names[-1]:
            names.pop()
        names = [name or f"column {place}" for place, name in enumerate(names, start=1)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f'the header names "{twice[0]}" twice')
        return dialect, names, begin + 1
    return Dialect(","), [], begin


def _records_over_lines(
    every: pl.Series, table: pl.DataFrame, dialect: Dialect, width: int
) -> tuple[list[tuple[int, list[str]]], set[int]]:
    """Records that span lines, by the number of their first, and the numbers of all their lines.

    every: the lines of the file. table: those that are not blank.
    """
    opening = table.with_row_index("at").filter(~pl.col("good")).filter(pl.col("line").str.contains(dialect.opens))
    if opening.is_empty():
        return [], set()
    lines, numbers = table["line"], table["number"]
    closes, goes_on = re.compile(dialect.closes), re.compile(dialect.goes_on)
    found: list[tuple[int, list[str]]] = []
    within: set[int] = set()
    after = 0
    for first in opening["at"].to_list():
        if first < after:
            continue
        stop = first + 1
        while stop < min(first + LONGEST_RECORD, len(lines)) and not closes.match(lines[stop]):
            if not goes_on.match(lines[stop]):
                break
            stop += 1
        else:
            if stop < min(first + LONGEST_RECORD, len(lines)):
                row = _record(every[numbers[first] : numbers[stop] + 1].to_list(), dialect, width)
                if row is not None:
                    found.append((numbers[first], row))
                    within.update(numbers[first : stop + 1].to_list())
                    after = stop + 1
    return found, within


def _record(spanned: list[str], dialect: Dialect, width: int) -> list[str] | None:
    """The fields of a record over these lines; None where each of them is a row by itself and a quote a stray one.

    A row by itself has as many fields as the header, and begins as the first line does: with a number, or a word.
    """
    spanned[-1] = spanned[-1].removesuffix("\r")
    begins = {_shape(line.split(dialect.separator, 1)[0]) for line in spanned}
    if width > 2 and len(begins) == 1 and all(line.count(dialect.separator) + 1 == width for line in spanned):
        return None
    try:
        rows = list(csv.reader([f"{line}\n" for line in spanned], delimiter=dialect.separator, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 and len(rows[0]) == width else None


def _shape(text: str) -> str:
    """What a text is made of: `t20` and `t170` of letters and digits."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", text))


def _in_order(
    good: pl.DataFrame, others: list[tuple[int, list[str]]], columns: list[str], separator: str
) -> pl.DataFrame:
    """The rows of the good lines and the others, as they stand in the file."""
    schema = dict.fromkeys(columns, pl.String)
    frame = pl.DataFrame(schema=schema)
    if not good.is_empty():
        # A first line of all columns: Polars takes their number from it, and fills up shorter ones with null.
        names = separator.join(str(place) for place in range(len(columns)))
        joined = f"{names}\n{good['line'].str.join(chr(10))[0]}"
        frame = pl.read_csv(io.BytesIO(joined.encode()), separator=separator, infer_schema=False)
        frame.columns = columns
    if not others:
        return frame
    rows = [[value or None for value in row] + [None] * (len(columns) - len(row)) for _, row in others]
    numbers = pl.concat([good["number"], pl.Series("number", [number for number, _ in others], pl.UInt32)])
    return pl.concat([frame, pl.DataFrame(rows, schema, orient="row")])[numbers.arg_sort()]
