"""`python -m eval.bench search`: our exact search against FAISS's, and recall against time of the short cuts."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import joblib
import numpy as np
import torch
from numpy.typing import NDArray

from eval.bench.rows import Row, medians
from eval.bench.searching.clusters import DIMENSION, clustered
from recsys.index import ExactIndex, ExactSettings, FaissIndex, FaissSettings
from recsys.index.choosing import kind_for, memory_bytes
from recsys.index.faiss_index import Kind
from recsys.index.publishing import MIN_RECALL
from recsys.index.recall import K, NearestSongs

BATCHES = (1, 16, 64, 256)
TARGET_FROM = 64
"From this batch on, exact search is to be four times as fast as FAISS's."
TIMES = 4.0
GRAPH_UP_TO = 200_000
"Songs beyond which the graph is left out: it takes minutes to build from here on."
KINDS: tuple[Kind, ...] = ("flat", "hnsw", "ivf", "ivfpq")
EFFORTS: dict[Kind, Sequence[dict[str, int]]] = {
    "hnsw": [{"ef_search": songs} for songs in (128, 256, 512, 1024)],
    "ivf": [{"probes": lists} for lists in (1, 2, 4, 8, 16, 32, 64, 128)],
    "ivfpq": [
        *({"probes": lists, "rerank": 2} for lists in (1, 4, 16)),
        *({"probes": lists, "rerank": 4} for lists in (16, 64, 128)),
        {"probes": 128, "rerank": 8},
    ],
}
"From little to much work for a query."


@dataclass(frozen=True)
class SearchSizes:
    """What is measured. songs: sizes of the catalogue."""

    songs: tuple[int, ...] = (10_000, 100_000)
    repeats: int = 7
    dimension: int = DIMENSION
    queries: int = 400
    "Songs that recall is measured on."
    timed: int = 100
    "Of these, asked one at a time while the clock runs."


@dataclass(frozen=True)
class Point:
    """One effort of one kind: recall@100, and milliseconds for a query asked alone."""

    kind: str
    effort: str
    recall: float
    milliseconds: float


def set_threads(threads: int | None) -> int:
    """Give FAISS and torch so many, or as many as there are cores for this process; returns how many."""
    given: int = threads or joblib.cpu_count()
    faiss.omp_set_num_threads(given)
    torch.set_num_threads(given)
    return given


def exact_rows(sizes: SearchSizes, songs: int, vectors: NDArray[np.float32]) -> list[Row]:
    """Exact search of a batch, against FAISS's flat index on the same vectors; the two take turns."""
    ours = ExactIndex(sizes.dimension, ExactSettings(device="cpu"))
    ours.add(np.arange(songs, dtype=np.int32), vectors)
    theirs: Any = faiss.IndexFlatIP(sizes.dimension)
    theirs.add(vectors)
    rng, rows = np.random.default_rng(1), []
    for batch in BATCHES:
        queries = near(vectors, batch, rng)
        k = min(K, songs)
        mine, floor = medians([partial(ours.search, queries, k), partial(theirs.search, queries, k)], sizes.repeats)
        target = TIMES if batch >= TARGET_FROM else None
        note = f"{1e3 * mine / batch:.2f} ms a query against {1e3 * floor / batch:.2f}; simulated vectors"
        what = f"exact search, {songs:,} songs, batch {batch}"
        rows.append(Row(what, batch / mine, "queries/s", batch / floor, target, note=note))
    return rows


def near(vectors: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, D) queries close to songs, as histories are."""
    chosen = vectors[rng.integers(len(vectors), size=count)]
    return chosen + np.float32(0.3 / chosen.shape[1] ** 0.5) * rng.standard_normal(chosen.shape, dtype=np.float32)


def short_cut_rows(
    sizes: SearchSizes, songs: int, vectors: NDArray[np.float32], say: Callable[[str], None]
) -> tuple[list[Row], list[Point]]:
    """For every approximate kind: its memory, its build, and recall against time at several efforts.

    FAISS's exact index is the first point, and the floor of the times.
    """
    tracks = np.arange(songs, dtype=np.int32)
    truth = NearestSongs.of(tracks, vectors, queries=sizes.queries)
    rows: list[Row] = []
    points: list[Point] = []
    chosen = kind_for(songs, sizes.dimension, memory_bytes()).removeprefix("faiss-")
    for kind in KINDS:
        if kind == "hnsw" and songs > GRAPH_UP_TO:
            say(f"  hnsw left out above {GRAPH_UP_TO:,} songs: it takes too long to build")
            continue
        index = FaissIndex(sizes.dimension, kind, gpu="off")
        started = time.perf_counter()
        index.add(tracks, vectors)
        built = time.perf_counter() - started
        own = measured(index, truth, sizes.timed, "as published")
        in_memory, on_disk = bytes_of(index)
        note = (
            f"{own.milliseconds:.2f} ms a query alone, {in_memory / songs:,.0f} bytes a song in memory"
            f"{f' and {on_disk / songs:,.0f} on disk' if on_disk else ''}, built in {built:.1f} s"
            f"{', chosen for this size' if kind == chosen else ''}; simulated vectors"
        )
        rows.append(Row(f"{kind}, {songs:,} songs: recall@{K}", own.recall, "", None, MIN_RECALL, note=note))
        found = [own]
        for effort in EFFORTS.get(kind, []):
            index.settings = FaissSettings.model_validate(effort)
            words = " ".join(f"{name}={value}" for name, value in effort.items())
            found.append(measured(index, truth, sizes.timed, words))
        points += found
    return rows, points


def measured(index: FaissIndex, truth: NearestSongs, timed: int, effort: str) -> Point:
    """Recall of all sampled songs; time of some, one at a time."""
    recall = truth.recall(index)
    seconds = []
    for place in truth.sample[:timed]:
        query, own = truth.unit[place : place + 1], [truth.tracks[place : place + 1]]
        started = time.perf_counter()
        index.search(query, truth.k, own)
        seconds.append(time.perf_counter() - started)
    return Point(index.kind, effort, recall, 1e3 * float(np.median(seconds)))


def bytes_of(index: FaissIndex) -> tuple[int, int]:
    """What its saved files take: those that are held in memory, and vectors that stay on the disk."""
    with tempfile.TemporaryDirectory() as scratch:
        index.save(Path(scratch))
        files = {path.name: path.stat().st_size for path in Path(scratch).iterdir()}
    stored = files.pop("vectors.npy", 0)
    return sum(files.values()), stored


def search(
    sizes: SearchSizes, measures: Sequence[str], say: Callable[[str], None]
) -> tuple[list[Row], dict[int, list[Point]]]:
    """Those of MEASURES for every size; the points of the short cuts for the picture."""
    rows: list[Row] = []
    points: dict[int, list[Point]] = {}
    for songs in sizes.songs:
        say(f"  {songs:,} songs ...")
        vectors = clustered(songs, sizes.dimension)
        if "exact" in measures:
            rows += exact_rows(sizes, songs, vectors)
        if "short-cuts" in measures:
            more, points[songs] = short_cut_rows(sizes, songs, vectors, say)
            rows += more
    return rows, points
