"""Evaluation at scale: ranking a whole catalogue, measuring rankings, and cutting listens into sessions."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.listening.sessions import SESSION_GAP
from eval.bench.children import in_a_child, in_a_lean_child, peak_mib
from eval.bench.encoding.sizes import EvaluationSizes
from eval.bench.evaluating.listens import as_arrays, count_sessions, make_listens, ours
from eval.bench.evaluating.plain_metrics import plain_metrics
from eval.bench.evaluating.with_pandas import pandas_sessions
from eval.bench.rows import Row, medians
from eval.metrics.registry import all_metrics
from recsys.index import ExactIndex, ExactSettings
from recsys.ranked import Ranked
from recsys.tasks.accuracy import DEPTH
from recsys.tasks.targets import Targets

EXCLUDED = 50
"Songs that a query must not be answered with, as what a listener has heard."
BLOCKS = (2048, 8192, 32768)
"Songs in a block of the floor's product; the fastest is taken."


def ranking(sizes: EvaluationSizes) -> list[Row]:
    """Every query against every track, top 500, against the matrix product alone; and the memory of the process."""
    seconds, floor, mib = in_a_child(measure_ranking, sizes)
    what = f"ranking, {sizes.queries:,} queries over {sizes.tracks:,} tracks"
    operations = 2 * sizes.queries * sizes.tracks * sizes.dimension
    note = (
        f"{seconds:.1f} s against {floor:.1f} s ({operations / floor / 1e9:.0f} GFLOP/s), turns of "
        f"{sizes.queries_a_turn:,} queries, {EXCLUDED} songs excluded from each; {sizes.dimension} dimensions, "
        f"top {DEPTH}"
    )
    return [
        Row(what, sizes.queries / seconds, "queries/s", sizes.queries / floor, 0.5, note=note),
        Row("ranking, peak memory of the process", mib, "MiB", 3 * 2.0**10, 1.0, at_most=True),
    ]


def measure_ranking(sizes: EvaluationSizes) -> tuple[float, float, float]:
    """Seconds of `ExactIndex` and of the product alone, which take turns, and the process's peak in MiB."""
    rng = np.random.default_rng(0)
    index = ExactIndex(sizes.dimension, ExactSettings(device="cpu"))
    index.add(
        np.arange(sizes.tracks, dtype=np.int32),
        rng.standard_normal((sizes.tracks, sizes.dimension), dtype=np.float32),
    )
    queries = rng.standard_normal((sizes.queries, sizes.dimension), dtype=np.float32)
    exclude = list(rng.integers(0, sizes.tracks, (sizes.queries, EXCLUDED), dtype=np.int32))
    product = fastest_product(queries[: sizes.queries_a_turn], index)
    answers: list[Ranked] = []
    seconds = [0.0, 0.0]
    for start in range(0, sizes.queries, sizes.queries_a_turn):
        turn = slice(start, start + sizes.queries_a_turn)
        begun = time.perf_counter()
        answers.append(index.search(queries[turn], DEPTH, exclude[turn]))
        between = time.perf_counter()
        product(queries[turn])
        seconds[0] += between - begun
        seconds[1] += time.perf_counter() - between
    if len(Ranked.concatenate(answers)) != sizes.queries:
        raise RuntimeError("not every query was answered")
    return seconds[0], seconds[1], peak_mib()


def fastest_product(sample: NDArray[np.float32], index: ExactIndex) -> Callable[[NDArray[np.float32]], None]:
    """The product of queries with all of an index's vectors, in the block size that is fastest on a part of them."""
    vectors = index.vectors
    part = vectors[: 4 * BLOCKS[-1]]

    def product(queries: NDArray[np.float32], columns: int, vectors: torch.Tensor = vectors) -> None:
        for rows in torch.from_numpy(queries).split(index.settings.query_block):
            room = torch.empty(len(rows) * columns)
            for block in vectors.split(columns):
                torch.mm(rows, block.T, out=room[: len(rows) * len(block)].view(len(rows), -1))

    few = sample[: 2 * index.settings.query_block]
    seconds = medians([partial(product, few, columns, part) for columns in BLOCKS], 3)
    best = BLOCKS[int(np.argmin(seconds))]
    return lambda queries: product(queries, best)


def metrics(sizes: EvaluationSizes) -> list[Row]:
    """All metrics of many rankings, against a plain loop over the first of them."""
    ranked, targets, artist_of = made_up_rankings(sizes)
    few = min(sizes.plain_queries, sizes.measured)
    rankings = [tracks.tolist() for tracks, _ in ranked.between(0, few)]
    some = targets.between(0, few)
    relevant = [set(some.tracks[a:b].tolist()) for a, b in zip(some.offsets[:-1], some.offsets[1:], strict=True)]
    artists = artist_of.tolist()
    seconds, plain = medians(
        [
            lambda: all_metrics(ranked, targets, artist_of, sizes.tracks),
            lambda: plain_metrics(rankings, relevant, artists),
        ],
        sizes.repeats,
    )
    whole = plain * sizes.measured / few
    note = f"{seconds:.2f} s against {whole:.1f} s of a plain loop, extrapolated from {few:,} of the queries"
    what = f"metrics, {sizes.measured:,} queries x {DEPTH}"
    return [Row(what, sizes.measured / seconds, "queries/s", few / plain, 10.0, note=note)]


def made_up_rankings(sizes: EvaluationSizes) -> tuple[Ranked, Targets, NDArray[np.int32]]:
    """Rankings of 500 songs, 1 to 20 targets each, of which a third is found, and the artists of the catalogue."""
    rng = np.random.default_rng(0)
    shape = (sizes.measured, DEPTH)
    # Distinct songs in every row: a random start, then random steps around the catalogue.
    steps = rng.integers(1, max(sizes.tracks // DEPTH, 2), shape, dtype=np.int64)
    tracks = ((rng.integers(0, sizes.tracks, (sizes.measured, 1)) + steps.cumsum(axis=1)) % sizes.tracks).astype(
        np.int32
    )
    wanted = []
    for row, count in zip(tracks, rng.integers(1, 21, sizes.measured), strict=True):
        found = rng.random(count) < 1 / 3
        wanted.append(np.where(found, row[rng.integers(0, DEPTH, count)], rng.integers(0, sizes.tracks, count)))
    offsets = np.arange(sizes.measured + 1, dtype=np.int64) * DEPTH
    ranked = Ranked(offsets, tracks.ravel(), np.zeros(tracks.size, np.float32))
    return ranked, Targets.from_rows(wanted), rng.integers(-1, sizes.tracks // 10, sizes.tracks, dtype=np.int32)


def sessionising(sizes: EvaluationSizes) -> list[Row]:
    """Listens to sessions, Parquet to Parquet, against pandas on arrays: seconds, and memory of the processes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_listens(folder / "listens.parquet", sizes.listens, sizes.lanes)
        paths = str(folder / "listens.parquet"), str(folder / "sessions.parquet")
        has_pandas = find_spec("pandas") is not None
        if has_pandas:
            as_arrays(folder / "listens.parquet", folder / "arrays")
        mine: list[tuple[float, float]] = []
        theirs: list[tuple[float, float, int]] = []
        for _ in range(sizes.repeats):
            mine.append(tuple(in_a_lean_child(ours, *paths, sizes.memory)))
            if has_pandas:
                arguments = str(folder / "arrays"), SESSION_GAP.total_seconds()
                theirs.append(tuple(in_a_lean_child(pandas_sessions, *arguments)))
        count = count_sessions(Path(paths[1]))
    return session_rows(sizes, mine, theirs, count)


def session_rows(
    sizes: EvaluationSizes, mine: list[tuple[float, float]], theirs: list[tuple[float, float, int]], count: int
) -> list[Row]:
    """Rows of the turns taken; without pandas they only say what was measured."""
    what, limit = f"sessions of {sizes.listens:,} listens", f"DuckDB held to {sizes.memory}"
    seconds, mib = float(np.median([run[0] for run in mine])), max(run[1] for run in mine)
    if not theirs:
        note = f"{seconds:.1f} s, {limit}; no pandas here to compare with"
        return [Row(what, sizes.listens / seconds, "listens/s", note=note), Row(f"{what}, memory", mib, "MiB")]
    pandas_seconds, pandas_mib = float(np.median([run[0] for run in theirs])), min(run[1] for run in theirs)
    same = "both find" if theirs[0][2] == count else f"pandas finds {theirs[0][2]:,} sessions, ours"
    note = (
        f"{seconds:.1f} s against {pandas_seconds:.1f} s of pandas, {limit}; {same} {count:,} sessions; ours reads and "
        "writes Parquet, pandas plain arrays"
    )
    return [
        Row(what, sizes.listens / seconds, "listens/s", sizes.listens / pandas_seconds, 1.0, note=note),
        Row(f"{what}, memory", mib, "MiB", pandas_mib, 0.25, at_most=True),
    ]


def large(sizes: EvaluationSizes) -> list[Row]:
    """Many more listens than fit in memory."""
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "listens.parquet", Path(scratch) / "sessions.parquet"
        make_listens(source, sizes.many_listens, sizes.lanes)
        seconds, mib = in_a_lean_child(ours, str(source), str(target), sizes.many_memory)
        note = f"{seconds:.0f} s, {count_sessions(target):,} sessions; DuckDB held to {sizes.many_memory}"
    what = f"sessions of {sizes.many_listens:,} listens, memory"
    return [Row(what, mib, "MiB", 2.0**10, 1.0, at_most=True, note=note)]
