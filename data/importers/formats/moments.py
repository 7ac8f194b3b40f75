"""Days and moments in the spellings that taggers, spreadsheets, databases and scrobblers use.

What a column's values have in common decides whether 3/4/2019 is in March or in April; where nothing decides, the value
is left unread, for a wrong date is worse than none.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

MOMENT = pl.Datetime("us", "UTC")
MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier enero",
            "feb february februar",
            "mar march märz maerz mrz mars",
            "apr april avril abril",
            "may mai mayo",
            "jun june juni juin",
            "jul july juli juillet",
            "aug august août agosto",
            "sep sept september",
            "oct october oktober okt octobre octubre",
            "nov november novembre",
            "dec december dezember dez decembre",
        ),
        start=1,
    )
    for name in names.split()
}
ZONES: dict[str, float] = {
    "z": 0,
    "utc": 0,
    "gmt": 0,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "mdt": -6,
    "pst": -8,
}
ZONES |= {
    "pdt": -7,
    "cet": 1,
    "cest": 2,
    "bst": 1,
    "mez": 1,
    "mesz": 2,
    "ist": 5.5,
    "jst": 9,
    "kst": 9,
    "aest": 10,
    "aedt": 11,
}
EXCEL_BEGINS = date(1899, 12, 30)
EXCEL_DAYS = (20_000, 80_000)
"Serial numbers of spreadsheets that are taken for days: 1954 to 2119."
FIRST_UNIX = 100_000_000
"Smaller numbers are no Unix time of a listen: they would lie before March 1973."

_WEEKDAY = r"(?:[^\W\d]{2,9}\.?,?\s+)?"
_YMD = r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})(?:[-/.](?P<d>\d{1,2}))?"
_DMY = r"(?P<a>\d{1,2})(?P<sep>[./-])\s*(?P<b>\d{1,2})(?P=sep)\s*(?P<y2>\d{4}|\d{2})"
_DNY = r"(?P<d3>\d{1,2})(?:st|nd|rd|th|\.)?[\s.-]+(?P<n3>[^\W\d]{3,9})\.?,?[\s.-]+(?P<y3>\d{4})"
_NDY = r"(?P<n4>[^\W\d]{3,9})\.?\s+(?:(?P<d4>\d{1,2})(?:st|nd|rd|th)?,?\s+)?(?P<y4>\d{4})"
_CLOCK = (
    r"(?P<H>\d{1,2})[:.h](?P<M>\d{2})(?:[:.](?P<S>\d{2})(?:[.,](?P<f>\d+))?)?\s*(?P<half>[aApP]\.?[mM]\.?)?"
    r"\s*(?P<zone>[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]{1,4}|[A-Z]\w+/\w+)?(?:\s*\([^)]*\)|\s*\[[^\]]*\]|\s+[A-Z]{3,4})?"
)
WRITTEN = [
    re.compile(rf"{_WEEKDAY}{day}(?:(?:[T,\s]|\sat\s)+{_CLOCK})?", re.IGNORECASE) for day in (_YMD, _DMY, _DNY, _NDY)
]
CTIME = re.compile(
    rf"[^\W\d]{{3}}\s+(?P<n4>[^\W\d]{{3}})\s+(?P<d4>\d{{1,2}})\s+{_CLOCK}\s+(?P<y4>\d{{4}})", re.IGNORECASE
)


def parse_day(text: str, day_first: bool | None = None) -> date | None:
    """The day that a text names, a missing month or day being the first; None where it names none.

    day_first: how 3/4/2019 is read; None leaves it unread.

    >>> parse_day("1999-6-1"), parse_day("14.06.2019"), parse_day("June 14, 2019"), parse_day("1970")
    (datetime.date(1999, 6, 1), datetime.date(2019, 6, 14), datetime.date(2019, 6, 14), datetime.date(1970, 1, 1))
    """
    text = text.strip().strip("\ufeff")
    if compact := re.match(r"(\d{4})(?:(\d{2})(\d{2})?)?(?!\d)", text):
        year, month, day = (int(part or 1) for part in compact.groups())
        rest = text[compact.end() :]
        if not rest or compact[2]:
            return _date(year, month, day)
    found = _written(text)
    if found is None:
        start = re.match(r"(\d{4})(?=\D|$)", text)
        return _date(int(start[1]), 1, 1) if start else None
    return _day_of(found, day_first)


def parse_moment(text: str, day_first: bool | None = None) -> datetime | None:
    """The moment that a text names, UTC where no zone is given."""
    text = re.sub(r"(\d{4})年(\d{1,2})月(\d{1,2})日", r"\1-\2-\3", text.strip().strip("\ufeff"))
    text = re.sub(r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})", r"\1-\2-\3T\4:\5:\6", text)
    found = _written(text)
    if found is None:
        return None
    if day_first is None and found.get("half"):
        day_first = False  # only where clocks have halves are months first
    day = _day_of(found, day_first)
    if day is None:
        return None
    hour, minute, second = (int(found.get(part) or 0) for part in "HMS")
    if half := (found.get("half") or "").lower():
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    zone = _zone(found.get("zone"))
    if zone is None:
        return None
    fraction = int((found.get("f") or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(day.year, day.month, day.day, hour, minute, second, fraction, zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def days(values: pl.Series) -> pl.Series:
    """A column of texts as days; null where a value names none."""
    distinct = [value for value in values.unique().to_list() if value is not None]
    day_first = days_first(distinct)
    known = {value: _serial(value) or parse_day(value, day_first) for value in distinct}
    return pl.Series(values.name, [known.get(value) for value in values.to_list()], pl.Date)


def moments(values: pl.Series) -> pl.Series:
    """A column of texts as moments: Unix time, ISO 8601, and what else is usual; null where a value names none.

    Unix time is in seconds, or as many thousandths as its size tells.
    """
    text = values.str.strip_chars()
    found = pl.DataFrame({"text": text}).select(moment=pl.coalesce(_unix(), _iso()))["moment"]
    unread = found.is_null() & text.is_not_null()
    if not unread.any():
        return found.alias(values.name)
    distinct = text.filter(unread).unique().to_list()
    day_first = days_first(distinct)
    known = {value: _spreadsheet(value) or parse_moment(value, day_first) for value in distinct}
    others = pl.Series([known.get(value) for value in text.to_list()], dtype=MOMENT)
    return found.zip_with(~unread, others).alias(values.name)


def days_first(values: Iterable[str]) -> bool | None:
    """Whether the column writes days before months, as in 31/12/2019; None where no value tells, or they disagree."""
    told = set()
    for value in values:
        found = re.match(r"\D*(\d{1,2})[/-](\d{1,2})[/-]\d{2,4}", value)
        if found:
            first, second = int(found[1]), int(found[2])
            told |= {True} if first > 12 else {False} if second > 12 else set()
    return told.pop() if len(told) == 1 else None


def _unix() -> pl.Expr:
    number = pl.col("text").str.replace(r"^(\d{9,}),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)
    size = number.abs()
    scale = pl.when(size < 1e11).then(1e6).when(size < 1e14).then(1e3).when(size < 1e17).then(1.0).otherwise(1e-3)
    moment = (number * scale).round().cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    # Eight digits are a day, not a second of 1970.
    compact = pl.col("text").str.contains(r"^(19|20)\d{6}$")
    day = pl.col("text").str.to_datetime("%Y%m%d", time_unit="us", strict=False).dt.replace_time_zone("UTC")
    return pl.when(compact).then(day).when(number.is_finite() & (size >= FIRST_UNIX)).then(moment)


def _iso() -> pl.Expr:
    parts = (
        pl.col("text")
        .str.replace_all("/", "-")
        .str.extract_groups(
            r"^(\d{4}-\d{2}-\d{2})(?:[T ]+(\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,6})\d*)?)?"
            r"\s*(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?$"
        )
        .struct
    )
    zone = parts.field("5").str.replace(":", "").str.replace("^(Z|z|UTC)$", "+0000")
    zone = pl.when(zone.str.len_chars() == 3).then(zone + "00").otherwise(zone).fill_null("+0000")
    clock = [parts.field("2").fill_null("00:00"), parts.field("3").fill_null(":00"), parts.field("4").fill_null("0")]
    iso = pl.format("{}T{}{}.{}{}", parts.field("1"), *clock, zone)
    return iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False)


def _written(text: str) -> dict[str, str | None] | None:
    for pattern in (*WRITTEN, CTIME):
        if match := pattern.fullmatch(text):
            return match.groupdict()
    return None


def _day_of(found: dict[str, str | None], day_first: bool | None) -> date | None:
    if (first := found.get("a")) and (second := found.get("b")):
        one, other, year = int(first), int(second), int(found["y2"] or 0)
        year += 0 if year > 99 else 1900 if year >= 70 else 2000
        if found["sep"] == ".":
            day_first = True
        if one > 12 or other > 12:
            day_first = one > 12
        if day_first is None and one != other:
            return None
        return _date(year, other, one) if day_first or one == other else _date(year, one, other)
    for number in ("3", "4"):
        if name := found.get(f"n{number}"):
            month = MONTHS.get(name.lower())
            return None if month is None else _date(int(found[f"y{number}"] or 0), month, int(found[f"d{number}"] or 1))
    return _date(int(found["y"] or 0), int(found["m"] or 1), int(found["d"] or 1))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month or 1, day or 1)
    except ValueError:
        return date(year, 1, 1) if month == 0 and year else None


def _zone(zone: str | None) -> tzinfo | None:
    """The zone of a name, an offset or an IANA key such as Europe/Berlin; UTC where none is given; None for others."""
    if zone and "/" in zone:
        try:
            return ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            return None
    offset = _offset(zone)
    return None if offset is None else timezone(offset)


def _offset(zone: str | None) -> timedelta | None:
    if not zone:
        return timedelta()
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
        size = timedelta(hours=int(hours), minutes=int(minutes))
        return -size if zone[0] == "-" else size
    hours_of = ZONES.get(zone.lower())
    return None if hours_of is None else timedelta(hours=hours_of)


def _serial(text: str) -> date | None:
    """The day of a spreadsheet's serial number."""
    moment = _spreadsheet(text.strip())
    return None if moment is None else moment.date()


def _spreadsheet(text: str) -> datetime | None:
    """The moment of a spreadsheet's serial number: days since the end of 1899, with a fraction."""
    if not re.fullmatch(r"\d{5}([.,]\d+)?", text):
        return None
    serial = float(text.replace(",", "."))
    if not EXCEL_DAYS[0] <= serial < EXCEL_DAYS[1]:
        return None
    moment = datetime(EXCEL_BEGINS.year, EXCEL_BEGINS.month, EXCEL_BEGINS.day, tzinfo=UTC) + timedelta(days=serial)
    return (
        moment.replace(microsecond=0)
        if moment.microsecond < 500_000
        else moment.replace(microsecond=0) + timedelta(seconds=1)
    )
