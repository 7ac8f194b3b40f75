"""Importer "folder": a folder of music files, with the playlists in it: M3U, PLS, WPL, XSPF and JSPF."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from data.audio.reading import AudioError, AudioFacts, probe
from data.errors import UserError
from data.importers.formats.file_names import guess, starts_with_number
from data.importers.library.playlists import PLAYLISTS, read_playlists
from data.importers.library.tags import read_tags
from data.importers.playlists.locating import Library
from data.tables import SCHEMAS, Imported, no_rejects, no_remarks, reject, remark

ENDINGS = (
    "wav flac ogg oga opus mp3 m4a aac aiff aif aifc wma ape wv tta m4b mp2 mpga webm mka dsf dff mpc spx w64 caf au "
    "ac3 mp4 asf"
)
MUSIC = frozenset(f".{ending}" for ending in ENDINGS.split())
"Endings that either decoder reads sound of."
TOLD = {".cue": "cue sheets are not read: an album in one file is one track"}
"What is said of files that are passed over, by their ending."
NOT_MUSIC = re.compile(
    r"\.trash.*|\$recycle\.bin|trash|#recycle|@eadir|\.?snapshots?|\.zfs|\.stversions|\.sync|lost\+found|__macosx"
    r"|system volume information|\.appledouble|\.spotlight-v100|\.fseventsd|\.temporaryitems|\.documentrevisions-v100"
    r"|\.git|\.cache|\.thumbnails|\.dropbox\.cache|\.stfolder",
    re.IGNORECASE,
)
"Folders of bins, snapshots and systems: what lies there is gone, old, or no music."
HIDDEN = re.compile(r"\.[^.\d\s].*")
"Names that are hidden on purpose. Those of `...And Justice for All` and `.5: The Gray Chapter` are not."
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
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    "Reason and first example -> files or folders that are passed over."
    examples: dict[str, str] = field(default_factory=dict)

    def pass_over(self, reason: str, example: object) -> None:
        """Count something that is not imported."""
        self.passed[reason, self.examples.setdefault(reason, str(example))] += 1


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
        raise UserError(f"no music in {path}.", f"Looked for {', '.join(sorted(MUSIC))} at any depth.{_said(found)}")
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
        names = {
            str(row["track_id"]): f"{row['artist']} - {row['title']}" for row in rows if row["artist"] and row["title"]
        }
        library = Library.of(root, tracks, {track: " ".join(name.casefold().split()) for track, name in names.items()})
        more, bad = read_playlists(library, found.playlists, frozenset(damaged))
        tables |= more
        rejects.append(bad)
    facts_ = {
        "importer": "folder",
        "path": str(root),
        "decoded_by": dict(decoded_by),
        "notes": notes,
        "simulated": False,
    }
    remarks = [remark("passed over", "folder", reason, count, shown) for (reason, shown), count in found.passed.items()]
    damage = [note.partition(": ")[2] for note in notes]
    if damage:
        remarks.append(remark("read as", "tracks", "cut or damaged, kept as far as it decodes", len(damage), notes[0]))
    return Imported(tables, pl.concat([no_rejects(), *rejects]), facts_, pl.concat([no_remarks(), *remarks]))


def _said(found: _Found) -> str:
    """What was there instead of music."""
    told = [f"{count:,} x {reason}" for (reason, _), count in found.passed.most_common(3)]
    return f" Passed over: {'; '.join(told)}." if told else ""


def _walk(root: Path) -> _Found:
    found = _Found([], {}, [], [])
    links: list[PurePosixPath] = []

    def unreadable(error: OSError) -> None:
        shown = os.path.relpath(str(error.filename), root)
        found.pass_over(f"a folder that cannot be read ({error.strerror})", shown)

    for folder, folders, names in os.walk(root, onerror=unreadable):
        inside = []
        for name in sorted(folders):
            place = PurePosixPath(Path(folder, name).relative_to(root))
            if NOT_MUSIC.fullmatch(name):
                found.pass_over("folders of bins, snapshots and systems", place)
            elif HIDDEN.fullmatch(name):
                found.pass_over("hidden folders", place)
            elif Path(folder, name).is_symlink():
                # Those that stay inside are met under their own name anyway.
                if not Path(os.path.realpath(root / place)).is_relative_to(root):
                    found.pass_over("links to folders outside", place)
            else:
                inside.append(name)
        folders[:] = inside
        for name in sorted(names):
            _sort(root, PurePosixPath(Path(folder, name).relative_to(root)), found, links)
    _follow(root, links, found)
    found.music.sort()
    found.playlists.sort()
    return found


def _sort(root: Path, place: PurePosixPath, found: _Found, links: list[PurePosixPath]) -> None:
    """Put one file where it belongs."""
    suffix = place.suffix.lower()
    if suffix not in MUSIC | PLAYLISTS:
        kind = f"files that end in {suffix}" if suffix else "files without an ending"
        found.pass_over(TOLD.get(suffix, kind), place)
    elif place.name.startswith("._"):
        found.pass_over("what macOS keeps beside a file (._*)", place)
    elif HIDDEN.fullmatch(place.name):
        found.pass_over("hidden files", place)
    elif not str(place).isprintable() and not _encodable(str(place)):
        shown = os.fsencode(place).decode("utf-8", "replace")
        found.rejects.append(reject("tracks", shown, "the file's name is not UTF-8"))
    elif (root / place).is_symlink():
        links.append(place)
    else:
        (found.music if suffix in MUSIC else found.playlists).append(place)


def _follow(root: Path, links: list[PurePosixPath], found: _Found) -> None:
    """Links to files inside the library: a second name of a song already found, or the only visible one."""
    by_target = {Path(root, place): place for place in found.music}
    for link in links:
        target = Path(os.path.realpath(root / link))
        table = "playlists" if link.suffix.lower() in PLAYLISTS else "tracks"
        if not target.is_relative_to(root):
            found.rejects.append(reject(table, str(link), "a link that leads out of the folder"))
        elif not target.exists():
            found.rejects.append(reject(table, str(link), "a link that leads nowhere"))
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
        "mbid": tags.mbid,
        "isrc": tags.isrc,
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
