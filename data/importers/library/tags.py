"""Tags of a music file, under one name for every container format."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import mutagen

FIELDS: dict[str, tuple[str, ...]] = {
    "title": ("title", "TIT2", "\xa9nam"),
    "artist": ("artist", "TPE1", "\xa9ART", "albumartist", "TPE2", "aART", "performer"),
    "album": ("album", "TALB", "\xa9alb"),
    "genres": ("genre", "TCON", "\xa9gen"),
    "release_date": ("date", "TDRC", "TDRL", "TYER", "\xa9day", "year", "originaldate"),
    "language": ("language", "TLAN"),
    "description": ("description", "desc", "COMM", "comment", "comments", "\xa9cmt"),
    "tags": ("mood", "style", "TMOO", "keywords"),
}
"Per column of the contract: names in Vorbis comments and APE, ID3 and MP4; the first that says something wins."

NOTHING = re.compile(
    r"\W*(none|unknown|undefined|other|genre|n/?a|untitled|no (title|artist))?\W*|(track|artist)\s*\d+|https?://\S+",
    re.IGNORECASE,
)
MACHINE = re.compile(
    r"https?://|www\.|\S+@\S+\.\w|encod|ripp(ed|er)|exact audio copy|\blame\b|copyright|licen[cs]e|^[\s0-9A-F]+$",
    re.IGNORECASE,
)
"Comments that programs and labels leave behind; they say nothing about the music."


@dataclass(frozen=True)
class MusicTags:
    """What the tags say; None and empty where they are silent."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genres: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    language: str | None = None
    description: str | None = None
    release_date: date | None = None


def read_tags(path: Path) -> MusicTags:
    """The tags of a file; none at all where mutagen cannot read it, for its tags are not why we want a file."""
    try:
        opened: Any = mutagen.File(path)
        tags = opened.tags if opened is not None else None
        values = {column: list(_first(tags, names)) for column, names in FIELDS.items()} if tags else {}
    except (mutagen.MutagenError, OSError, ValueError, KeyError, IndexError):
        values = {}
    return MusicTags(
        title=_text(values.get("title", [])),
        artist=_text(values.get("artist", [])),
        album=_text(values.get("album", [])),
        genres=_listed(values.get("genres", [])),
        tags=_listed(values.get("tags", [])),
        language=_text(values.get("language", [])),
        description=_described(values.get("description", [])),
        release_date=next((day for value in values.get("release_date", []) if (day := parse_day(value))), None),
    )


def parse_day(text: str) -> date | None:
    """ "2019", "2019-06", "2019/06/14 12:00" or "20190614"; a missing month or day is the first."""
    found = re.match(r"\s*(\d{4})(?:[-/.]?(\d{2})(?:[-/.]?(\d{2}))?)?(?!\d)", text)
    if not found:
        return None
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, 1, 1) if month == 0 and year else None


def _first(tags: Any, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        values = [value for value in _values(tags, name) if not NOTHING.fullmatch(value)]
        if values:
            return values
    return []


def _values(tags: Any, name: str) -> list[str]:
    if hasattr(tags, "getall"):  # ID3: a frame may come several times, each with several texts
        frames = tags.getall(name) if name.isupper() and len(name) == 4 else []
        frames = [frame for frame in frames if not getattr(frame, "desc", "").startswith(("iTun", "ID3v1"))]
        found = [text for frame in frames for text in (frame.genres if name == "TCON" else frame.text)]
    else:
        found = _lookup(tags, name)
    return [str(value).strip() for value in found if not isinstance(value, bytes)]


def _lookup(tags: Any, name: str) -> list[Any]:
    try:
        value = tags[name]
    except (KeyError, ValueError):  # a Vorbis comment cannot even be asked for the name of an MP4 atom
        return []
    return value if isinstance(value, list) else list(value) if not isinstance(value, str) else [value]


def _text(values: list[str]) -> str | None:
    return ", ".join(dict.fromkeys(values)) or None


def _listed(values: list[str]) -> list[str]:
    parts = (part.strip() for value in values for part in re.split(r"[;|\0]", value))
    return list(dict.fromkeys(part for part in parts if not NOTHING.fullmatch(part)))


def _described(values: list[str]) -> str | None:
    sensible = [" ".join(value.split()) for value in values if not MACHINE.search(value)]
    return " ".join(dict.fromkeys(sensible)) or None
