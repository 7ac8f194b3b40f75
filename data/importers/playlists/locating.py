"""Which song of a library does an entry of a playlist mean?"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Self
from urllib.parse import unquote, urlsplit

OUTSIDE = "outside the folder"
ATTRIBUTES = re.compile(r'[\w-]+="[^"]*"')
"Of an #EXTINF line, between its length and its label."


def locate(entry: str, playlist: PurePosixPath, root: Path) -> PurePosixPath | str:
    """Where an entry points inside the library, or the reason why it does not. Never touches the disk.

    playlist: path of the M3U file relative to root. root: the library, absolute.
    """
    if re.match(r"file:/", entry, re.IGNORECASE):
        try:
            entry = unquote(urlsplit(entry).path)
        except ValueError:  # "file://[": half an address
            return OUTSIDE
    elif re.match(r"\w{2,}://", entry):
        return "a stream, not a file"
    if "\\" in entry:
        entry = entry.replace("\\", "/")
    if re.match(r"/?[A-Za-z]:/", entry):
        return OUTSIDE
    place, top = PurePosixPath(normpath(root / playlist.parent / entry)), PurePosixPath(root)
    return place.relative_to(top) if place.is_relative_to(top) and place != top else OUTSIDE


@dataclass(frozen=True)
class Library:
    """The songs that playlists may mean: by path, by path as Windows and macOS compare it, and by its ends.

    songs: every path that leads to a track, and its id. by_end: the last parts of a path -> the only track whose path
    ends so; None where several do. by_name: "artist - title" -> the only track of that name.
    """

    root: Path
    songs: Mapping[PurePosixPath, str]
    folded: Mapping[str, str]
    by_end: Mapping[str, str | None]
    by_name: Mapping[str, str | None]

    @classmethod
    def of(cls, root: Path, songs: Mapping[PurePosixPath, str], names: Mapping[str, str]) -> Self:
        """names: "artist - title" of each track, by its id."""
        by_end: dict[str, str | None] = {}
        for path, track in songs.items():
            parts = _folded(path).split("/")
            for first in range(len(parts)):
                end = "/".join(parts[first:])
                by_end[end] = track if by_end.get(end, track) == track else None
        by_name: dict[str, str | None] = {}
        for track, name in names.items():
            by_name[name] = track if by_name.get(name, track) == track else None
        return cls(root, songs, {_folded(path): track for path, track in songs.items()}, by_end, by_name)

    def find(self, entry: str, info: str, playlist: PurePosixPath) -> tuple[str | None, PurePosixPath | str]:
        """The track that an entry means, and where it points or why it points nowhere.

        As it stands, with %20 and its like decoded, from the top of the library; else the only song whose path ends as
        the entry's does, if by two parts or more; else the only song of the name that stands beside it.
        """
        first: PurePosixPath | str = ""
        for text in dict.fromkeys((entry, unquote(entry))):
            place = locate(text, playlist, self.root)
            first = first or place
            for there in (place, locate(text, PurePosixPath("list"), self.root)):
                if not isinstance(there, str) and (track := self.songs.get(there) or self.folded.get(_folded(there))):
                    return track, there
        if isinstance(first, str) and first != OUTSIDE:
            return None, first
        for end in _ends(entry):
            if track := self.by_end.get(end):
                return track, first
        _, _, label = ATTRIBUTES.sub("", info).partition(",")
        for name in (label, "" if "/" in entry or "\\" in entry else entry):
            if name and (track := self.by_name.get(_name(name))):
                return track, first
        return None, first


def _ends(entry: str) -> Iterator[str]:
    """The ends of an entry's path, longest first, of two parts at least; as it stands, then decoded."""
    for text in dict.fromkeys((entry, unquote(entry))):
        parts = _folded(PurePosixPath(text.replace("\\", "/"))).split("/")
        parts = [part for part in parts if part not in ("", "..")]
        for begin in range(len(parts) - 1):
            yield "/".join(parts[begin:])


def name_key(artist: str, title: str) -> str:
    """As names are compared."""
    return _name(f"{artist} - {title}")


def _name(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _folded(path: PurePosixPath) -> str:
    """The path as Windows and macOS compare it, whose playlists differ from the disk in case or Unicode form."""
    return unicodedata.normalize("NFC", str(path)).casefold()
