"""What child processes are made to do, in a module that imports next to nothing."""

import sys
from importlib import import_module

from eval.bench.children import peak_mib


def held(mib: int) -> float:
    """The peak of a process that fills `mib` MiB."""
    ballast = bytearray(b"x") * (mib << 20)
    return peak_mib() if ballast else 0.0


def also_loaded(work: str, names: list[str]) -> list[str]:
    """Which of `names` a module brings along."""
    import_module(work)
    return [name for name in names if name in sys.modules]
