"""Playlists and liked songs of Spotify's account data.

Liked songs become a playlist, as Spotify itself shows them: the file has no times, and a like without one has no place
in a history. Banned tracks, as timeless, are rejects.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_plus

from data.importers.formats.archives import members
from data.importers.formats.json_records import Broken, elements, moment_of, text_of
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart

PLAYLISTS = re.compile(r"Playlist\d*\.json")
LIBRARY = re.compile(r"YourLibrary\.json")
LIKED = "liked-songs"


def read_playlists(path: Path, rows: Gathered) -> Iterator[TablePart]:
    """Playlists and what is in them. Spotify gives them no ids: theirs are file and number."""
    for name, number, playlist in _elements(path, PLAYLISTS, "playlists"):
        if not isinstance(playlist, dict):
            rows.reject("playlists", name, playlist.reason if isinstance(playlist, Broken) else "not a JSON object")
            continue
        key = f"{PurePosixPath(name).stem}-{number}"
        title, about = text_of(playlist.get("name")), text_of(playlist.get("description"))
        rows.add("playlists", key, title, about, moment_of(playlist.get("lastModifiedDate")))
        items = playlist.get("items")
        for position, item in enumerate(items if isinstance(items, list) else ()):
            source = f"{name}:{key}:{position}"
            if not isinstance(item, dict):
                rows.reject("playlist_tracks", source, "not a JSON object")
            elif (track := _item(item)) is None:
                rows.reject("playlist_tracks", source, _why_no_track(item))
            else:
                rows.add("playlist_tracks", key, position, track[0], moment_of(item.get("addedDate")))
                rows.add("tracks", *track, None)
            if rows.full:
                yield from rows.take()


def read_library(path: Path, rows: Gathered) -> Iterator[TablePart]:
    """The liked songs, as the playlist LIKED."""
    position = 0
    for name, number, song in _elements(path, LIBRARY, "tracks"):
        source = f"{name}:{number}"
        track = _liked(song) if isinstance(song, dict) else None
        if track is None:
            rows.reject("playlist_tracks", source, song.reason if isinstance(song, Broken) else "no track named")
            continue
        rows.add("playlists", LIKED, "Liked Songs", None, None)
        rows.add("playlist_tracks", LIKED, position, track[0], None)
        rows.add("tracks", *track, None)
        position += 1
        if rows.full:
            yield from rows.take()
    for name, number, _ in _elements(path, LIBRARY, "bannedTracks"):
        rows.reject("listens", f"{name}:{number}", "a banned track, without a time")


def known_names(path: Path) -> dict[str, str]:
    """The URI per artist and title of everything in playlists and library; one entry a track is held in memory."""
    known: dict[str, str] = {}
    for _, _, playlist in _elements(path, PLAYLISTS, "playlists"):
        items = playlist.get("items") if isinstance(playlist, dict) else None
        for item in items if isinstance(items, list) else ():
            _learn(known, _item(item) if isinstance(item, dict) else None)
    for _, _, song in _elements(path, LIBRARY, "tracks"):
        _learn(known, _liked(song) if isinstance(song, dict) else None)
    return known


Track = tuple[str, str | None, str | None, str | None]
"Id, title, artist, album."


def _learn(known: dict[str, str], track: Track | None) -> None:
    if track is not None and (name := id_by_name(track[2], track[1])):
        known.setdefault(name, track[0])


def _elements(path: Path, files: re.Pattern[str], key: str) -> Iterator[tuple[str, int, object]]:
    """What stands under a key in these files, numbered, and what is broken in them."""
    for member in members(path, lambda name: files.fullmatch(PurePosixPath(name).name) is not None):
        with member.open() as stream:
            number = 0
            for of, element in elements(stream):
                # Under a key that is not asked for, damage is somebody else's to report.
                if of == key or (isinstance(element, Broken) and key != "bannedTracks"):
                    yield member.name, number, element
                    number += 1


def _item(item: Mapping[str, object]) -> Track | None:
    track, local = item.get("track"), item.get("localTrack")
    if isinstance(track, dict):
        names = [text_of(track.get(key)) for key in ("trackName", "artistName", "albumName")]
        return _with_id(text_of(track.get("trackUri")), *names)
    uri = text_of(local.get("uri")) if isinstance(local, dict) else None
    artist, title, album = local_names(uri)
    return _with_id(uri, title, artist, album) if (uri or "").count(":") >= 4 else None


def local_names(uri: str | None) -> tuple[str | None, str | None, str | None]:
    """Artist, title and album of a local file's address, spotify:local:ARTIST:ALBUM:TITLE:SECONDS."""
    parts = [text_of(unquote_plus(part)) for part in (uri or "").split(":")]
    local = len(parts) >= 5 and parts[:2] == ["spotify", "local"]
    return (parts[2], parts[4], parts[3]) if local else (None, None, None)


def _liked(song: Mapping[str, object]) -> Track | None:
    title, artist, album = (text_of(song.get(key)) for key in ("track", "artist", "album"))
    return _with_id(text_of(song.get("uri")), title, artist, album)


def _with_id(uri: str | None, title: str | None, artist: str | None, album: str | None) -> Track | None:
    track = uri or id_by_name(artist, title)
    return (track, title, artist, album) if track else None


def _why_no_track(item: Mapping[str, object]) -> str:
    kind = next((kind for kind in ("episode", "audiobook", "localTrack") if item.get(kind)), None)
    return {"episode": "a podcast", "audiobook": "an audiobook"}.get(kind or "", "no track named")
