"""Wishes: what the listener wants of a list beyond the best songs, checked once and the same for every method."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Literal, Self, TypedDict, Unpack

from data.errors import UserError
from recsys import arguments

Method = Literal["recommend", "continue_playlist", "next_song", "popular_and_fresh", "similar", "search", "path"]
PER_ARTIST: dict[Method, int | None] = {"search": None, "path": None}
"""Who searches for an artist wants all of their songs, and a path lives on small steps; every other list has at most
`USUAL_PER_ARTIST` by one."""
USUAL_PER_ARTIST = 2
ORDERED = ("heard", "not_again_days", "more_like", "less_like", "diversity", "discovery", "day", "seed")
WITHOUT: dict[Method, tuple[str, ...]] = {
    "similar": ("heard", "not_again_days"),
    "search": ORDERED,
    "path": ORDERED,
    "popular_and_fresh": ("more_like", "diversity", "discovery"),
}
"""Wishes that say nothing to a method: nobody is known who has heard anything, or the order is that of the words or the
way."""


class WishFields(TypedDict, total=False):
    """The keywords that every method which answers songs takes; see `Wishes`."""

    heard: bool
    per_artist: int | None
    per_album: int | None
    versions: bool
    blocked: Sequence[str]
    blocked_artists: Sequence[str]
    only: Sequence[str] | None
    genres: Sequence[str]
    languages: Sequence[str]
    tags: Sequence[str]
    released: tuple[arguments.When, arguments.When] | None
    duration: tuple[float | None, float | None] | None
    playable: bool | None
    more_like: Sequence[str]
    less_like: Sequence[str]
    diversity: float
    discovery: float | None
    day: date | str | None
    seed: int | None
    not_again_days: int | None


@dataclass(frozen=True)
class Wishes:
    """heard: songs that the listener has played may be answered, but none that they disliked last. per_artist,
    per_album: at most so many songs by one artist or of one album; None or 0 sets no limit. Not given, two songs by an
    artist (`PER_ARTIST`), and more where nobody else is left. versions: several versions of one recording may be
    answered. blocked: ids of songs that are not answered, nor other versions of them. blocked_artists: names; nor songs
    in which they are guests.

    only: ids of the songs that may be answered; None is all. genres, languages: the song has one of them. tags: the
    song has all of them among its tags, genres and language. released: (first, last), dates or years. duration:
    (shortest, longest) in seconds. None leaves an end open. A song of which a filter's value is unknown does not pass.
    playable: the song has an audio file; not given, where any song has one.

    more_like: songs (ids, artist:NAME or album:NAME) that count as if they had just been played; they are not answered.
    less_like: songs that are not answered either; what resembles them more than what was given or more_like comes last.
    discovery: 0..1, the share of a listener's list that is new to them; the higher, the less known are its songs. Songs
    they have heard come whether or not `heard` is wished; 1 is new songs alone. None answers by `heard`. Where songs
    are given and no listener, it is the weight of being little known alone, and 0 keeps the ranking.
    diversity: 0..1; the higher, the less alike are the songs of a list. 0 keeps the ranking.

    day, seed: the list of that day (a date, or "2026-11-28") or number: the same one whenever it is asked for, and
    another one than on other days. not_again_days: a song played in the last so many days before the day (without
    one, before the latest listens of the dataset) is not answered, nor one that the lists of those days held: the
    songs are dealt out to the days, while they last.
    """

    heard: bool = False
    per_artist: int | None = USUAL_PER_ARTIST
    gives_way: bool = True
    "Whether songs beyond `per_artist` follow where no others are left: it was not wished for."
    per_album: int | None = None
    versions: bool = False
    blocked: tuple[str, ...] = ()
    blocked_artists: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    genres: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    released: tuple[date | None, date | None] | None = None
    duration: tuple[float | None, float | None] | None = None
    playable: bool | None = None
    more_like: tuple[str, ...] = ()
    less_like: tuple[str, ...] = ()
    diversity: float = 0.0
    discovery: float | None = None
    day: date | None = None
    seed: int | None = None
    not_again_days: int | None = None

    @classmethod
    def of(cls, method: Method = "recommend", /, **fields: Unpack[WishFields]) -> Self:
        """Raises UserError for what means nothing, or nothing to the method."""
        unknown = [name for name in fields if name not in WishFields.__annotations__]
        if unknown:
            known = ", ".join(WishFields.__annotations__)
            raise TypeError(f"there is no wish {', '.join(unknown)}; there are {known}")
        for name in WITHOUT.get(method, ()):
            if fields.get(name):
                raise UserError(f"{name} says nothing to {method}", "Leave it out, or ask for a listener's songs.")
        day, seed, only = fields.get("day"), fields.get("seed"), fields.get("only")
        discovery = fields.get("discovery")
        wishes = cls(
            heard=fields.get("heard", False),
            per_artist=arguments.limit(
                "per_artist", fields.get("per_artist", PER_ARTIST.get(method, USUAL_PER_ARTIST))
            ),
            gives_way="per_artist" not in fields,
            per_album=arguments.limit("per_album", fields.get("per_album")),
            versions=fields.get("versions", False),
            blocked=tuple(arguments.texts("blocked", fields.get("blocked", ()))),
            blocked_artists=tuple(arguments.texts("blocked_artists", fields.get("blocked_artists", ()))),
            only=None if only is None else tuple(arguments.texts("only", only)),
            genres=tuple(arguments.texts("genres", fields.get("genres", ()))),
            languages=tuple(arguments.texts("languages", fields.get("languages", ()))),
            tags=tuple(arguments.texts("tags", fields.get("tags", ()))),
            released=arguments.days("released", fields.get("released")),
            duration=arguments.span("duration", fields.get("duration")),
            playable=fields.get("playable"),
            more_like=tuple(arguments.texts("more_like", fields.get("more_like", ()))),
            less_like=tuple(arguments.texts("less_like", fields.get("less_like", ()))),
            diversity=arguments.share("diversity", fields.get("diversity", 0.0)),
            discovery=None if discovery is None else arguments.share("discovery", discovery),
            day=None if day is None else arguments.day("day", day),
            seed=None if seed is None else arguments.whole("seed", seed),
            not_again_days=arguments.optional_count("not_again_days", fields.get("not_again_days")),
        )
        if wishes.only == ():
            raise UserError("only names no song", "Name the songs that may be answered, or leave it out.")
        if wishes.not_again_days and wishes.day is None and not wishes.heard and discovery is None:
            raise UserError("not_again_days says nothing here", "Give it with heard=True, discovery, or a day.")
        return wishes

    @property
    def is_drawn(self) -> bool:
        """Whether another day or seed gives another list."""
        return self.day is not None or self.seed is not None

    def number(self, *parts: object) -> int:
        """64 bits that depend on the seed and on the parts alone, not on the process."""
        said = "|".join(map(str, (self.seed, *parts)))
        return int.from_bytes(blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest())
