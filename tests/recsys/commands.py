"""Run our commands as processes, the way a person does, without paying for their imports every time."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FAST = Path(__file__).with_name("fast.py")
LONGEST_S = 240
"A command that takes longer hangs."


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    folder: Path

    def wait(self) -> Result:
        """Its exit code (-9: killed) and what it printed."""
        deadline = time.monotonic() + LONGEST_S
        while not (self.folder / "code").exists():
            assert time.monotonic() < deadline, f"still running:\n{(self.folder / 'err').read_text()}"
            time.sleep(0.02)
        return Result(int((self.folder / "code").read_text()), *((self.folder / n).read_text() for n in ("out", "err")))


class Commands:
    """Runs commands of ours in forks of one process whose settings are tiny; see fast.py."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self.server = subprocess.Popen([sys.executable, str(FAST)], stdin=subprocess.PIPE, text=True, env=environment)
        self.folder = tempfile.TemporaryDirectory(prefix="commands-")
        self.count = 0

    def start(self, module: str, *arguments: object, die: tuple[str, str] | None = None) -> Running:
        """`python -m MODULE ARGUMENTS` in a process of its own. die: ("before" or "after", pattern of a path)."""
        self.count += 1
        folder = Path(self.folder.name) / str(self.count)
        folder.mkdir()
        task = {"module": module, "arguments": [str(each) for each in arguments], "folder": str(folder), "die": die}
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        return Running(folder)

    def run(self, module: str, *arguments: object, die: tuple[str, str] | None = None) -> Result:
        """Start a command and wait for its end."""
        return self.start(module, *arguments, die=die).wait()

    def close(self) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=30)
        self.folder.cleanup()
