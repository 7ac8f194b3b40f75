"""What `data.prepare folder --listens EXPORT --playlists DIR` does: a person's files joined with their listening.

The folder, the export and the playlists are three imports, each to be brought up to date by itself. Songs of the export
are matched with those of the folder when the dataset is composed; entries of playlists are looked for where they point
first, as players write them.
"""

from dataclasses import replace
from os.path import normpath
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.library.files import read_records
from data.importers.playlists import importer as playlist_importer
from data.importers.playlists.importer import FILE, WEB
from data.importers.playlists.locating import Library, name_key
from data.importers.playlists.model import Entry
from data.importers.recognise import recognise
from data.importers.registry import DATA_SETS
from data.imports.names import import_name
from data.imports.shelf import How
from data.preparing.data_sets import data_set_coming
from data.preparing.folder import folder_coming
from data.preparing.taking import Coming, Taken, check_room, take
from data.reporting import logger
from data.storage.parquet import read_parquet
from data.storage.workspace import Workspace

log = logger(__name__)


def prepare_with_listening(
    workspace: Workspace,
    path: Path,
    listens: Path | None,
    playlists: Path | None,
    how: How = None,
    allow_gone: bool = False,
    memory: str = "1GB",
) -> Taken:
    """Import the folder, then the export, then the playlists. Raises UserError as each of them does."""
    coming = [folder_coming(workspace, path, how, allow_gone)]
    if listens is not None:
        data_set = _recognised(listens)
        coming.append(data_set_coming(workspace, data_set, listens, memory))
    if playlists is not None:
        coming += _playlists(workspace, coming[0].name, path, playlists, memory)
    check_room(workspace, [each.name for each in coming], how)
    return take(workspace, coming, how, memory)


def _recognised(listens: Path) -> DataSet:
    if not listens.exists():
        raise UserError(f"no export {listens}.", "--listens takes the file, archive or folder that a service gave out.")
    data_set = DATA_SETS[recognise(listens)]
    log.info(f"  listens     {listens}: {data_set.name}")
    return data_set


def _playlists(workspace: Workspace, folder: str, path: Path, playlists: Path, memory: str) -> list[Coming]:
    """Of a folder inside the music nothing: those playlists are the music folder's own."""
    if not playlists.exists():
        raise UserError(f"no folder {playlists}.", f"--playlists takes {playlist_importer.DATA_SET.files}.")
    if playlists.resolve().is_relative_to(path.resolve()):
        log.info(f"  playlists   {playlists} lies in {path}, whose playlists are read with it")
        return []
    found: list[_InLibrary] = []

    def find(entry: Entry, playlist: Path) -> str | None:
        if not found:  # the folder is imported by now
            found.append(_InLibrary(workspace, folder, path))
        return found[0].track(entry, playlist)

    own = replace(playlist_importer.DATA_SET, read=lambda at: playlist_importer.read(at, find))
    name = import_name({"importer": own.name, "path": str(playlists.resolve())})
    return [Coming(name, lambda known: data_set_coming(workspace, own, playlists, memory).save(known))]


class _InLibrary:
    """Finds entries of playlists that lie anywhere among the songs of an imported folder."""

    def __init__(self, workspace: Workspace, folder: str, path: Path) -> None:
        self.root = path.resolve()
        records = read_records(workspace.imports / folder).values()
        tracks = read_parquet(workspace.imports / folder / "tracks.parquet", columns=["track_id", "artist", "title"])
        self.library = Library.of(
            self.root,
            {each.path: each.track_id for each in records if each.is_song},
            {track: name_key(artist, title) for track, artist, title in tracks.iter_rows() if artist and title},
        )

    def track(self, entry: Entry, playlist: Path) -> str | None:
        """By where it points, seen from the playlist; else by the end of its path; else by its name."""
        info = f",{entry.artist} - {entry.title}" if entry.artist and entry.title else ""
        for location in entry.locations:
            if WEB.match(location):
                continue
            at = location if FILE.match(location) else unquote(location)
            seen = at if FILE.match(at) else normpath(playlist.parent / at.replace("\\", "/"))
            for text in (seen, at):
                track, _ = self.library.find(text, info, PurePosixPath("list"))
                if track is not None:
                    return track
        return None
