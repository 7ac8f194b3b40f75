"""What a sound file is known by: its sound, whatever its name and tags and wherever it lies.

To read every file at every build would take as long as its disk takes. So a key is remembered by the file's path,
size and time of change, and read again only where one of these is another.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from data.identity.fingerprint import audio_fingerprint
from data.reporting import meter
from data.storage.atomic_files import write_text
from data.storage.hashing import short_hash

FILE = "files.json"
SHOWN = 1000
"""Files to read from which their progress is shown; fewer take a second."""


def content_keys(folder: Path, files: Sequence[Path | None]) -> list[str | None]:
    """A key of each file's sound, None where there is no file; a file that is missing or unreadable has one too.

    folder: where the keys of files that are as they were are remembered.
    """
    remembered = _read(folder / FILE)
    seen = [None if path is None else _seen_as(path) for path in files]
    unread = {key: path for key, path in zip(seen, files, strict=True) if key and path and key not in remembered}
    if unread:
        shown = meter("files", len(unread)) if len(unread) >= SHOWN else nullcontext()
        with shown as progress, ThreadPoolExecutor() as pool:  # reading and hashing let go of the GIL
            for key, sound in zip(unread, pool.map(audio_fingerprint, unread.values()), strict=True):
                if sound:  # else decoding says why there is none
                    remembered[key] = sound
                if progress is not None:
                    progress.advance()
        write_text(
            folder / FILE, json.dumps({key: remembered[key] for key in seen if key is not None and key in remembered})
        )
    return [key and remembered.get(key, key) for key in seen]


def unread(folder: Path, files: Sequence[Path | None]) -> int:
    """How many of the files `content_keys` would have to read."""
    remembered = _read(folder / FILE)
    return sum(path is not None and _seen_as(path) not in remembered for path in files)


def _seen_as(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError:
        return short_hash([str(path), None])
    return short_hash([str(path), facts.st_size, facts.st_mtime_ns])


def _read(path: Path) -> dict[str, str]:
    """What is remembered; nothing where that is damaged, as it can be read again."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
