"""What callers hand in, checked before anything is asked: one line that says what is wrong, instead of odd answers."""

import operator
from collections.abc import Iterable
from datetime import date, datetime

from data.errors import UserError


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
