"""The tables that the playlists of a music folder make."""

from pathlib import PurePosixPath

import polars as pl

from data.importers.formats.file_names import spaced
from data.importers.playlists.jspf import parse_jspf
from data.importers.playlists.locating import Library
from data.importers.playlists.m3u import Playlist, decodings, parse_text, read_file
from data.importers.playlists.model import NoPlaylistError, PlaylistFile
from data.importers.playlists.xspf import parse_xspf
from data.tables import no_rejects, reject

PLAYLISTS = frozenset({".m3u", ".m3u8", ".pls", ".wpl", ".xspf", ".jspf"})


def read_playlists(
    library: Library, playlists: list[PurePosixPath], damaged: frozenset[PurePosixPath]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Tables `playlists` and `playlist_tracks`, and rejects: a file that cannot be read costs no other one.

    damaged: music files that were rejected themselves.
    """
    rows: list[tuple[str, str]] = []
    songs: list[tuple[str, int, str]] = []
    rejects = [no_rejects()]
    for path in playlists:
        try:
            playlist = _best(library, read_file(library.root / path), path)
        except NoPlaylistError as error:
            rejects.append(reject("playlists", str(path), str(error)))
            continue
        rows.append((str(path), playlist.title))
        for position, (entry, info) in enumerate(zip(playlist.entries, playlist.infos, strict=True)):
            track, place = library.find(entry, info, path)
            if track is not None:
                songs.append((str(path), position, track))
                continue
            reason = (
                place if isinstance(place, str) else "the file was rejected" if place in damaged else "no such track"
            )
            if PurePosixPath(entry).suffix.lower() in PLAYLISTS:
                reason = "a playlist, not a song"
            rejects.append(reject("playlist_tracks", str(path), reason, entry))
    tables = {
        "playlists": pl.DataFrame(rows, {"playlist_id": pl.String, "title": pl.String}, orient="row"),
        "playlist_tracks": pl.DataFrame(
            songs, {"playlist_id": pl.String, "position": pl.Int32, "track_id": pl.String}, orient="row"
        ),
    }
    return tables, pl.concat(rejects)


def _best(library: Library, content: bytes, path: PurePosixPath) -> Playlist:
    """The playlist in the encoding in which most of its songs are found. Raises NoPlaylistError."""
    kind = path.suffix.lower()
    if kind in (".xspf", ".jspf"):
        return _of_entries(parse_xspf(content) if kind == ".xspf" else parse_jspf(content), path)
    tried = [parse_text(text, path.name) for text in decodings(content)]
    if len(tried) == 1:
        return tried[0]

    def found(playlist: Playlist) -> int:
        entries = zip(playlist.entries, playlist.infos, strict=True)
        return sum(library.find(entry, info, path)[0] is not None for entry, info in entries)

    return max(tried, key=found)


def _of_entries(file: PlaylistFile, path: PurePosixPath) -> Playlist:
    """A parsed XSPF or JSPF as lines."""
    entries = [next(iter(entry.locations), "") for entry in file.entries]
    infos = [f"-1,{entry.artist} - {entry.title}" if entry.artist and entry.title else "" for entry in file.entries]
    return Playlist(file.title or spaced(path.stem), entries, infos)
