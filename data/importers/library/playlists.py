"""The tables that the playlists of a music folder make."""

import re
from pathlib import PurePosixPath

import polars as pl

from data.importers.playlists.locating import Library
from data.importers.playlists.m3u import parse, read_file
from data.importers.playlists.model import NoPlaylistError
from data.tables import no_rejects, reject


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
            playlist = parse(read_file(library.root / path), path.name)
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
            if re.search(r"\.(m3u8?|pls|wpl|xspf|jspf)$", entry, re.IGNORECASE):
                reason = "a playlist, not a song"
            rejects.append(reject("playlist_tracks", str(path), reason, entry))
    tables = {
        "playlists": pl.DataFrame(rows, {"playlist_id": pl.String, "title": pl.String}, orient="row"),
        "playlist_tracks": pl.DataFrame(
            songs, {"playlist_id": pl.String, "position": pl.Int32, "track_id": pl.String}, orient="row"
        ),
    }
    return tables, pl.concat(rejects)
