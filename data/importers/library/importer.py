"""Importer "folder": a folder of music files, with the playlists in it: M3U, PLS, WPL, XSPF and JSPF."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import polars as pl

from data.errors import UserError
from data.importers.formats.file_names import guess, starts_with_number
from data.importers.library.files import FileRecord
from data.importers.library.playlists import read_playlists
from data.importers.library.scanning import Scan, scan
from data.importers.library.walking import MUSIC, Found, said
from data.importers.playlists.locating import Library
from data.tables import SCHEMAS, Imported, no_rejects, no_remarks, reject, remark


def import_folder(path: Path, progress: Callable[[int, int], None] | None = None) -> Imported:
    """Tracks of every music file under `path`, playlists of every M3U file.

    A track's id is its path in the folder; tags describe it, folder and file names where tags are silent. Each file is
    decoded at both ends: what no decoder reads is rejected, what is cut is kept and named in facts["notes"].
    progress: called with files done and files in all. Raises UserError where there is no folder or no music in it.
    """
    return as_tables(path, scan(path, {}, progress=progress, settled_s=0))


def as_tables(path: Path, scanned: Scan, prefix: str = "") -> Imported:
    """The tables that a scan of a folder makes. prefix: of playlists' ids, as of those of tracks."""
    root, found = path.resolve(), scanned.found
    if not scanned.songs and not found.music and not found.rejects:
        raise UserError(f"no music in {path}.", f"Looked for {', '.join(sorted(MUSIC))} at any depth.{said(found)}")
    numbered = _numbered_folders(each.path for each in scanned.songs)
    rows = [_track(root, each, each.path.parent in numbered) for each in scanned.songs]
    damaged = [each for each in scanned.records if each.reason is not None and not each.gone]
    rejects = [*found.rejects, *(reject("tracks", str(each.path), str(each.reason)) for each in damaged)]
    tables = {"tracks": pl.DataFrame(rows, SCHEMAS["tracks"], orient="row")}
    if found.playlists:
        more, bad = _playlists(root, scanned, rows, frozenset(each.path for each in damaged))
        tables |= {name: _prefixed(frame, prefix) for name, frame in more.items()}
        rejects.append(bad)
    notes = [f"{each.path}: {each.facts.note}" for each in scanned.songs if each.facts is not None and each.facts.note]
    decoded_by = Counter({"soundfile": 0, "av": 0})
    decoded_by.update(each.facts.decoder for each in scanned.songs if each.facts is not None)
    facts = {
        "importer": "folder",
        "path": str(root),
        "decoded_by": dict(decoded_by),
        "notes": notes,
        "simulated": False,
        "prefix": prefix,
        "scan": scanned.counts(),
    }
    return Imported(tables, pl.concat([no_rejects(), *rejects]), facts, _remarks(scanned, notes))


def _remarks(scanned: Scan, notes: list[str]) -> pl.DataFrame:
    passed = scanned.found.passed.items()
    remarks = [remark("passed over", "folder", reason, count, shown) for (reason, shown), count in passed]
    if notes:
        remarks.append(remark("read as", "tracks", "cut or damaged, kept as far as it decodes", len(notes), notes[0]))
    if scanned.unsettled:
        reason = "still being written: left for the next scan"
        remarks.append(remark("passed over", "folder", reason, len(scanned.unsettled), min(scanned.unsettled)))
    if scanned.moved:
        new, old = min(scanned.moved.items())
        remarks.append(
            remark("read as", "tracks", "moved: the same sound, the same id", len(scanned.moved), f"{old} -> {new}")
        )
    if scanned.unseen:
        reason = "kept as they were: below a folder that cannot be read"
        remarks.append(remark("read as", "tracks", reason, len(scanned.unseen), min(scanned.unseen)))
    return pl.concat([no_remarks(), *remarks])


def _playlists(
    root: Path, scanned: Scan, rows: Iterable[Mapping[str, object]], damaged: frozenset[PurePosixPath]
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    found: Found = scanned.found
    tracks = {each.path: each.track_id for each in scanned.songs}
    tracks |= {alias: tracks[place] for alias, place in found.aliases.items() if place in tracks}
    names = {
        str(row["track_id"]): f"{row['artist']} - {row['title']}" for row in rows if row["artist"] and row["title"]
    }
    library = Library.of(root, tracks, {track: " ".join(name.casefold().split()) for track, name in names.items()})
    return read_playlists(library, found.playlists, damaged)


def _prefixed(frame: pl.DataFrame, prefix: str) -> pl.DataFrame:
    return frame.with_columns(pl.lit(prefix).add(pl.col("playlist_id")).alias("playlist_id")) if prefix else frame


def _track(root: Path, record: FileRecord, numbered: bool) -> dict[str, object]:
    named = guess(record.path, numbered)
    told = {name: value or None for name, value in asdict(record.tags).items()}
    return {
        "track_id": record.track_id,
        **told,
        "title": record.tags.title or named.title,
        "artist": record.tags.artist or named.artist,
        "album": record.tags.album or named.album,
        "duration_s": None if record.facts is None else record.facts.duration_s,
        "audio_path": str((root / record.path).resolve()),
    }


def _numbered_folders(music: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """Folders in which more than half of at least three files start with a number."""
    places = list(music)
    files = Counter(place.parent for place in places)
    numbered = Counter(place.parent for place in places if starts_with_number(place.name))
    return {folder for folder, count in numbered.items() if files[folder] >= 3 and 2 * count > files[folder]}
