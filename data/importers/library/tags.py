"""Tags of a music file, under one name for every container format."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import av
import mutagen

from data.identity.codes import isrc, recording_id
from data.importers.formats.mojibake import repair, repair_bytes
from data.importers.formats.moments import parse_day

FIELDS: dict[str, tuple[str, ...]] = {
    "title": ("title", "TIT2", "\xa9nam"),
    "artist": (
        "artist",
        "artists",
        "TPE1",
        "TXXX:ARTISTS",
        "\xa9ART",
        "----:com.apple.iTunes:ARTISTS",
        "albumartist",
        "album artist",
        "album_artist",
        "TPE2",
        "TXXX:ALBUM ARTIST",
        "aART",
        "performer",
    ),
    "album": ("album", "TALB", "\xa9alb"),
    "genres": ("genre", "TCON", "\xa9gen"),
    "release_date": (
        "date",
        "TDRC",
        "TDRL",
        "TYER",
        "\xa9day",
        "year",
        "originaldate",
        "TDOR",
        "TORY",
        "originalyear",
        "original year",
        "TXXX:originalyear",
        "releasedate",
        "release date",
    ),
    "language": ("language", "TLAN"),
    "description": ("description", "desc", "COMM", "comment", "comments", "\xa9cmt"),
    "tags": ("mood", "style", "TMOO", "keywords"),
    "mbid": (
        "musicbrainz_trackid",
        "UFID:http://musicbrainz.org",
        "TXXX:MusicBrainz Track Id",
        "TXXX:MusicBrainz Recording Id",
        "----:com.apple.iTunes:MusicBrainz Track Id",
        "MusicBrainz/Track Id",
    ),
    "isrc": ("isrc", "TSRC", "TXXX:ISRC", "----:com.apple.iTunes:ISRC", "WM/ISRC"),
}
"Per column of the contract: names in Vorbis comments and APE, ID3 and MP4; the first that says something wins."

NOTHING = re.compile(
    r"\W*(none|unknown|undefined|n/?a|untitled|no (title|artist)|unknown (title|album|genre|track))\W*"
    r"|(track|titel|piste|pista)\s*\d+|artist\s*\d+|https?://\S+",
    re.IGNORECASE,
)
"Placeholders. A name of symbols, such as !!! or ÷, is a name."
NO_GENRE = re.compile(r"\W*(other|genre|misc|default)\W*", re.IGNORECASE)
NO_ARTIST = re.compile(
    r"\W*(unknown( artists?)?|various( artists?)?|v\.?\s?a\.?|artist|div(erse|\.)?( interpreten)?|compilations?"
    r"|unbekannte[rs]?( künstler| interpret)?|verschiedene( interpreten| künstler)?|artistes? (inconnue?s?|divers)"
    r"|varios( artistas)?|artista desconocido|artisti vari|artista sconosciuto|vários( artistas)?)\W*",
    re.IGNORECASE,
)
"Who plays where nobody knows or many do: as an artist it would bind songs that have nothing in common."
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
    mbid: str | None = None
    "Of the recording; MusicBrainz's own programs call it track id."
    isrc: str | None = None


def read_tags(path: Path) -> MusicTags:
    """The tags of a file; none at all where mutagen cannot read it, for its tags are not why we want a file."""
    try:
        opened: Any = mutagen.File(path)
        tags = opened.tags if opened is not None else None
    except (mutagen.MutagenError, OSError, ValueError, KeyError, IndexError):
        tags = None
    # What mutagen knows nothing of, FFmpeg often does: RIFF INFO, ID3 before AAC, APEv2, a wrong ending.
    tags = tags or _of_container(path)
    try:
        values = {column: list(_first(tags, column, names)) for column, names in FIELDS.items()} if tags else {}
    except (ValueError, KeyError, IndexError):
        values = {}
    return MusicTags(
        title=_text(values.get("title", [])),
        artist=_text(values.get("artist", [])),
        album=_text(values.get("album", [])),
        genres=_listed(values.get("genres", [])),
        tags=_listed(values.get("tags", [])),
        language=next(iter(values.get("language", [])), None),
        description=_described(values.get("description", [])),
        release_date=next((day for value in values.get("release_date", []) if (day := parse_day(value))), None),
        mbid=next((found for value in values.get("mbid", []) if (found := recording_id(value))), None),
        isrc=next((found for value in values.get("isrc", []) if (found := isrc(value))), None),
    )


def _of_container(path: Path) -> dict[str, list[str]]:
    """What FFmpeg reads of a file's tags, by their names in lower case."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            found = {**container.metadata}
            for stream in container.streams.audio:
                found = {**stream.metadata, **found}
    except (av.error.FFmpegError, ValueError, OSError):
        return {}
    return {name.lower(): [value] for name, value in found.items()}


def _first(tags: Any, column: str, names: Iterable[str]) -> Iterable[str]:
    nothing = {"artist": NO_ARTIST, "genres": NO_GENRE}.get(column)
    for name in names:
        values = [value for value in _values(tags, name) if value and not NOTHING.fullmatch(value)]
        values = [value for value in values if nothing is None or not nothing.fullmatch(value)]
        if values:
            return values
    return []


def _values(tags: Any, name: str) -> list[str]:
    if hasattr(tags, "getall"):  # ID3: a frame may come several times, each with several texts
        frames = tags.getall(name) if name.isupper() and len(name) == 4 else []
        frames = [frame for frame in frames if not getattr(frame, "desc", "").startswith(("iTun", "ID3v1"))]
        if name.startswith("TXXX:"):
            frames = [frame for frame in tags.getall("TXXX") if frame.desc.lower() == name[5:].lower()]
        if name.startswith("UFID:"):
            return [_decoded(frame.data) for frame in tags.getall(name)]
        found = [
            _repaired(str(text), getattr(frame, "encoding", None) == 0)
            for frame in frames
            for text in (frame.genres if name == "TCON" else frame.text)
        ]
    else:
        found = _lookup(tags, name)
    texts = [_decoded(value) for value in found]
    return [repair(text).strip().strip("\ufeff\0").strip() for text in texts]


def _decoded(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _lookup(tags: Any, name: str) -> list[Any]:
    try:
        value = tags[name]
    except (KeyError, ValueError):  # a Vorbis comment cannot even be asked for the name of an MP4 atom
        return []
    return value if isinstance(value, list) else list(value) if not isinstance(value, str) else [value]


def _repaired(text: str, latin: bool) -> str:
    """latin: the frame says that its bytes are Latin-1, which many programs write whatever they are."""
    return repair_bytes(text) if latin else text


def _text(values: list[str]) -> str | None:
    return ", ".join(dict.fromkeys(values)) or None


def _listed(values: list[str]) -> list[str]:
    parts = (part.strip() for value in values for part in re.split(r"[;|\0]", value))
    return list(dict.fromkeys(part for part in parts if not NOTHING.fullmatch(part)))


def _described(values: list[str]) -> str | None:
    sensible = [" ".join(value.split()) for value in values if not MACHINE.search(value)]
    return " ".join(dict.fromkeys(sensible)) or None
