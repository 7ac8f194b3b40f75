"""A folder that is watched: every burst of changes leads to one call, and none is missed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.importers.library.watching import watch

PATIENCE_S = 30
TICK_S = 0.2


class Watched:
    """A watch in a thread of its own. calls: how often something had changed."""

    def __init__(self, path: Path, answers: list[bool] | None = None) -> None:
        self.calls, self.answers, self.stop = 0, answers or [], threading.Event()
        self.thread = threading.Thread(target=watch, args=(path, self._changed, self.stop, TICK_S))
        self.thread.start()

    def _changed(self) -> bool:
        self.calls += 1
        return self.answers.pop(0) if self.answers else False

    def until(self, calls: int) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.calls < calls and time.monotonic() < end:
            time.sleep(0.02)
        assert self.calls >= calls


@pytest.fixture
def watched(tmp_path):
    """`watched(path)` starts one; all end with the test."""
    started: list[Watched] = []

    def start(path: Path, answers: list[bool] | None = None) -> Watched:
        started.append(Watched(path, answers))
        started[-1].until(1)  # once for what changed before
        return started[-1]

    yield start
    for each in started:
        each.stop.set()
        each.thread.join(PATIENCE_S)
        assert not each.thread.is_alive()


@pytest.mark.parametrize(
    "change",
    [
        lambda music: (music / "new.mp3").write_bytes(b"x"),
        lambda music: (music / "a.ogg").unlink(),
        lambda music: (music / "a.ogg").rename(music / "b.ogg"),
        lambda music: (music / "list.m3u").write_text("a.ogg"),
        lambda music: (music / "album").rename(music / "other"),
    ],
)
def test_what_matters_is_told(tmp_path, watched, change: Callable[[Path], object]):
    (tmp_path / "album").mkdir()
    (tmp_path / "a.ogg").write_bytes(b"x")
    seen = watched(tmp_path)
    change(tmp_path)
    seen.until(2)


def test_what_does_not_matter_is_not(tmp_path, watched):
    seen = watched(tmp_path)
    (tmp_path / "cover.jpg").write_bytes(b"x")
    (tmp_path / ".hidden.mp3").write_bytes(b"x")
    time.sleep(5 * TICK_S)
    assert seen.calls == 1
    (tmp_path / "new.mp3").write_bytes(b"x")
    seen.until(2)


def test_whoever_wants_to_be_called_again_is(tmp_path, watched):
    seen = watched(tmp_path, [True, True, False])
    seen.until(3)
    time.sleep(5 * TICK_S)
    assert seen.calls == 3


def test_a_folder_that_goes_and_comes_again_is_watched_on(tmp_path, watched):
    music = tmp_path / "music"
    music.mkdir()
    seen = watched(music)
    music.rename(tmp_path / "unmounted")
    time.sleep(3 * TICK_S)
    before = seen.calls
    (tmp_path / "unmounted").rename(music)
    seen.until(before + 1)
    before = seen.calls
    (music / "new.mp3").write_bytes(b"x")
    seen.until(before + 1)
