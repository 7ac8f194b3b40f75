"""JSPF: XSPF's fields as JSON, with ListenBrainz's extensions (dates, MusicBrainz ids). wiki.xiph.org/JSPF."""

import json
from collections.abc import Mapping

from data.importers.formats.json_records import moment_of, number_of, text_of
from data.importers.playlists.model import Entry, NoPlaylistError, PlaylistFile

OF_LIST = "https://musicbrainz.org/doc/jspf#playlist"
OF_TRACK = "https://musicbrainz.org/doc/jspf#track"


def parse_jspf(content: bytes) -> PlaylistFile:
    """Raises NoPlaylistError."""
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NoPlaylistError("not JSON, or cut") from error
    playlist = found.get("playlist") if isinstance(found, dict) else None
    if not isinstance(playlist, dict):
        raise NoPlaylistError('no "playlist" in it')
    tracks = playlist.get("track")
    return PlaylistFile(
        title=text_of(playlist.get("title")),
        description=text_of(playlist.get("annotation")),
        creator=text_of(playlist.get("creator")),
        modified_at=moment_of(_extension(playlist, OF_LIST).get("last_modified_at")) or moment_of(playlist.get("date")),
        entries=[_entry(track if isinstance(track, dict) else {}) for track in tracks if track is not None]
        if isinstance(tracks, list)
        else [],
    )


def _entry(track: Mapping[str, object]) -> Entry:
    length = number_of(track.get("duration"))
    return Entry(
        locations=_texts(track.get("location")),
        identifiers=_texts(track.get("identifier")),
        title=text_of(track.get("title")),
        artist=text_of(track.get("creator")),
        album=text_of(track.get("album")),
        duration_s=length / 1000 if length and 0 < length < 1e9 else None,
        added_at=moment_of(_extension(track, OF_TRACK).get("added_at")),
    )


def _texts(value: object) -> tuple[str, ...]:
    """One string or several, as both are written."""
    values = value if isinstance(value, list) else [value]
    return tuple(text for one in values if (text := text_of(one)))


def _extension(of: Mapping[str, object], key: str) -> Mapping[str, object]:
    extensions = of.get("extension")
    found = extensions.get(key) if isinstance(extensions, dict) else None
    # The format asks for a list of bodies, ListenBrainz writes the body itself.
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, dict) else {}
