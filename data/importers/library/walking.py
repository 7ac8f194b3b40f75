"""What a walk over a folder of music turns up: its music, its playlists, and what is passed over, with the reason."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import polars as pl

from data.importers.library.playlists import PLAYLISTS
from data.tables import reject

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


@dataclass(frozen=True)
class Found:
    """What a walk over the library turns up; all paths relative to it."""

    music: list[PurePosixPath]
    aliases: dict[PurePosixPath, PurePosixPath]
    "Links to music inside the library, and the music they lead to."
    playlists: list[PurePosixPath]
    rejects: list[pl.DataFrame]
    unlisted: list[PurePosixPath] = field(default_factory=list)
    "Folders that could not be listed: what lies below them is not known to be gone."
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    "Reason and first example -> files or folders that are passed over."
    examples: dict[str, str] = field(default_factory=dict)

    def pass_over(self, reason: str, example: object) -> None:
        """Count something that is not imported."""
        self.passed[reason, self.examples.setdefault(reason, str(example))] += 1


def said(found: Found) -> str:
    """What was there instead of music."""
    told = [f"{count:,} x {reason}" for (reason, _), count in found.passed.most_common(3)]
    return f" Passed over: {'; '.join(told)}." if told else ""


def walk(root: Path) -> Found:
    """Look through the folder, in order. root: resolved."""
    found = Found([], {}, [], [])
    links: list[PurePosixPath] = []

    def unreadable(error: OSError) -> None:
        shown = PurePosixPath(os.path.relpath(str(error.filename), root))
        found.unlisted.append(shown)
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


def _sort(root: Path, place: PurePosixPath, found: Found, links: list[PurePosixPath]) -> None:
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


def _follow(root: Path, links: list[PurePosixPath], found: Found) -> None:
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


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
