"""Watch a music folder: tell when something of it has changed, until stopped.

Only that something changed is told; the scan finds out what. So nothing is lost where events are (a network disk that
knows none, a burst of more than the system keeps): the next scan sees it.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from data.importers.library.playlists import PLAYLISTS
from data.importers.library.walking import HIDDEN, MUSIC

TICK_S = 5.0
"How often is looked whether the folder is there at all, and asked again whoever wanted to be."


def watch(path: Path, changed: Callable[[], bool], stop: threading.Event | None = None, tick_s: float = TICK_S) -> None:
    """Call `changed` after each burst of changes to music, playlists or folders, and when the folder is there again.

    changed: returns whether it wants to be called again soon, as files were still being written. Ends with
    KeyboardInterrupt, or once `stop` is set.
    """
    from watchfiles import watch as bursts  # only here: nothing else needs it

    ended, again = stop or threading.Event(), True  # for what changes while the watch is set up
    while not ended.is_set():
        place = _place(path)
        if place is None:
            again = True
            ended.wait(tick_s)
            continue
        for burst in bursts(
            path,
            watch_filter=lambda _, file: _matters(Path(file)),
            stop_event=ended,
            rust_timeout=round(tick_s * 1000),
            yield_on_timeout=True,
        ):
            if _place(path) != place:
                again = True  # unmounted, moved away, or another folder by the same name: begin anew
                break
            if burst or again:
                again = changed()


def _place(path: Path) -> tuple[int, int] | None:
    """Which folder it is; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _matters(file: Path) -> bool:
    """Music and playlists, and folders, whose content comes and goes with them; a name without an ending may be one."""
    if HIDDEN.fullmatch(file.name):
        return False
    return file.suffix.lower() in MUSIC | PLAYLISTS or not file.suffix or file.is_dir()
