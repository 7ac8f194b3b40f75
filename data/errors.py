"""Errors the user can correct: one or two lines that say what is wrong, where, and what to do. Exit code 2."""

from collections.abc import Iterable


class UserError(Exception):
    """The input is wrong. `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n       {hint}" if hint else message)


class UnknownIdError(UserError, LookupError):
    """An id, or several, that the dataset does not have; the message names them."""


class DamagedError(UserError):
    """A file that is not what was published: truncated, changed, or missing."""


def closest(wanted: str, known: Iterable[str]) -> str:
    """`; the closest name is "x"`, or nothing where none is close."""
    from rapidfuzz import fuzz, process  # only here: no command needs it to begin

    match = process.extractOne(wanted, list(known), scorer=fuzz.ratio, processor=str.lower, score_cutoff=50)
    return f'; the closest name is "{match[0]}"' if match else ""
