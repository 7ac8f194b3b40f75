"""The kinds of events, checked at the border: what cannot be one is counted with its reason and goes no further."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

CLOCKS = timedelta(days=1)
"What clocks and time zones may be ahead, as for the tables (`data/tables.py`)."
ANNOUNCED = timedelta(days=366)
"How long before its release a song may be known, likewise."
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SHOWN = 200
"Characters of an example."


class Row(NamedTuple):
    """An event as the store keeps it.

    id: the caller's, or 16 bytes made from all the rest, the time in front. at: microseconds since 1970. detail: the
    feedback, the artist, the reason, or a row of tracks as JSON.
    """

    id: str | bytes
    kind: str
    user_id: str | None
    track_id: str | None
    at: int
    played_ratio: float | None
    detail: str | None


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds what is no text") from None
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("empty")
    return text


def _moment(value: datetime) -> datetime:
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if value > datetime.now(UTC) + CLOCKS:
        raise ValueError("more than a day ahead: a wrong clock")
    return value


def _day(value: date) -> date:
    if value > date.today() + ANNOUNCED:
        raise ValueError(f"more than {ANNOUNCED.days} days ahead")
    return value


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[Text, AfterValidator(_said)]
Moment = Annotated[datetime, AfterValidator(_moment)]
Day = Annotated[date, AfterValidator(_day)]


class _Event(BaseModel):
    """id: the same id is stored once, whatever it says the second time. at: when it happened, UTC where no zone is
    given; the moment of the call where nothing is. Without an id and with a time, the same content is stored once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: Name | None = None
    at: Moment = Field(default_factory=lambda: datetime.now(UTC), validation_alias=AliasChoices("at", "listened_at"))

    def row(self) -> Row:
        """As the store keeps it."""
        content = self._content()
        digest = blake2b(json.dumps(content, ensure_ascii=False).encode(), digest_size=8).digest()
        # The time comes first, so that events which come in their order are neighbours in the index of ids.
        return Row(self.id or content[3].to_bytes(8, "big", signed=True) + digest, *content)

    @property
    def names(self) -> str | None:
        """The song that a dataset should have; None where it names none, or brings it."""
        song: str | None = self.__dict__.get("track_id")
        return song

    def _content(self) -> tuple[str, str | None, str | None, int, float | None, str | None]:
        at = (self.at - EPOCH) // MICROSECOND
        given = self.__dict__
        kind, user, track, ratio = (given.get(name) for name in ("kind", "user_id", "track_id", "played_ratio"))
        return str(kind), user, track, at, ratio, self._detail()

    def _detail(self) -> str | None:
        return None


class Listen(_Event):
    """A listener played a song, `played_ratio` of it."""

    kind: Literal["listen"] = "listen"
    user_id: Name
    track_id: Name
    played_ratio: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)


class Feedback(_Event):
    """What a listener says of a song, or that they skipped it; with it how much of it they played, where they did."""

    kind: Literal["feedback"] = "feedback"
    user_id: Name
    track_id: Name
    feedback: Literal["like", "dislike", "skip"]
    played_ratio: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)

    def _detail(self) -> str:
        return self.feedback


class _Blocking(_Event):
    user_id: Name
    track_id: Name | None = None
    artist: Name | None = None

    def model_post_init(self, context: object) -> None:
        """One of both."""
        if (self.track_id is None) == (self.artist is None):
            raise ValueError("names neither a song nor an artist, or both")

    def _detail(self) -> str | None:
        return self.artist


class Block(_Blocking):
    """A listener never wants to be answered a song or an artist."""

    kind: Literal["block"] = "block"


class Unblock(_Blocking):
    """They changed their mind."""

    kind: Literal["unblock"] = "unblock"


class _Takedown(_Event):
    track_id: Name
    reason: Text = ""

    def _detail(self) -> str:
        return self.reason


class Remove(_Takedown):
    """A song is taken down: in no answer and no dataset until it is restored."""

    kind: Literal["remove"] = "remove"


class Restore(_Takedown):
    """A song that was taken down may come back."""

    kind: Literal["restore"] = "restore"


class Track(BaseModel):
    """A row of the tracks table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    track_id: Name
    title: Text | None = None
    artist: Text | None = None
    album: Text | None = None
    genres: list[Text] | None = None
    tags: list[Text] | None = None
    language: Text | None = None
    description: Text | None = None
    release_date: Day | None = None
    duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    audio_path: Text | None = None
    mbid: Text | None = None
    isrc: Text | None = None


class Add(_Event):
    """A song is new, or more is known of one."""

    kind: Literal["add"] = "add"
    track: Track

    def _content(self) -> tuple[str, str | None, str | None, int, float | None, str | None]:
        kind, user, _, at, ratio, detail = super()._content()
        return kind, user, self.track.track_id, at, ratio, detail

    def _detail(self) -> str:
        return self.track.model_dump_json(exclude_none=True)


Event = Annotated[Listen | Feedback | Block | Unblock | Remove | Restore | Add, Field(discriminator="kind")]
ANY: TypeAdapter[Event] = TypeAdapter(Event)


@dataclass
class Refused:
    """What was no event: how many, by reason, and the first one of each."""

    count: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    shown: ClassVar[int] = 3

    @property
    def total(self) -> int:
        """All of them."""
        return self.count.total()

    def add(self, reason: str, what: object) -> None:
        """One more."""
        self.count[reason] += 1
        self.examples.setdefault(reason, str(what)[:SHOWN])

    def with_more(self, others: "Refused") -> "Refused":
        """Both together."""
        return Refused(self.count + others.count, {**others.examples, **self.examples})

    def __str__(self) -> str:
        most = self.count.most_common(self.shown)
        said = [f"{count:,} x {reason}, such as {self.examples[reason]}" for reason, count in most]
        rest = len(self.count) - len(most)
        return "; ".join([*said, *([f"and {rest} reasons more"] if rest else [])])


def read_events(kind: str | None, records: Iterable[Mapping[str, Any]]) -> tuple[list[Event], Refused]:
    """The events among records of values or texts, and what was refused. kind: of all of them; None reads `kind`."""
    events, refused = [], Refused()
    for record in records:
        try:
            events.append(ANY.validate_python(dict(record) if kind is None else {**record, "kind": kind}))
        except (ValidationError, TypeError, ValueError) as error:
            refused.add(_reason(error), record)
    return events, refused


def row_of_listens(row: Any) -> Any:
    """A row of the listens table as a record of an event: a word on the song where it has one, else a listen."""
    if not isinstance(row, Mapping):
        return row
    record = {name: value for name, value in row.items() if value is not None and name != "position"}
    return {**record, "kind": "feedback" if "feedback" in record else "listen"}


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "not a record of named values"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"][1:])  # behind the kind
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said[0].lower()}{said[1:]}" if place else said
