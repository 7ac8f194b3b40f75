"""`python -m eval.bench recommend`: one listener alone, batches against implicit's iALS, and the cost of a size."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares

from eval.bench.answering.world import World, simulated_world
from eval.bench.children import in_a_child, peak_mib
from eval.bench.rows import Row, medians
from recsys.candidates.collaborative.ials import Ials
from recsys.candidates.collaborative.interactions import interactions

K = 20
LIMITS = {1_000: (3.0, None), 1_000_000: (15.0, 60.0)}
"Milliseconds that an answer may take at a size of catalogue: the median, and 99 of 100."
BATCH_AT = 50_000
"Songs at which batches are to be half as fast as implicit's iALS alone."
HALF = 0.5
EXACT_UP_TO = 20_000
"Songs up to which vectors are compared one by one; beyond, an inverted file is looked up."


@dataclass(frozen=True)
class AnswerSizes:
    """What is measured. songs: sizes of the catalogue."""

    songs: tuple[int, ...] = (1_000, 10_000, 50_000, 100_000)
    songs_a_listener: int = 10
    "Songs of the catalogue for each listener."
    plays: int = 100
    "Of each listener."
    dimension: int = 128
    warm: int = 100
    "Listeners asked before the clock starts."
    asked: int = 300
    "Listeners asked one at a time, each for the first time."
    batch: int = 400
    repeats: int = 3


@dataclass(frozen=True)
class Measured:
    """One size: milliseconds of answers asked one at a time, with reasons and without; listeners a second in a batch,
    ours and implicit's; bytes of what was fitted; the process's peak."""

    songs: int
    p50: float
    p99: float
    unexplained: float
    batch: float
    implicit: float
    bytes_of: dict[str, int] = field(default_factory=dict)
    peak_mib: float = 0.0


def recommend(sizes: AnswerSizes, say: Callable[[str], None]) -> tuple[list[Row], list[Measured]]:
    """Every size in a process of its own."""
    found = []
    for songs in sizes.songs:
        say(f"  {songs:,} songs ...")
        found.append(in_a_child(measure, sizes, songs))
    return [row for one in found for row in rows_of(one, sizes)], found


def measure(sizes: AnswerSizes, songs: int) -> Measured:
    """Make the world, ask its listeners, and put the batch beside implicit's."""
    listeners = max(songs // sizes.songs_a_listener, sizes.warm + sizes.asked)
    backend = "faiss-flat" if songs <= EXACT_UP_TO else "faiss-ivf"
    world = simulated_world(songs, listeners, sizes.plays, sizes.dimension, backend, lambda text: None)
    names = np.random.default_rng(2).permutation(world.recommender.dataset.user_ids.names).tolist()
    warm, asked = names[: sizes.warm], names[sizes.warm : sizes.warm + sizes.asked]
    for name in warm:
        world.recommender.recommend(name, K)
    alone = 1e3 * np.array([seconds(world, name, explained=True) for name in asked])
    unexplained = 1e3 * np.array([seconds(world, name, explained=False) for name in asked])
    batch, implicit = batches(world, names[-sizes.batch :], sizes.repeats)
    p50, p99 = np.quantile(alone, [0.5, 0.99]).tolist()
    quick = float(np.median(unexplained))
    return Measured(songs, p50, p99, quick, batch, implicit, world.bytes_of, peak_mib())


def seconds(world: World, name: str, explained: bool) -> float:
    """One answer."""
    started = time.perf_counter()
    world.recommender.recommend(name, K, explain=explained)
    return time.perf_counter() - started


def batches(world: World, names: list[str], repeats: int) -> tuple[float, float]:
    """Listeners a second: the whole product's answers as a frame, and implicit's for iALS alone; they take turns."""
    recommender = world.recommender
    ials = recommender.models.sources["discovery"]["ials"]
    assert isinstance(ials, Ials)
    dataset = recommender.dataset
    rows = dataset.user_ids.to_rows(names)
    played = interactions(dataset)[rows]
    model = AlternatingLeastSquares(ials.settings.factors)  # all cores, as it is by default
    model.item_factors = ials.model.item_factors
    model.user_factors = ials.model.recalculate_user(np.arange(len(rows)), played)
    ours, theirs = medians(
        [
            lambda: recommender.recommend(names, K, explain=False),
            lambda: model.recommend(np.arange(len(rows)), played, K),
        ],
        repeats,
    )
    return len(names) / ours, len(names) / theirs


def rows_of(one: Measured, sizes: AnswerSizes) -> list[Row]:
    """The rows of a size."""
    size, (middle, late) = f"{one.songs:,} songs", LIMITS.get(one.songs, (None, None))
    total = sum(one.bytes_of.values())
    shares = sorted(one.bytes_of.items(), key=lambda item: -item[1])
    largest = ", ".join(f"{name} {count / one.songs:,.0f}" for name, count in shares[:4])
    note = f"{one.unexplained:.2f} ms without reasons (median); simulated, all sources and a ranker, nobody asked twice"
    half = HALF if one.songs == BATCH_AT else None
    batch = f"{sizes.batch:,} listeners, top {K}, without reasons; the floor is implicit's iALS alone on all cores"
    return [
        Row(f"one listener, {size}, median", one.p50, "ms", None, middle, at_most=True, note=note),
        Row(f"one listener, {size}, 99 of 100", one.p99, "ms", None, late, at_most=True),
        Row(f"a batch, {size}", one.batch, "listeners/s", one.implicit, half, note=batch),
        Row(f"fitted, {size}", total / one.songs, "bytes/song", note=f"{largest}; peak {one.peak_mib:,.0f} MiB"),
    ]
