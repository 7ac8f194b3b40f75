"""A scan of a music folder: only files that are new or changed are opened, and a song keeps its id.

A disk that is not mounted must not delete a catalogue. So a folder that is not there or cannot be listed, and one that
has lost more than a share of its songs, is refused, unless somebody says that they are gone. What lies below a folder
inside it that cannot be listed just now stays as it was.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from data.errors import UserError
from data.importers.library.files import FileRecord
from data.importers.library.looking import PASSING, SETTLED_S, Stamp, look, stamp, unsettled
from data.importers.library.same_songs import with_ids
from data.importers.library.walking import Found, walk

GONE_SHARE = 0.2
"More of the songs than this are not gone without somebody saying so."
GONE_LEAST = 3
"Fewer songs than this may always be gone."
KEEP_EVERY_S = 15.0
"What a scan that is cut off loses at most."
ALLOW = "--allow-gone takes them out of the catalogue. Until then it stays as it is."

Records = Mapping[PurePosixPath, FileRecord]


@dataclass(frozen=True)
class Scan:
    """What a scan found. records: every file that is remembered, with its id; gone ones too."""

    found: Found
    records: list[FileRecord]
    looked: int = 0
    "Files that were opened."
    moved: Mapping[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    "Where a song is now, and where it was."
    unsettled: frozenset[PurePosixPath] = frozenset()
    "Files that changed while they were read, or vanished."
    unseen: frozenset[PurePosixPath] = frozenset()
    "Songs below a folder that could not be listed."
    gone: tuple[PurePosixPath, ...] = ()
    "Songs that were there in the scan before."

    @property
    def songs(self) -> list[FileRecord]:
        """The files that make tracks, by path."""
        return sorted((each for each in self.records if each.is_song), key=lambda each: each.path)

    def counts(self) -> dict[str, int]:
        """For the manifest."""
        return {
            "files": sum(not each.gone for each in self.records),
            "opened": self.looked,
            "moved": len(self.moved),
            "unsettled": len(self.unsettled),
            "gone": len(self.gone),
        }


def scan(
    path: Path,
    before: Records,
    prefix: str = "",
    allow_gone: bool = False,
    progress: Callable[[int, int], None] | None = None,
    settled_s: float = SETTLED_S,
    unfinished: Records | None = None,
    keep: Callable[[list[FileRecord]], None] | None = None,
) -> Scan:
    """Look through the folder again. before: what is remembered of it, by path; nothing for a first scan.

    prefix: of ids that are new. settled_s: files written to more lately than that are looked at twice. keep: called now
    and then with what was read so far; unfinished: that of a scan that was cut off, which is not read again. Raises
    UserError where there is no folder, and where too much is gone that was there, unless allow_gone.
    """
    _check_folder(path, before, allow_gone)
    root = path.resolve()
    found = walk(root)
    if PurePosixPath(".") in found.unlisted and not allow_gone:
        raise UserError(f"{path} cannot be listed.", ALLOW if before else "Give a folder that you may read.")
    stamps = {place: seen for place in found.music if (seen := stamp(root / place)) is not None}
    vanished = {place for place in found.music if place not in stamps}
    changed = {place: seen for place, seen in stamps.items() if _differs(before.get(place), seen)}
    looked = [
        record
        for place, record in (unfinished or {}).items()
        if changed.get(place) == (record.size, record.mtime_ns) and not _differs(record, changed[place])
    ]
    opened = {place: changed[place] for place in changed.keys() - {each.path for each in looked}}
    kept_at = time.monotonic()
    for record in look(root, dict(sorted(opened.items()))):
        looked.append(record)
        if progress is not None:
            progress(len(looked), len(changed))
        if keep is not None and time.monotonic() - kept_at > KEEP_EVERY_S:
            keep(looked)
            kept_at = time.monotonic()
    moving = unsettled(root, looked, settled_s) | vanished
    _check_folder(path, before, allow_gone)
    unseen = {place: record for place, record in before.items() if not record.gone and _below(place, found.unlisted)}
    waiting = {place: before[place] for place in moving if place in before and (root / place).exists()}
    still = {place: before[place] for place in stamps if place not in changed}
    now = [*still.values(), *(each for each in looked if each.path not in moving), *waiting.values(), *unseen.values()]
    named, moved = with_ids(now, before, prefix)
    scanned = _with_gone(Scan(found, named, len(opened), moved, frozenset(moving), frozenset(unseen)), before)
    if not allow_gone:
        _check_gone(path, before, scanned.gone)
    return scanned


def _check_folder(path: Path, before: Records, allow_gone: bool) -> None:
    if path.is_dir() or (before and allow_gone):
        return
    what = "not a folder" if path.exists() else "missing"
    songs = sum(each.is_song for each in before.values())
    if not songs:
        raise UserError(f"{path} is {what}.", "Give a folder of music files.")
    raise UserError(f"{path} is {what}, and {songs:,} songs with it. Is its disk mounted?", ALLOW)


def _check_gone(path: Path, before: Records, gone: tuple[PurePosixPath, ...]) -> None:
    songs = sum(each.is_song for each in before.values())
    if len(gone) >= GONE_LEAST and len(gone) > GONE_SHARE * songs:
        raise UserError(f"{len(gone):,} of {songs:,} songs are gone from {path}, such as {gone[0]}.", ALLOW)


def _differs(known: FileRecord | None, seen: Stamp) -> bool:
    """Whether a file has to be opened: it is new, changed, or could not be read for a reason that passes."""
    if known is None or known.gone or (known.size, known.mtime_ns) != seen:
        return True
    return known.reason is not None and known.reason.startswith(PASSING)


def _below(place: PurePosixPath, folders: list[PurePosixPath]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)


def _with_gone(scanned: Scan, before: Records) -> Scan:
    """With what is remembered of files that are not there, and the songs among them."""
    here = {each.path for each in scanned.records}
    songs = {each.track_id for each in scanned.records if each.is_song}
    ids = {each.track_id for each in scanned.records}
    gone = tuple(sorted(each.path for each in before.values() if each.is_song and each.track_id not in songs))
    left = [each.as_gone() for each in before.values() if each.path not in here and each.track_id not in ids]
    return replace(scanned, records=[*scanned.records, *left], gone=gone)
