"""Which importer reads an export of somebody's listening? Its files' names tell, and where these may be anybody's, what
their first lines hold."""

import re
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

from data.errors import UserError
from data.importers.accounts import apple_music, lastfm, listenbrainz, spotify_account, spotify_history, youtube_music
from data.importers.formats.archives import Member, members
from data.importers.formats.json_records import elements, lines
from data.importers.playlists import importer as playlists

MOST_FILES = 10_000
"Files of an export that are looked at: a dump of everybody's listens has its first among them."
HEAD = 1 << 16
"Bytes of a table in which it must show that it holds scrobbles."
LISTENS_OF_LISTENBRAINZ = re.compile(r"(?:.*/)?listens/.*\.jsonl|.*\.listens|(?:.*/)?[^/]*_lb-[^/]*\.json")
LOOKED_FOR = {
    "spotify-history": "Streaming_History_Audio_*.json, endsong_*.json, StreamingHistory*.json, Playlist*.json",
    "apple-music": apple_music.ACTIVITY,
    "youtube-music": "watch-history.json or .html, music-library-songs.csv",
    "listenbrainz": "listens/YEAR/MONTH.jsonl, *.listens, NAME_lb-DATE.json",
    "lastfm": "a CSV or TSV with artist, track and time, .scrobbler.log",
    "playlists": ", ".join(f"*{ending}" for ending in playlists.ENDINGS),
}
"Importers, and by which files they are known."


def recognise(path: Path) -> str:
    """The importer's name, as the registry has it, for a file, a folder, or an archive.

    An export of a service is taken before tables and playlists beside it. Raises UserError where nothing is there,
    where none is known by what is there, and where there are the exports of two services.
    """
    found: dict[str, str] = {}
    for member in islice(members(path, lambda name: True), MOST_FILES):
        for importer, fits in OF_SERVICES.items():
            if importer not in found and fits(member):
                found[importer] = member.name
    if len(found) > 1:
        there = ", ".join(f"{importer} ({name})" for importer, name in found.items())
        raise UserError(f"{path} holds exports of several services: {there}.", "Give the folder or file of one.")
    if found:
        return next(iter(found))
    if _has_log(path) or any(_is_scrobbles(member) for member in islice(members(path, _is_table), MOST_FILES)):
        return lastfm.DATA_SET.name
    if any(True for _ in members(path, _is_playlist)):
        return playlists.DATA_SET.name
    known = "; ".join(f"{importer}: {files}" for importer, files in LOOKED_FOR.items())
    raise UserError(f"{path} is no export of listening that is known.", f"Looked for {known}.")


def _of_spotify(member: Member) -> bool:
    name = PurePosixPath(member.name).name
    of_account = (spotify_account.PLAYLISTS, spotify_account.LIBRARY)
    return any(files.fullmatch(name) for files in (spotify_history.EXTENDED, spotify_history.SHORT, *of_account))


def _of_apple(member: Member) -> bool:
    """Apple packs zips into its zip."""
    name = PurePosixPath(member.name).name
    return name in (apple_music.ACTIVITY, apple_music.DAILY, apple_music.LIBRARY) or (
        name.lower().endswith(".zip") and "apple" in name.lower()
    )


def _of_youtube(member: Member) -> bool:
    name = PurePosixPath(member.name).name
    return any(files.fullmatch(name) for files in (youtube_music.HISTORY, youtube_music.LIBRARY))


def _of_listenbrainz(member: Member) -> bool:
    """By its name, else by its first record: the file of an export may be called anything."""
    if LISTENS_OF_LISTENBRAINZ.fullmatch(member.name):
        return True
    suffix = PurePosixPath(member.name).suffix
    if suffix not in (".json", ".jsonl"):
        return False
    with member.open() as stream:
        _, record = next(elements(stream) if suffix == ".json" else lines(stream), ("", None))
    return isinstance(record, dict) and "track_metadata" in record


OF_SERVICES: Mapping[str, Callable[[Member], bool]] = {
    spotify_history.DATA_SET.name: _of_spotify,
    apple_music.DATA_SET.name: _of_apple,
    youtube_music.DATA_SET.name: _of_youtube,
    listenbrainz.DATA_SET.name: _of_listenbrainz,
}


def _has_log(path: Path) -> bool:
    """Rockbox hides its log, and hidden files are no members."""
    if path.is_dir():
        return any(True for _ in path.rglob(".scrobbler*.log"))
    return lastfm.LOG.fullmatch(path.name) is not None


def _is_table(name: str) -> bool:
    return name.lower().endswith(lastfm.TABLES) or lastfm.LOG.fullmatch(PurePosixPath(name).name) is not None


def _is_scrobbles(member: Member) -> bool:
    with member.open() as stream:
        head = stream.read(HEAD)
    whole = head if len(head) < HEAD else head[: head.rfind(b"\n") + 1]
    return lastfm.is_scrobbles(whole, member.name)


def _is_playlist(name: str) -> bool:
    return name.lower().endswith(playlists.ENDINGS)
