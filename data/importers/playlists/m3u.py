"""M3U playlists: which songs of the library do they name?"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import polars as pl

from data.importers.formats.file_names import spaced
from data.tables import no_rejects, reject


@dataclass(frozen=True)
class Playlist:
    """A playlist file as it stands: its title, and its entries in order."""

    title: str
    entries: list[str]
    infos: list[str]
    "Per entry what the #EXTINF line before it says, empty where there is none."


def parse(content: bytes, name: str) -> Playlist:
    """Entries of an M3U file, comments left out. name: of the file, the title where no #PLAYLIST gives one."""
    lines = [line.strip() for line in _decode(content).splitlines()]
    titles = [line.partition(":")[2].strip() for line in lines if line.upper().startswith("#PLAYLIST:")]
    entries: list[str] = []
    infos: list[str] = []
    info = ""
    for line in lines:
        if line.upper().startswith("#EXTINF:"):
            info = line.partition(":")[2].strip()
        elif line and not line.startswith("#"):
            entries.append(line)
            infos.append(info)
            info = ""
    return Playlist(next(filter(None, titles), None) or spaced(PurePosixPath(name).stem), entries, infos)


def locate(entry: str, playlist: PurePosixPath, root: Path) -> PurePosixPath | str:
    """Where an entry points inside the library, or the reason why it does not. Never touches the disk.

    playlist: path of the M3U file relative to root. root: the library, absolute.
    """
    if re.match(r"file://", entry, re.IGNORECASE):
        try:
            entry = unquote(urlsplit(entry).path)
        except ValueError:  # "file://[": half an address
            return "outside the folder"
    elif re.match(r"\w{2,}://", entry):
        return "a stream, not a file"
    if "\\" in entry and "/" not in entry:
        entry = entry.replace("\\", "/")
    if re.match(r"[A-Za-z]:/", entry):
        return "outside the folder"
    place, top = PurePosixPath(normpath(root / playlist.parent / entry)), PurePosixPath(root)
    return place.relative_to(top) if place.is_relative_to(top) and place != top else "outside the folder"


def read_playlists(
    root: Path, playlists: list[PurePosixPath], tracks: Mapping[PurePosixPath, str], damaged: frozenset[PurePosixPath]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Tables `playlists` and `playlist_tracks`, and rejects.

    tracks: every path that leads to a track, and its id. damaged: music files that were rejected themselves.
    """
    rows: list[tuple[str, str]] = []
    songs: list[tuple[str, int, str]] = []
    rejects = [no_rejects()]
    folded = {_folded(path): track for path, track in tracks.items()}
    for path in playlists:
        playlist = parse((root / path).read_bytes(), path.name)
        rows.append((str(path), playlist.title))
        for position, entry in enumerate(playlist.entries):
            place = locate(entry, path, root)
            track = None if isinstance(place, str) else tracks.get(place) or folded.get(_folded(place))
            if track is not None:
                songs.append((str(path), position, track))
                continue
            reason = (
                place if isinstance(place, str) else "the file was rejected" if place in damaged else "no such track"
            )
            rejects.append(reject("playlist_tracks", str(path), reason, entry))
    tables = {
        "playlists": pl.DataFrame(rows, {"playlist_id": pl.String, "title": pl.String}, orient="row"),
        "playlist_tracks": pl.DataFrame(
            songs, {"playlist_id": pl.String, "position": pl.Int32, "track_id": pl.String}, orient="row"
        ),
    }
    return tables, pl.concat(rejects)


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _folded(path: PurePosixPath) -> str:
    """The path as Windows and macOS compare it, whose playlists differ from the disk in case or Unicode form."""
    return unicodedata.normalize("NFC", str(path)).casefold()
