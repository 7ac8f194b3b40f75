"""A parsed playlist file, independent of its format."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One song of a playlist; what the file does not say is None or empty."""

    locations: tuple[str, ...] = ()
    "Locations: URIs in XSPF and JSPF, possibly relative; a path or a URI in M3U."
    identifiers: tuple[str, ...] = ()
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    duration_s: float | None = None
    added_at: int | None = None
    "Microseconds since 1970, as all times of importers."


@dataclass
class PlaylistFile:
    """Title, entries in order, and why there are not more of them."""

    title: str | None = None
    description: str | None = None
    creator: str | None = None
    modified_at: int | None = None
    entries: list[Entry] = field(default_factory=list)
    broken: str | None = None


class NoPlaylistError(Exception):
    """The file is none, and the message says why."""
