"""Wishes: what the listener wants of a list beyond the best songs, checked once and the same for every method."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Self, TypedDict, Unpack

from data.errors import UserError
from recsys import arguments


class WishFields(TypedDict, total=False):
    """The keywords that `recommend`, `continue_playlist`, `next_song` and `popular_and_fresh` take; see `Wishes`."""

    heard: bool
    per_artist: int | None
    blocked: Sequence[str]
    day: date | str | None
    seed: int | None
    not_again_days: int | None


@dataclass(frozen=True)
class Wishes:
    """heard: songs that the listener has played may be answered, but none that they disliked last. per_artist: at most
    so many songs by one artist. blocked: ids of songs that are not answered, nor other versions of them.

    day, seed: the list of that day (a date, or "2026-11-28") or number: the same one whenever it is asked for, and
    another one than on other days. not_again_days: a song played in the last so many days before the day (without
    one, before the latest listens of the dataset) is not answered, nor one that the lists of those days held: the
    songs are dealt out to the days, while they last.
    """

    heard: bool = False
    per_artist: int | None = None
    blocked: tuple[str, ...] = ()
    day: date | None = None
    seed: int | None = None
    not_again_days: int | None = None

    @classmethod
    def of(cls, **fields: Unpack[WishFields]) -> Self:
        """Raises UserError for what means nothing."""
        day, seed = fields.pop("day", None), fields.pop("seed", None)
        wishes = cls(
            fields.pop("heard", False),
            arguments.optional_count("per_artist", fields.pop("per_artist", None)),
            tuple(arguments.texts("blocked", fields.pop("blocked", ()))),
            None if day is None else arguments.day("day", day),
            None if seed is None else arguments.whole("seed", seed),
            arguments.optional_count("not_again_days", fields.pop("not_again_days", None)),
        )
        if fields:
            raise TypeError(f"there is no wish {', '.join(fields)}; there are {', '.join(WishFields.__annotations__)}")
        if wishes.not_again_days and wishes.day is None and not wishes.heard:
            raise UserError("not_again_days says nothing here", "Give it with heard=True, or with a day.")
        return wishes

    @property
    def is_drawn(self) -> bool:
        """Whether another day or seed gives another list."""
        return self.day is not None or self.seed is not None

    def number(self, *parts: object) -> int:
        """64 bits that depend on the seed and on the parts alone, not on the process."""
        said = "|".join(map(str, (self.seed, *parts)))
        return int.from_bytes(blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest())
