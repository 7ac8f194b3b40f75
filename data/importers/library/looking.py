"""Look into files: what decodes, what the tags say, how it sounds; and which of them are still being written."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from data.audio.reading import AudioError, probe
from data.identity.fingerprint import audio_fingerprint
from data.importers.library.files import FileRecord
from data.importers.library.tags import read_tags

SETTLED_S = 2.0
"A file that was written to less than this before it was read may grow on: it is looked at once more."
PROBES = 2
"Files decoded at a time; both decoders release the GIL."
PASSING = "cannot be read ("
"Of a reason that lies with the machine and not with the file: it is read again the next time."

Stamp = tuple[int, int]
"Size and time of change."


def stamp(file: Path) -> Stamp | None:
    """None where the file is not there, or may not be looked at."""
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def look(root: Path, places: Mapping[PurePosixPath, Stamp]) -> Iterator[FileRecord]:
    """What there is to know of each file, in order; its id is not."""

    def one(place: PurePosixPath) -> FileRecord:
        file, (size, mtime_ns) = root / place, places[place]
        try:
            facts = probe(file)
            return FileRecord(place, size, mtime_ns, audio_fingerprint(file), facts, None, read_tags(file.resolve()))
        except AudioError as error:
            return FileRecord(place, size, mtime_ns, reason=error.reason)
        except OSError as error:
            return FileRecord(place, size, mtime_ns, reason=f"{PASSING}{error.strerror})")

    pool = ThreadPoolExecutor(PROBES)
    try:
        yield from pool.map(one, places)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for the rest of the library


def unsettled(root: Path, records: Iterable[FileRecord], settled_s: float = SETTLED_S) -> set[PurePosixPath]:
    """Files that are not, after a while, as they were before they were read. Waits `settled_s` at most."""
    looked = list(records)
    now = time.time_ns()
    ages = [now - each.mtime_ns for each in looked]  # below 0: a clock was set back, and waiting shows nothing
    fresh = [age for age in ages if 0 <= age < settled_s * 1e9]
    if fresh:
        time.sleep(settled_s - min(fresh) / 1e9)
    return {each.path for each in looked if stamp(root / each.path) != (each.size, each.mtime_ns)}
