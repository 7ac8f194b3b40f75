"""Importer "folder": a folder of music files, with the M3U playlists in it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import polars as pl

from data.audio.reading import AudioError, AudioFacts, probe
from data.errors import UserError
from data.importers.formats.file_names import guess, starts_with_number
from data.importers.library.tags import read_tags
from data.importers.playlists.m3u import read_playlists
from data.tables import SCHEMAS, Imported, no_rejects, reject

MUSIC = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac"})
PLAYLISTS = frozenset({".m3u", ".m3u8"})
PROBES = 2
"Files decoded at a time; both decoders release the GIL."


@dataclass(frozen=True)
class _Found:
    """What a walk over the library turns up; all paths relative to it."""

    music: list[PurePosixPath]
    aliases: dict[PurePosixPath, PurePosixPath]
    "Links to music inside the library, and the music they lead to."
    playlists: list[PurePosixPath]
    rejects: list[pl.DataFrame]


def import_folder(path: Path, progress: Callable[[int, int], None] | None = None) -> Imported:
    """Tracks of every music file under `path`, playlists of every M3U file.

    A track's id is its path in the folder; tags describe it, folder and file names where tags are silent. Each file is
    decoded at both ends: what no decoder reads is rejected, what is cut is kept and named in facts["notes"].
    progress: called with files done and files in all. Raises UserError where there is no folder or no music in it.
    """
    if not path.is_dir():
        raise UserError(f"{path} is {'not a folder' if path.exists() else 'missing'}.", "Give a folder of music files.")
    root = path.resolve()
    found = _walk(root)
    if not found.music and not found.rejects:
        raise UserError(f"no music in {path}.", f"Looked for {', '.join(sorted(MUSIC))} at any depth.")
    numbered = _numbered_folders(found.music)
    rows: list[dict[str, object]] = []
    rejects, notes, decoded_by = list(found.rejects), [], Counter({"soundfile": 0, "av": 0})
    damaged: set[PurePosixPath] = set()
    for done, (place, facts) in enumerate(_probe_all(root, found.music), start=1):
        if isinstance(facts, AudioFacts):
            rows.append(_track(root, place, facts, place.parent in numbered))
            decoded_by[facts.decoder] += 1
            notes += [f"{place}: {facts.note}"] if facts.note else []
        else:
            damaged.add(place)
            rejects.append(reject("tracks", str(place), facts))
        if progress is not None:
            progress(done, len(found.music))
    tables = {"tracks": pl.DataFrame(rows, SCHEMAS["tracks"], orient="row")}
    if found.playlists:
        tracks = {place: str(place) for place in found.music if place not in damaged}
        tracks |= {alias: tracks[place] for alias, place in found.aliases.items() if place in tracks}
        more, bad = read_playlists(root, found.playlists, tracks, frozenset(damaged))
        tables |= more
        rejects.append(bad)
    facts_ = {
        "importer": "folder",
        "path": str(root),
        "decoded_by": dict(decoded_by),
        "notes": notes,
        "simulated": False,
    }
    return Imported(tables, pl.concat([no_rejects(), *rejects]), facts_)


def _walk(root: Path) -> _Found:
    found = _Found([], {}, [], [])
    links: list[PurePosixPath] = []
    for folder, folders, names in os.walk(root):
        # os.walk does not go into linked folders; those that stay inside are met under their own name anyway.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder, name)
            place, suffix = PurePosixPath(file.relative_to(root)), file.suffix.lower()
            if suffix not in MUSIC | PLAYLISTS:
                continue
            if not str(place).isprintable() and not _encodable(str(place)):
                shown = os.fsencode(place).decode("utf-8", "replace")
                found.rejects.append(reject("tracks", shown, "the file's name is not UTF-8"))
            elif file.is_symlink():
                links.append(place)
            else:
                (found.music if suffix in MUSIC else found.playlists).append(place)
    _follow(root, links, found)
    found.music.sort()
    found.playlists.sort()
    return found


def _follow(root: Path, links: list[PurePosixPath], found: _Found) -> None:
    """Links to files inside the library: a second name of a song already found, or the only visible one."""
    by_target = {Path(root, place): place for place in found.music}
    for link in links:
        target = Path(os.path.realpath(root / link))
        if not target.is_relative_to(root):
            found.rejects.append(reject("tracks", str(link), "a link that leads out of the folder"))
        elif link.suffix.lower() in PLAYLISTS:
            found.playlists.append(link)
        elif target in by_target:
            found.aliases[link] = by_target[target]
        else:
            by_target[target] = link
            found.music.append(link)


def _probe_all(root: Path, music: list[PurePosixPath]) -> Iterator[tuple[PurePosixPath, AudioFacts | str]]:
    """Every file with its facts, or the reason why there are none; in order."""

    def look(place: PurePosixPath) -> AudioFacts | str:
        try:
            return probe(root / place)
        except AudioError as error:
            return error.reason
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    pool = ThreadPoolExecutor(PROBES)
    try:
        yield from zip(music, pool.map(look, music), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for the rest of the library


def _track(root: Path, place: PurePosixPath, facts: AudioFacts, numbered: bool) -> dict[str, object]:
    file = (root / place).resolve()
    tags, named = read_tags(file), guess(place, numbered)
    return {
        "track_id": str(place),
        "title": tags.title or named.title,
        "artist": tags.artist or named.artist,
        "album": tags.album or named.album,
        "genres": tags.genres or None,
        "tags": tags.tags or None,
        "language": tags.language,
        "description": tags.description,
        "release_date": tags.release_date,
        "duration_s": facts.duration_s,
        "audio_path": str(file),
    }


def _numbered_folders(music: list[PurePosixPath]) -> set[PurePosixPath]:
    """Folders in which more than half of at least three files start with a number."""
    files = Counter(place.parent for place in music)
    numbered = Counter(place.parent for place in music if starts_with_number(place.name))
    return {folder for folder, count in numbered.items() if files[folder] >= 3 and 2 * count > files[folder]}


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
