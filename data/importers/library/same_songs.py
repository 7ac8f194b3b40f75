"""Which file is which song, when files have moved, changed, gone and come: a song keeps its id.

A file in its place is the song it was. One in another place is the song that sounds the same and is no longer where it
was, so a song that moves, is renamed or gets other tags on the way stays itself; of several, the one with the file's
name. A copy beside the original is a song of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from data.importers.library.files import FileRecord


def with_ids(
    now: Iterable[FileRecord], before: Mapping[PurePosixPath, FileRecord], prefix: str = ""
) -> tuple[list[FileRecord], dict[PurePosixPath, PurePosixPath]]:
    """The files of now with their ids, in order; and of those that moved, where they were.

    before: what is remembered, by path. prefix: of ids that are new, so that two folders share none.
    """
    files = list(now)
    ids: dict[PurePosixPath, str] = {}
    for each in files:
        known = before.get(each.path)
        if known is not None and known.track_id and _alike(each, known):
            ids[each.path] = known.track_id
    moved = _moved([each for each in files if each.path not in ids], before, set(ids.values()))
    ids |= {path: before[old].track_id for path, old in moved.items()}
    taken = set(ids.values())
    for each in files:
        known = before.get(each.path)
        if each.path not in ids and known is not None and known.track_id and known.track_id not in taken:
            ids[each.path] = known.track_id  # in its place, if with another sound: a better copy, or a mended one
            taken.add(known.track_id)
    reserved = taken | {each.track_id for each in before.values()}
    for each in files:
        if each.path not in ids:
            ids[each.path] = _unused(f"{prefix}{each.path}", reserved)
            reserved.add(ids[each.path])
    return [replace(each, track_id=ids[each.path]) for each in files], moved


def _alike(file: FileRecord, known: FileRecord) -> bool:
    """Whether it is the file of then: untouched, or with the same sound."""
    untouched = (file.size, file.mtime_ns) == (known.size, known.mtime_ns)
    return untouched or (bool(file.fingerprint) and file.fingerprint == known.fingerprint)


def _moved(
    files: list[FileRecord], before: Mapping[PurePosixPath, FileRecord], taken: set[str]
) -> dict[PurePosixPath, PurePosixPath]:
    """Where files were that are elsewhere now. Of the songs that are left each is found once."""
    by_sound: dict[str, list[FileRecord]] = defaultdict(list)
    for known in sorted(before.values(), key=lambda each: (each.gone, each.path)):
        if known.fingerprint and known.track_id and known.track_id not in taken:
            by_sound[known.fingerprint].append(known)
    found: dict[PurePosixPath, PurePosixPath] = {}
    for same_name in (True, False):
        for each in files:
            if each.path in found or not each.fingerprint:
                continue
            left = by_sound[each.fingerprint]
            fits = [known for known in left if known.path.name == each.path.name or not same_name]
            if fits:
                found[each.path] = fits[0].path
                left.remove(fits[0])
    return found


def _unused(name: str, reserved: set[str]) -> str:
    """The name, or with a number behind it where a song that moved away has taken it along."""
    number, found = 1, name
    while found in reserved:
        number += 1
        found = f"{name} ({number})"
    return found
