"""Values of a table file to the types of the contract. What cannot be parsed becomes null; the caller counts it."""

import ast
import json
import re
from collections.abc import Callable, Sequence

import polars as pl

from data.importers.formats.moments import days, moments
from data.importers.own_tables.amounts import durations, numbers, shares
from data.tables import FEEDBACK, STRINGS, TIME

VECTOR = pl.List(pl.Float32)
NULLS = (
    "\\N",
    "NULL",
    "Null",
    "null",
    "NaN",
    "nan",
    "NAN",
    "None",
    "#N/A",
    "N/A",
    "n/a",
    "<NA>",
    "NaT",
    "(null)",
    "#NV",
)
"What programs write for nothing."
SAYINGS = {
    "like": "like liked likes love loved loves favorite favourite favorited heart hearted thumbs_up thumbsup up + +1",
    "dislike": "dislike disliked dislikes hate hated ban banned thumbs_down thumbsdown down - -1",
    "skip": "skip skipped skips next",
}
FEEDBACK_OF = {word: kind for kind, words in SAYINGS.items() for word in words.split()}
LIST_SEPARATORS = ("|", ";", "\0", ",", " / ")
"The first of these that a value holds separates its items."


def parse(
    values: pl.Series, dtype: pl.DataType | type[pl.DataType], is_id: bool = False, column: str = ""
) -> pl.Series:
    """`values` as `dtype`; the same length, null where they say nothing or nothing that could be understood.

    column: of the contract, where its values have spellings of their own: duration_s, played_ratio, feedback.
    """
    values = without_null_words(_flat(values))
    if column == "duration_s":
        return durations(values, values.name).cast(pl.Float32)
    if column == "played_ratio":
        return shares(values, values.name).cast(pl.Float32)
    if column == "feedback":
        return _feedback(values)
    if dtype == pl.String:
        return _ids(values) if is_id else _strings(values)
    if dtype == STRINGS:
        return _lists(values, _string_items, STRINGS)
    if dtype == VECTOR:
        return _lists(values, _number_items, VECTOR)
    if dtype == TIME:
        return _times(values)
    if dtype == pl.Date:
        return _dates(values)
    return _integers(values, dtype) if dtype.is_integer() else numbers(values).cast(dtype)


def is_blank(values: pl.Series) -> pl.Series:
    """Says nothing: null, or only blanks."""
    blank = values.is_null()
    return blank | (values.str.strip_chars() == "").fill_null(True) if values.dtype == pl.String else blank


def null_words(values: pl.Series) -> pl.Series:
    """Which values are a word for nothing, such as NaN."""
    if values.dtype != pl.String:
        return pl.Series(values.name, [False] * len(values), dtype=pl.Boolean)
    return values.str.strip_chars().is_in(NULLS).fill_null(False)


def without_null_words(values: pl.Series) -> pl.Series:
    """The values, null where they are a word for nothing."""
    words = null_words(values)
    return values.set(words, None) if words.any() else values


def _flat(values: pl.Series) -> pl.Series:
    """Bytes as text, names of structs, keys of maps and categories as text; other types as they are."""
    if values.dtype == pl.Binary:
        texts = [_decoded(value) for value in values.to_list()]
        return pl.Series(values.name, texts, pl.String)
    if isinstance(values.dtype, pl.Categorical | pl.Enum | pl.Decimal | pl.Time) or values.dtype == pl.Boolean:
        return values.cast(pl.String)
    if isinstance(values.dtype, pl.List | pl.Array) and values.dtype.inner.is_numeric():
        return values
    if values.dtype.is_nested():
        items = [_items(value) for value in values.to_list()]
        return pl.Series(values.name, items, STRINGS)
    return values


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _items(value: object) -> list[str] | None:
    """The texts in a nested value: a list's, a map's keys, the name of a struct or of each struct of a list."""
    if value is None:
        return None
    if isinstance(value, dict):
        if "name" in value or "title" in value:
            named = value.get("name") or value.get("title")
            return None if named is None else [str(named)]
        return [str(key) for key, of in value.items() if of is not None]
    if isinstance(value, tuple) and len(value) == 2:  # an entry of a map
        return [str(value[0])]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [text for item in value for text in _items(item) or []]
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)]


def _ids(values: pl.Series) -> pl.Series:
    """Ids stay the text they are; those that went through a column of floats lose its `.0`."""
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        return whole.cast(pl.String) if (whole == values).all() else values.cast(pl.String)
    text = values if values.dtype == pl.String else _joined(values)
    if len(text) and text.str.contains(r"^\d+\.0$").fill_null(True).all() and not text.is_null().all():
        return text.str.strip_suffix(".0")
    return text


def _strings(values: pl.Series) -> pl.Series:
    text = _joined(values).str.strip_chars()
    if not len(text):
        return text
    nested = text.str.contains(r"^[\[{].*[\]}]$").fill_null(False)
    if nested.any():
        known = {value: _named(value) for value in text.filter(nested).unique().to_list()}
        text = pl.Series(text.name, [known.get(value, value) for value in text.to_list()], pl.String)
    return text.set(is_blank(text), None)


def _joined(values: pl.Series) -> pl.Series:
    if values.dtype == pl.String:
        return values
    if isinstance(values.dtype, pl.List):
        return values.cast(STRINGS).list.join(", ", ignore_nulls=True)
    return values.cast(pl.String, strict=False)


def _named(text: str) -> str:
    """The names in a JSON list or object, `[{"name": "A"}, {"name": "B"}]`; a text that is neither stays."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(found, list) and not all(isinstance(item, str | dict) for item in found):
        return text
    if isinstance(found, dict) and not ("name" in found or "title" in found):
        return text
    return ", ".join(_items(found) or [])


def _feedback(values: pl.Series) -> pl.Series:
    """like, dislike or skip, in the words of players."""
    text = _joined(values).str.strip_chars().str.to_lowercase().str.replace_all(" ", "_")
    kinds = text.replace_strict(FEEDBACK_OF, default=None, return_dtype=pl.String) if len(text) else text
    return kinds.set(~kinds.is_in(FEEDBACK).fill_null(True), None) if len(kinds) else kinds


def _integers(values: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    text = values.str.strip_chars() if values.dtype == pl.String else values
    frame = pl.DataFrame({"exact": text.cast(pl.Int64, strict=False), "number": numbers(text)})
    whole = pl.when(pl.col("number") == pl.col("number").round()).then(pl.col("number").cast(pl.Int64, strict=False))
    return frame.select(pl.coalesce("exact", whole).cast(dtype, strict=False)).to_series()


def _dates(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        return values.cast(pl.Date)
    return days(_joined(values))


def _times(values: pl.Series) -> pl.Series:
    """ISO 8601, UTC where no zone is given; Unix time; and the other usual ways to write a moment."""
    if isinstance(values.dtype, pl.Datetime):
        zoned = values.dt.convert_time_zone("UTC") if values.dtype.time_zone else values.dt.replace_time_zone("UTC")
        return zoned.cast(TIME)
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return moments(_joined(values))


def _lists(values: pl.Series, items: Callable[[Sequence[object]], list[object] | None], dtype: pl.List) -> pl.Series:
    """Lists as they are, JSON ("[...]", Python's quotes too), PostgreSQL's {a,b}, or separated values."""
    if isinstance(values.dtype, pl.List | pl.Array):
        return values.cast(dtype, strict=False)
    texts = values.cast(pl.String).rename("text")
    distinct = texts.drop_nulls().unique(maintain_order=True)
    found = [items(_split(text.strip(), numeric=dtype == VECTOR)) if text.strip() else None for text in distinct]
    # A million rows of a few genres: lists are made once for each text, not for each row.
    known = pl.DataFrame({"text": distinct, "items": pl.Series(found, dtype=dtype)})
    return texts.to_frame().join(known, on="text", how="left", maintain_order="left")["items"].alias(values.name)


def _split(text: str, numeric: bool) -> Sequence[object]:
    if text.startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, list):
                return found if numeric else _items(found) or []
        return []
    if text.startswith("{") and text.endswith("}"):
        named = _named(text)
        text = named if named != text else re.sub(r'"', "", text[1:-1])
    separator = next((one for one in LIST_SEPARATORS if one in text), "|")
    return [part for part in text.split(separator) if part.strip() not in NULLS]


def _string_items(parts: Sequence[object]) -> list[object] | None:
    texts = (str(part).strip() for part in parts if part is not None)
    return list(dict.fromkeys(text for text in texts if text)) or None


def _number_items(parts: Sequence[object]) -> list[object] | None:
    try:
        return [float(str(part)) for part in parts] or None
    except ValueError:
        return None
