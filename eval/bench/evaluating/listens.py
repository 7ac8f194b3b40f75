"""Made-up listens by the million, and their sessions by ours and by pandas, each to run in a lean child."""

import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from data.listening.sessions import write_sessions
from data.storage.duckdb_query import connect
from data.storage.parquet import read_parquet, scan_parquet
from eval.bench.children import peak_mib

LANES = 1000
"Listeners who play at the same time, so that the rows of one lie far apart, as in a service's log."
LOG = """
WITH plays AS (
    SELECT i, i % $lanes AS lane, i // $lanes AS turn, hash(i) AS noise FROM range($rows) t(i)
)
SELECT
    ((hash(lane, turn // 15) / 18446744073709551616.0) ** 2 * $rows / 200)::INTEGER AS "user",
    ((noise / 18446744073709551616.0) ** 3 * 1000000)::INTEGER AS track,
    make_timestamp((1700000000 + turn * 200 + noise % 150)::BIGINT * 1000000) AS listened_at
FROM plays
"""


def make_listens(path: Path, rows: int, lanes: int = LANES) -> None:
    """A log of `rows` plays: 15 in a row by one listener, few by most and many by some, 200 listens on the mean."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, connect(Path(folder) / "spill", "512MB") as connection:
        connection.execute(f"COPY ({LOG}) TO '{path}' (FORMAT parquet)", {"rows": rows, "lanes": lanes})


def as_arrays(path: Path, folder: Path) -> None:
    """The listens as .npy files, one a column, seconds for the time: what pandas reads fastest."""
    folder.mkdir(exist_ok=True)
    for column in ("user", "track", "listened_at"):
        values = read_parquet(path, columns=[column])[column]
        np.save(folder / f"{column}.npy", values.to_numpy())


def ours(source: str, target: str, memory: str) -> tuple[float, float]:
    """Seconds, and the process's peak in MiB, of Parquet to Parquet."""
    started = time.perf_counter()
    write_sessions(Path(source), Path(target), memory=memory)
    return time.perf_counter() - started, peak_mib()


def count_sessions(path: Path) -> int:
    """Sessions in a file of `write_sessions`."""
    return int(scan_parquet(path).select(pl.col("session").max()).collect().item()) + 1
