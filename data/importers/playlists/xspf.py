"""XSPF, version 0 and 1 (xspf.org/spec): the XML playlist of VLC, Clementine and others.

A playlist may come from anyone. Every attack by entities needs a document type, which XSPF does not have: reading stops
at the first sign of one, before any declaration in it. defusedxml does the same, so that it would add nothing. Nor does
expat ever fetch anything unless it is given a handler for that. It gets the content whole: fed in chunks, versions
before 2.6 read a long token anew with every one of them, which is quadratic.
"""

from urllib.parse import urljoin
from xml.parsers import expat

from data.importers.formats.json_records import moment_of, number_of, text_of
from data.importers.playlists.model import Entry, NoPlaylistError, PlaylistFile

BASE = "http://www.w3.org/XML/1998/namespace base"
TRACK = ["playlist", "trackList", "track"]
DEEPEST = 64
"Elements inside each other; an extension may bring its own."


class _Reader:
    """Follows the elements of one document. Namespaces do not count: many writers get them wrong."""

    def __init__(self) -> None:
        self.playlist = PlaylistFile()
        self.path: list[str] = []
        self.text: list[str] = []
        self.fields: dict[str, list[str]] = {}
        self.base = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.path.append(name.rpartition(" ")[2])
        self.text.clear()
        if len(self.path) > DEEPEST:
            raise NoPlaylistError(f"more than {DEEPEST} elements inside each other")
        if self.path == ["playlist"]:
            self.base = attributes.get(BASE, "")
        elif len(self.path) == 1:
            raise NoPlaylistError(f"it is <{self.path[0][:40]}>, not <playlist>")
        elif self.path == TRACK:
            self.fields.clear()

    def characters(self, text: str) -> None:
        self.text.append(text)

    def end(self, name: str) -> None:
        name, said = self.path[-1], text_of("".join(self.text))
        if self.path == TRACK:
            self.playlist.entries.append(self._entry())
        elif self.path[:-1] == TRACK and said:
            self.fields.setdefault(name, []).append(said)
        elif self.path[:-1] == ["playlist"] and said:
            self._describe(name, said)
        self.path.pop()
        self.text.clear()

    def _describe(self, name: str, said: str) -> None:
        if name == "title":
            self.playlist.title = said
        elif name == "annotation":
            self.playlist.description = said
        elif name == "creator":
            self.playlist.creator = said
        elif name == "date":
            self.playlist.modified_at = moment_of(said)

    def _entry(self) -> Entry:
        first = {name: values[0] for name, values in self.fields.items()}
        length = number_of(first.get("duration"))
        return Entry(
            locations=tuple(_joined(self.base, where) for where in self.fields.get("location", ())),
            identifiers=tuple(self.fields.get("identifier", ())),
            title=first.get("title"),
            artist=first.get("creator"),
            album=first.get("album"),
            duration_s=length / 1000 if length and 0 < length < 1e9 else None,
        )


def parse_xspf(content: bytes) -> PlaylistFile:
    """A document that is cut or wrong further on gives the tracks before that, and says so in `broken`.

    Raises NoPlaylistError where it is no XSPF, and for every document type.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        if not reader.playlist.entries:
            raise NoPlaylistError(f"not XML, or cut ({error})") from error
        reader.playlist.broken = f"not XML, or cut, from here on ({error})"
    return reader.playlist


def _refuse(*_: object) -> None:
    raise NoPlaylistError("it declares a document type, which XSPF has none of")


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location) if base else location
    except ValueError:
        return location
