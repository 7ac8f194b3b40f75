"""Sessions as one writes them in pandas. This module imports pandas alone, so that its memory is pandas' own."""

import time
from importlib import import_module
from pathlib import Path

import numpy as np

from eval.bench.children import peak_mib


def pandas_sessions(folder: str, gap_seconds: float) -> tuple[float, float, int]:
    """Seconds, the process's peak in MiB, and the number of sessions. Columns in and out are .npy files."""
    pandas = import_module("pandas")
    started = time.perf_counter()
    names = ("user", "track", "listened_at")
    listens = pandas.DataFrame({name: np.load(Path(folder) / f"{name}.npy") for name in names}, copy=False)
    listens = listens.sort_values(["user", "listened_at"], kind="stable", ignore_index=True)
    late = listens["listened_at"].diff() > pandas.Timedelta(seconds=gap_seconds)
    listens["session"] = ((listens["user"] != listens["user"].shift()) | late).cumsum() - 1
    listens["place"] = listens.groupby("session").cumcount()
    for name in listens:
        np.save(Path(folder) / f"sorted_{name}.npy", listens[name].to_numpy())
    return time.perf_counter() - started, peak_mib(), int(listens["session"].iloc[-1]) + 1
