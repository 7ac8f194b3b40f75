"""Numbers as people and programs write them: decimal commas, thousands, percent, minutes and seconds, milliseconds."""

import re

import polars as pl

SECONDS = {"ms": 1e-3, "msec": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0}
UNIT_OF_HEADER = re.compile(
    r"(?:^|[^a-zA-Z])(?i:(ms|msec|millis(?:econds?)?|min|mins|minutes))(?:$|[^a-zA-Z])|[a-z]M[sS]$|^ms(?=[A-Z])"
)
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:[.,]\d+)?)")
PARTS = re.compile(r"(?i)(\d+(?:[.,]\d+)?)\s*(ms|msec|sec|s|min|m|hr|h)(?:onds?|utes?|ours?|s)?(?![a-z])\.?")
LONGEST_SONG_S = 20_000.0
"A column of lengths whose middle is above this is in milliseconds: few songs take five hours, and all take 20 s."
OVER = 1.1
"A share of a song up to this is taken for all of it: players count the end of a song twice."


def numbers(values: pl.Series) -> pl.Series:
    """Texts as finite numbers, null where they are none. What is written as 213,4 or 1.234,5 is read by its column.

    A single comma before three digits is one of thousands, unless the column has a comma that cannot be.
    """
    if values.dtype != pl.String:
        return _finite(values.cast(pl.Float64, strict=False))
    text = values.str.replace_all(r"[\s\u{a0}\u{202f}'’]", "")
    found = _finite(text.cast(pl.Float64, strict=False))
    unread = found.is_null() & (text.str.len_bytes() > 0)
    if not unread.any():
        return found
    rest = text.filter(unread)
    comma = rest.str.contains(r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d*$") & ~rest.str.contains(r"^[+-]?\d{1,3},\d{3}$")
    english = text.str.replace_all(",", "").cast(pl.Float64, strict=False)
    german = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    decimal = german.cast(pl.Float64, strict=False)
    thousands = text.str.contains(r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
    others = pl.DataFrame({"e": english, "d": decimal, "t": thousands}).select(
        pl.when(pl.lit(bool(comma.any()))).then("d").when("t").then("e")
    )
    return _finite(found.zip_with(~unread, others.to_series()))


def durations(values: pl.Series, header: str) -> pl.Series:
    """Lengths in seconds: plain numbers in the unit that the header names, 3:45, 1:02:03, PT3M45S, 3 min 45 s."""
    if isinstance(values.dtype, pl.Duration):
        return values.dt.total_microseconds() / 1e6
    plain = numbers(values)
    if values.dtype == pl.String:
        unread = plain.is_null() & values.is_not_null()
        known = {value: _seconds(value) for value in values.filter(unread).unique().to_list()}
        worded = pl.Series([known.get(value) for value in values.to_list()], dtype=pl.Float64)
    else:
        worded = pl.Series([None] * len(values), dtype=pl.Float64)
    middle = plain.median()
    unit = _unit(header) or (1e-3 if isinstance(middle, float) and middle > LONGEST_SONG_S else 1.0)
    seconds = (plain * unit).fill_null(worded) if len(plain) else plain
    return seconds.to_frame("s").select(pl.when(pl.col("s") >= 0).then("s")).to_series().alias(values.name)


def shares(values: pl.Series, header: str) -> pl.Series:
    """Shares of a song that was played, 0 to 1: 0.85, 85%, or a column in percent. Slightly more than all is all."""
    if values.dtype == pl.String:
        percent = values.str.contains("%", literal=True)
        found = numbers(values.str.replace("%", "", literal=True))
    else:
        percent, found = pl.Series([False] * len(values), dtype=pl.Boolean), numbers(values)
    whole = found.filter(~percent.fill_null(False))
    middle = whole.median()
    in_percent = "%" in header or "percent" in header.lower() or (isinstance(middle, float) and middle > 2)
    frame = pl.DataFrame({"x": found, "percent": percent.fill_null(False) | in_percent})
    share = pl.when("percent").then(pl.col("x") / 100).otherwise("x")
    return frame.select(pl.when(share.is_between(1, OVER)).then(1.0).otherwise(share).alias(values.name)).to_series()


def _finite(values: pl.Series) -> pl.Series:
    return values.to_frame("x").select(pl.when(pl.col("x").is_finite()).then("x").alias(values.name)).to_series()


def _unit(header: str) -> float | None:
    found = UNIT_OF_HEADER.search(header)
    if found is None:
        return None
    return 60.0 if (found[1] or "").lower().startswith("min") else 1e-3


def _seconds(text: str) -> float | None:
    text = text.strip()
    if clock := CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    iso = re.sub(r"(?i)^P(?:\d+D)?T", "", text)
    found = PARTS.findall(iso)
    if not found or PARTS.sub("", iso).strip(" ,."):
        return None
    return float(sum(float(number.replace(",", ".")) * SECONDS[unit.lower()] for number, unit in found))
