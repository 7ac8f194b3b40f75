"""Rankings and what was wanted, as plain lists, for the tests of metrics."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from eval.metrics.registry import all_metrics
from recsys.ranked import Ranked
from recsys.tasks.targets import Targets


@dataclass
class Run:
    rankings: list[list[int]]
    relevant: list[set[int]]
    artist_of: list[int]

    @property
    def size(self) -> int:
        return len(self.artist_of)

    @property
    def ranked(self) -> Ranked:
        """Scores fall by one from rank to rank, so that no reader can order them differently."""
        return Ranked.from_rows(
            [(np.array(row, np.int32), -np.arange(len(row), dtype=np.float32)) for row in self.rankings]
        )

    @property
    def targets(self) -> Targets:
        return Targets.from_rows([sorted(row) for row in self.relevant])

    def measured(self) -> dict[str, NDArray[np.float64]]:
        return all_metrics(self.ranked, self.targets, np.array(self.artist_of, np.int32), self.size)


@st.composite
def runs(draw: st.DrawFn, duplicates: bool = False) -> Run:
    """Few songs (k > n) up to more than 500, empty and short rankings, no or many right ones, unknown artists."""
    size = draw(st.sampled_from([1, 2, 5, 30, 120, 700]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries = draw(st.integers(1, 4))
    lengths = draw(st.lists(st.integers(0, size), min_size=queries, max_size=queries))
    wanted = draw(st.lists(st.integers(1, size), min_size=queries, max_size=queries))
    n_artists = draw(st.integers(1, 1 + size // 2))
    return Run(
        [rng.choice(size, length, replace=duplicates).tolist() for length in lengths],
        [set(rng.choice(size, count, replace=False).tolist()) for count in wanted],
        rng.integers(-1, n_artists, size).tolist(),
    )
