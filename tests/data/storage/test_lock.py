"""The lock of a workspace: one process builds at a time."""

import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data.storage.workspace import Workspace

PATIENCE_S = 30
LOCK = """
import sys
from pathlib import Path
from data.storage.workspace import Workspace

with Workspace(Path(sys.argv[1])).lock():
    print("inside", flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


@contextmanager
def builder(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that takes the lock, says so, and keeps it until it gets a line."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", LOCK, str(root)], text=True, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


class TestLock:
    @pytest.mark.parametrize("end", ["leaves", "is killed"])
    def test_a_second_process_says_so_and_waits_until_the_first(self, tmp_path, end):
        with builder(tmp_path / "space") as first:
            assert first.stdout.readline() == "inside\n"
            with builder(tmp_path / "space") as second:
                said = second.stderr.readline()
                assert "waiting" in said
                assert str(tmp_path / "space") in said
                assert not select.select([second.stdout], [], [], 0.3)[0]
                if end == "leaves":
                    first.stdin.write("\n")
                    first.stdin.flush()
                else:
                    first.send_signal(signal.SIGKILL)
                first.wait(PATIENCE_S)
                out, _ = second.communicate("\n", PATIENCE_S)
                assert out == "inside\nleft\n"

    def test_two_workspaces_do_not_wait_for_each_other(self, tmp_path):
        with builder(tmp_path / "x") as first, builder(tmp_path / "y") as second:
            assert [first.stdout.readline(), second.stdout.readline()] == ["inside\n"] * 2

    def test_a_step_inside_a_step_does_not_wait_for_itself(self, tmp_path):
        space = Workspace(tmp_path)
        with space.lock(), Workspace(tmp_path).lock(), builder(tmp_path) as other:
            # The inner one is the same lock: others still wait for it.
            assert str(tmp_path) in other.stderr.readline()

    def test_an_error_lets_go(self, tmp_path):
        with pytest.raises(RuntimeError), Workspace(tmp_path).lock():
            raise RuntimeError
        with builder(tmp_path) as other:
            assert other.stdout.readline() == "inside\n"
