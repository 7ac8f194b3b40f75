"""Work in a process of its own, so that its peak of memory is that work's alone."""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_a_child(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in a process of its own; it imports what the command imports, torch included."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def in_a_lean_child(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a process that imports the function's module and nothing else of ours.

    Arguments and result travel as JSON.
    """
    code = (
        f"import json, sys; from {function.__module__} import {function.__name__} as work; "
        "print(json.dumps(work(*json.loads(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(args)],
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return json.loads(done.stdout)


def peak_mib() -> float:
    """The most memory this process has held so far."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux's ru_maxrss begins with that of the process that started this one.
        lines = [line.split() for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM:")]
        if lines:
            return int(lines[0][1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
