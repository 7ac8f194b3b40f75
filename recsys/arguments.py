"""What callers hand in, checked before anything is asked: one line that says what is wrong, instead of odd answers."""

import math
import operator
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime

from data.errors import UserError

When = date | str | int | None
"A day, a year, or an open end."


def count(name: str, value: object) -> int:
    """A whole number from 1 on. Raises UserError for anything else."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise UserError(f"{name} is {value!r}", "Give a whole number from 1 on.")
    return number


def optional_count(name: str, value: object) -> int | None:
    """The same, or None."""
    return None if value is None else count(name, value)


def limit(name: str, value: object) -> int | None:
    """A whole number from 1 on; None or 0 is no limit. Raises UserError for anything else."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    return count(name, value)


def whole(name: str, value: object) -> int:
    """A whole number. Raises UserError for anything else."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UserError(f"{name} is {value!r}", "Give a whole number.") from None


def day(name: str, value: object) -> date:
    """A day: a date, or a text such as 2026-11-28. Raises UserError for anything else."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        raise UserError(f"{name} is {value!r}", "Give a date, or a text such as 2026-11-28.") from None


def days(name: str, value: object) -> tuple[date | None, date | None] | None:
    """The first and the last day of a pair of days or years, None for an open end; None for None.

    Raises UserError for anything else, and where the last day comes before the first.
    """
    if value is None:
        return None
    first, last = (_day(name, each, last) for last, each in enumerate(_pair(name, value)))
    if first is not None and last is not None and last < first:
        raise UserError(f"{name} ends on {last}, before it begins on {first}", "Give the earlier day first.")
    return first, last


def span(name: str, value: object) -> tuple[float | None, float | None] | None:
    """The least and the most of a pair of numbers from 0 on, None for an open end; None for None.

    Raises UserError for anything else, and where the most is below the least.
    """
    if value is None:
        return None
    least, most = (None if each is None else _number(name, each) for each in _pair(name, value))
    if least is not None and most is not None and most < least:
        raise UserError(f"{name} ends at {most:g}, before it begins at {least:g}", "Give the smaller number first.")
    return least, most


def share(name: str, value: object) -> float:
    """A number from 0 to 1. Raises UserError for anything else."""
    number = _number(name, value)
    if number > 1:
        raise UserError(f"{name} is {value!r}", "Give a number from 0 to 1.")
    return number


def _pair(name: str, value: object) -> tuple[object, object]:
    if isinstance(value, str) or not isinstance(value, Iterable) or len(ends := list(value)) != 2:
        raise UserError(f"{name} is {value!r}", "Give a first and a last one; None leaves an end open.")
    return ends[0], ends[1]


def _day(name: str, value: object, last: int) -> date | None:
    """A year stands for its first day, or for its last."""
    if value is None:
        return None
    year = str(value).strip()
    if year.isascii() and year.isdigit() and not isinstance(value, bool) and 1 <= int(year) <= 9999:
        return date(int(year), 12, 31) if last else date(int(year), 1, 1)
    return day(name, value)


def _number(name: str, value: object) -> float:
    number = math.nan
    if not isinstance(value, str | bytes | bool):
        with suppress(TypeError, ValueError):
            number = float(value)  # type: ignore[arg-type]
    if not 0 <= number < math.inf:
        raise UserError(f"{name} is {value!r}", "Give numbers from 0 on.")
    return number


def text(name: str, value: object) -> str:
    """A text that says something. Raises UserError for anything else."""
    if not isinstance(value, str):
        raise UserError(f"{name} is {value!r} of type {type(value).__name__}", f'Give a text, such as "{value}".')
    return value


def texts(name: str, values: object) -> list[str]:
    """Ids; one alone stands for a list of it. Raises UserError for anything that is no id."""
    if isinstance(values, str):
        return [values]
    if not isinstance(values, Iterable):
        raise UserError(f"{name} is {values!r} of type {type(values).__name__}", "Give a list of ids, which are texts.")
    return [text(f"an id of {name}", value) for value in values]
