"""The contract of a candidate source, and block-wise ranking for sources with dense scores.

A *baseline* in an evaluation is one source used alone; the product fuses several. Both are the same code.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from data.dataset import Dataset
from recsys.candidates.declaration import Reason
from recsys.candidates.votes import Votes
from recsys.queries import Query, excluded
from recsys.ranked import Ranked, best_of_row, rank_scores

State = dict[str, NDArray[Any]]
SCORE_CELLS = 16_000_000
"""Dense scores held at once: 64 MB of float32, whatever the catalogue and the batch."""


class CandidateSource(Protocol):
    """Proposes songs for queries. Fitted on the past only; asked in batches."""

    @property
    def name(self) -> str:
        """What the registry and reports call it."""

    @property
    def settings(self) -> BaseModel:
        """What it was made with, an instance of its `Settings`."""

    @property
    def reason(self) -> Reason:
        """Why it proposes a song, in words."""

    def fit(self, dataset: Dataset) -> Self:
        """Learn from the listening of the dataset handed in, which must be a training part."""

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        """The k best songs per query, best first; fewer where it knows fewer. Never a song twice, never a sentinel."""

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        """What each song of the history gives to each proposed song."""

    def state(self) -> State:
        """What was learned, as arrays: the source is these and its settings."""

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        """The counterpart of `state`."""


class SourceKind(Protocol):
    """The class of a source that needs nothing but settings, and what it declares."""

    @property
    def name(self) -> str:
        """As of its sources."""

    @property
    def Settings(self) -> type[BaseModel]:
        """Defaults, bounds, what is tried on validation, and which settings matter only when it is asked."""

    @property
    def reason(self) -> Reason:
        """As of its sources."""

    def __call__(self, settings: Any = None) -> CandidateSource:
        """A source with these settings, not fitted yet."""


def rank_in_blocks(
    queries: Sequence[Query],
    k: int,
    tracks: int,
    score: Callable[[Sequence[Query]], tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> Ranked:
    """Rank dense scores in blocks of bounded memory.

    score(block): (B, N) scores and which songs the source may propose, (B, N) or (N,). Excluded songs go out here.
    """
    size = max(1, SCORE_CELLS // max(tracks, 1))
    parts = []
    for start in range(0, len(queries), size):
        block = queries[start : start + size]
        scores, allowed = score(block)
        parts.append(rank_scores(scores, allowed & ~excluded(block, tracks), k))
    return Ranked.concatenate(parts) if parts else Ranked.from_rows([])


def rank_rows(queries: Sequence[Query], k: int, rows: Iterable[NDArray[np.float32]]) -> Ranked:
    """Rank dense scores that come one query after the other; songs at 0 or below are not proposed.

    rows: (N,) for each query. Excluded songs go out here. For sources that add up what a history
    touches: where most of a row stays 0 it costs next to nothing.
    """
    ranked = []
    for query, scores in zip(queries, rows, strict=True):
        ranked.append(best_of_row(scores, (scores > 0) & ~excluded([query], len(scores))[0], k))
    return Ranked.from_rows(ranked)


def runs(sizes: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Consecutive pieces of work that together are at most `most` large; one that is larger stands alone."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(start, stop)
        start = stop
