"""Text to the types of the table contract. A value that cannot be parsed becomes null; the caller counts it."""

import ast
import json
from collections.abc import Callable, Sequence

import polars as pl

from data.importers.library.tags import parse_day
from data.tables import STRINGS, TIME

VECTOR = pl.List(pl.Float32)


def parse(values: pl.Series, dtype: pl.DataType | type[pl.DataType], is_id: bool = False) -> pl.Series:
    """`values` as `dtype`; the same length, null where they say nothing or nothing that could be understood."""
    if dtype == pl.String:
        return _strings(values, is_id)
    if dtype == STRINGS:
        return _lists(values, _string_items, STRINGS)
    if dtype == VECTOR:
        return _lists(values, _number_items, VECTOR)
    if dtype == TIME:
        return _times(values)
    if dtype == pl.Date:
        return _dates(values)
    return _integers(values, dtype) if dtype.is_integer() else _floats(values).cast(dtype)


def is_blank(values: pl.Series) -> pl.Series:
    """Says nothing: null, or only blanks."""
    blank = values.is_null()
    return blank | (values.str.strip_chars() == "").fill_null(True) if values.dtype == pl.String else blank


def _strings(values: pl.Series, is_id: bool) -> pl.Series:
    text = values if values.dtype == pl.String else values.cast(pl.String, strict=False)
    if is_id:
        return text
    text = text.str.strip_chars()
    return text.set(is_blank(text), None) if text.len() else text


def _floats(values: pl.Series) -> pl.Series:
    numbers = values.str.strip_chars() if values.dtype == pl.String else values
    numbers = numbers.cast(pl.Float64, strict=False)
    return numbers.to_frame("x").select(pl.when(pl.col("x").is_finite()).then("x")).to_series()


def _integers(values: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    text = values.str.strip_chars() if values.dtype == pl.String else values
    frame = pl.DataFrame({"exact": text.cast(pl.Int64, strict=False), "number": _floats(text)})
    whole = pl.when(pl.col("number") == pl.col("number").round()).then(pl.col("number").cast(pl.Int64, strict=False))
    return frame.select(pl.coalesce("exact", whole).cast(dtype, strict=False)).to_series()


def _dates(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        return values.cast(pl.Date)
    days = [parse_day(value) if value is not None else None for value in values.cast(pl.String).to_list()]
    return pl.Series(values.name, days, pl.Date)


def _times(values: pl.Series) -> pl.Series:
    """ISO 8601, UTC where no zone is given; or Unix time, in seconds or as many thousandths as its size tells."""
    if isinstance(values.dtype, pl.Datetime):
        zoned = values.dt.convert_time_zone("UTC") if values.dtype.time_zone else values.dt.replace_time_zone("UTC")
        return zoned.cast(TIME)
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"text": values.cast(pl.String).str.strip_chars(), "number": _floats(values)})
    size = pl.col("number").abs()
    scale = pl.when(size < 1e11).then(1e6).when(size < 1e14).then(1e3).when(size < 1e17).then(1.0).otherwise(1e-3)
    unix = (
        (pl.col("number") * scale)
        .round()
        .cast(pl.Int64, strict=False)
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC")
    )
    parts = (
        pl.col("text")
        .str.replace_all("/", "-")
        .str.extract_groups(
            r"^(\d{4}-\d{2}-\d{2})(?:[T ]+(\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,6})\d*)?)?\s*(Z|z|UTC|[+-]\d{2}:?\d{2})?$"
        )
        .struct
    )
    zone = parts.field("5").str.replace(":", "").str.replace("^(Z|z|UTC)$", "+0000").fill_null("+0000")
    clock = [parts.field("2").fill_null("00:00"), parts.field("3").fill_null(":00"), parts.field("4").fill_null("0")]
    iso = pl.format("{}T{}{}.{}{}", parts.field("1"), *clock, zone)
    moment = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)
    # Eight digits are a day, not a second of 1970.
    compact = pl.col("text").str.contains(r"^(19|20)\d{6}$")
    day = pl.col("text").str.to_datetime("%Y%m%d", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return frame.select(pl.when(compact).then(pl.coalesce(day, unix)).otherwise(pl.coalesce(unix, moment))).to_series()


def _lists(values: pl.Series, items: Callable[[Sequence[object]], list[object] | None], dtype: pl.List) -> pl.Series:
    """Lists as they are, JSON ("[...]", Python's quotes too), or values separated by |."""
    if isinstance(values.dtype, pl.List | pl.Array):
        return values.cast(dtype, strict=False)
    lists = [None if value is None or not value.strip() else items(_split(value)) for value in values.cast(pl.String)]
    return pl.Series(values.name, lists, dtype)


def _split(text: str) -> Sequence[object]:
    if text.lstrip().startswith("["):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text.strip())
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, list):
                return found
        return []
    return text.split("|")


def _string_items(parts: Sequence[object]) -> list[object] | None:
    return list(dict.fromkeys(text for part in parts if part is not None and (text := str(part).strip()))) or None


def _number_items(parts: Sequence[object]) -> list[object] | None:
    try:
        return [float(str(part)) for part in parts] or None
    except ValueError:
        return None
