"""Importer "playlists": every JSPF, XSPF and M3U playlist of a folder, whatever players and services wrote them.

The same song should have the same id in all of them. So a track is its MusicBrainz recording where the file names it,
else its first identifier, else where it lies: the path below the folder, or a web address; else artist and title. A
file outside the folder is never its place's name, for that says more of somebody's disk than of the song. Nothing that
a playlist names is opened, no track gets audio: that is what importer "folder" does with the M3U files of a music
folder.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.file_names import spaced
from data.importers.formats.json_records import number_of, text_of
from data.importers.playlists import m3u
from data.importers.playlists.jspf import parse_jspf
from data.importers.playlists.locating import ATTRIBUTES, locate
from data.importers.playlists.model import Entry, NoPlaylistError, PlaylistFile
from data.importers.playlists.xspf import parse_xspf
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart

ENDINGS = (".jspf", ".xspf", ".m3u", ".m3u8", ".pls", ".wpl")
LARGEST = 64 << 20
"Bytes. The largest playlists of services, with 10,000 songs, have some 10 MB."
RECORDING = re.compile(r"musicbrainz(?:\.org/|:)recording[/:](\w{8}(?:-\w{4}){3}-\w{12})", re.IGNORECASE)
FILE = re.compile(r"file:", re.IGNORECASE)
WEB = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"A URI that is no file. One letter before the colon is a drive."
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album", "duration_s", "mbid"),
    "playlists": ("playlist_id", "title", "description", "user_id", "modified_at"),
    "playlist_tracks": ("playlist_id", "position", "track_id", "added_at"),
}


def read(path: Path, find: Callable[[Entry, Path], str | None] | None = None) -> Iterator[TablePart]:
    """Playlists by their path in the folder, their tracks, and rejects. Raises UserError where there is no playlist.

    find: the track of a music folder that an entry of the playlist at an absolute path means, if any; what the folder
    says of it is not said again here.
    """
    if not path.exists():
        raise UserError(f"{path} is missing.", "Give a folder of playlists, or one playlist.")
    root = (path if path.is_dir() else path.parent).resolve()
    files = _files(root) if path.is_dir() else [PurePosixPath(path.name)]
    if not any(file.suffix.lower() in ENDINGS for file in files):
        raise UserError(f"no playlist in {path}.", f"--path takes {DATA_SET.files}.")
    rows = Gathered(COLUMNS)
    for place in files:
        try:
            playlist = _open(root, place)
        except NoPlaylistError as error:
            rows.reject("playlists", str(place), str(error))
            continue
        title = playlist.title or spaced(place.stem)
        rows.add("playlists", str(place), title, playlist.description, playlist.creator, playlist.modified_at)
        for position, entry in enumerate(playlist.entries):
            if find is not None and (there := find(entry, root / place)) is not None:
                rows.add("playlist_tracks", str(place), position, there, entry.added_at)
                continue
            track, reason = _identify(entry, place, root)
            if track is None:
                rows.reject("playlist_tracks", str(place), reason, next(iter(entry.locations), entry.title or ""))
            else:
                rows.add("playlist_tracks", str(place), position, track, entry.added_at)
                named = track if track == recording(entry) else None
                rows.add("tracks", track, entry.title, entry.artist, entry.album, entry.duration_s, named)
            if rows.full:
                yield from rows.take()
        if playlist.broken:
            rows.reject("playlist_tracks", str(place), playlist.broken)
    yield from rows.take()


def _files(root: Path) -> list[PurePosixPath]:
    """Playlists below the folder, in order; hidden ones and linked folders are passed over."""
    found: list[PurePosixPath] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        places = (PurePosixPath(Path(folder, name).relative_to(root)) for name in names if not name.startswith("."))
        found += [place for place in places if place.suffix.lower() in ENDINGS]
    return sorted(found)


def _open(root: Path, place: PurePosixPath) -> PlaylistFile:
    """Raises NoPlaylistError."""
    file = root / place
    if text_of(str(place)) != str(place).strip():
        raise NoPlaylistError("the file's name is not UTF-8")
    if not Path(os.path.realpath(file)).is_relative_to(root):
        raise NoPlaylistError("a link that leads out of the folder")
    content = m3u.read_file(file, LARGEST)
    if not content.strip():
        raise NoPlaylistError("empty file")
    if place.suffix.lower() == ".jspf":
        return parse_jspf(content)
    return parse_xspf(content) if place.suffix.lower() == ".xspf" else _from_m3u(content, place)


def _from_m3u(content: bytes, place: PurePosixPath) -> PlaylistFile:
    playlist = m3u.parse(content, place.name)
    found = zip(playlist.entries, playlist.infos, strict=True)
    return PlaylistFile(title=playlist.title, entries=[_described(entry, info) for entry, info in found])


def _described(entry: str, info: str) -> Entry:
    """info: "SECONDS ATTRIBUTES,ARTIST - TITLE", of which any part may be missing."""
    seconds, _, label = ATTRIBUTES.sub("", info).partition(",")
    length = number_of(seconds.strip())
    artist, dash, title = label.partition(" - ")
    return Entry(
        # Its paths are no URIs: a % in them is one.
        locations=(entry if WEB.match(entry) or FILE.match(entry) else quote(entry),),
        title=text_of(title if dash else label),
        artist=text_of(artist) if dash else None,
        duration_s=length if length and 0 < length < 1e6 else None,
    )


def recording(entry: Entry) -> str | None:
    """The MusicBrainz recording that an entry's identifiers or locations name."""
    texts = (text for text in (*entry.identifiers, *entry.locations) if not FILE.match(text))
    return next((found[1].lower() for text in texts if (found := RECORDING.search(text))), None)


def _identify(entry: Entry, place: PurePosixPath, root: Path) -> tuple[str | None, str]:
    """The track's id, or None and the reason."""
    if mbid := recording(entry):
        return mbid, ""
    named = [identifier for identifier in entry.identifiers if not FILE.match(identifier)]
    if named:
        return named[0], ""
    reason = "nothing says which song it is"
    for location in entry.locations:
        if WEB.match(location):
            # Radio stations stand in M3U files like songs, but without a length.
            if entry.duration_s or place.suffix.lower() in (".xspf", ".jspf"):
                return location, ""
            return None, "a stream, not a file"
        path = re.sub(r"^file:/(?!/)", "file:///", location) if FILE.match(location) else unquote(location)
        found = locate(path, place, root)
        if PurePosixPath(path).suffix.lower() in ENDINGS:
            return None, "a playlist, not a song"
        if not isinstance(found, str):
            return str(found), ""
        reason = found
    return id_by_name(entry.artist, entry.title), reason


DATA_SET = DataSet(
    name="playlists",
    about="Your playlists as JSPF, XSPF and M3U8 (or M3U), from any player or service",
    terms="Whatever holds for the playlists you give it",
    source="Your player's or service's export; ListenBrainz gives out every playlist as JSPF",
    files="a folder with .jspf, .xspf, .m3u8 and .m3u files at any depth, or one such file",
    read=read,
)
