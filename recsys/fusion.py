"""Fusion: several sources' rankings become one, by reciprocal rank or by standardised scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recsys.ranked import Ranked

Method = Literal["reciprocal-rank", "scores"]
METHODS: tuple[Method, ...] = ("reciprocal-rank", "scores")
RANK_OFFSET = 60
"""Cormack, Clarke, Büttcher 2009."""


class FusionSettings(BaseModel):
    """How rankings are put together, chosen on validation."""

    method: Method = "reciprocal-rank"
    weights: dict[str, float]
    "Per source; 0 leaves it out."
    boost: float = 1.0
    "Factor on songs without a play in training: sources that learn from plays alone cannot speak for them."


@dataclass(frozen=True)
class Proposals:
    """Every song that any source proposes to each query, and what each source gives it; weighed as often as one likes.

    keys: (M,) query * tracks + song, ascending. parts: per source the songs' places in `keys` and their values.
    """

    queries: int
    tracks: int
    keys: NDArray[np.int64]
    parts: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]

    @classmethod
    def gather(
        cls, rankings: Mapping[str, Ranked], method: Method, tracks: int, depth: int | None = None
    ) -> "Proposals":
        """reciprocal-rank gives 1 / (60 + rank), scores (score - worst) / deviation within a query's candidates.

        depth: look at the first so many of each ranking alone, valued as among all of them; None looks at all.
        """
        own, values = {}, {}
        for name, ranked in rankings.items():
            lengths = np.diff(ranked.offsets)
            rows = np.repeat(np.arange(len(ranked)), lengths)
            rank = np.arange(len(ranked.tracks)) - np.repeat(ranked.offsets[:-1], lengths)
            seen = slice(None) if depth is None else rank < depth
            own[name], values[name] = (rows * tracks + ranked.tracks)[seen], PARTS[method](ranked)[seen]
        keys = np.unique(np.concatenate([np.zeros(0, np.int64), *own.values()]))
        parts = {name: (np.searchsorted(keys, own[name]), values[name]) for name in rankings}
        return cls(max((len(ranked) for ranked in rankings.values()), default=0), tracks, keys, parts)

    def ranked(
        self, weights: Mapping[str, float], k: int, boost: float = 1.0, unplayed: NDArray[np.bool_] | None = None
    ) -> Ranked:
        """The k best songs of each query by weighted sum; a source gives nothing to what it does not propose."""
        total, proposed = np.zeros(len(self.keys)), np.zeros(len(self.keys), np.bool_)
        for name, (places, values) in self.parts.items():
            if weights.get(name, 0.0) > 0:
                total[places] += weights[name] * values
                proposed[places] = True
        keys, total = self.keys[proposed], total[proposed]
        if unplayed is not None:
            total = np.where(unplayed[keys % self.tracks], boost * total, total)
        rows = keys // self.tracks
        order = np.lexsort((-total, rows))
        starts = np.searchsorted(rows, np.arange(self.queries + 1))
        order = order[np.arange(len(order)) - starts[rows] < k]
        lengths = np.bincount(rows[order], minlength=self.queries)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Ranked(offsets, (keys[order] % self.tracks).astype(np.int32), total[order].astype(np.float32))


def fuse(
    rankings: Mapping[str, Ranked],
    settings: FusionSettings,
    tracks: int,
    k: int,
    unplayed: NDArray[np.bool_] | None = None,
) -> Ranked:
    """The k best songs of each query by the weighted sum of what each source gives them. Ties go to the lower row.

    unplayed: (N,) songs without a play in training, whose sum counts `boost` times.
    """
    proposals = Proposals.gather(rankings, settings.method, tracks)
    return proposals.ranked(settings.weights, k, settings.boost, unplayed)


def reciprocal_ranks(ranked: Ranked) -> NDArray[np.float64]:
    """1 / (60 + rank) of every entry, ranks from 1."""
    lengths = np.diff(ranked.offsets)
    rank = np.arange(len(ranked.tracks)) - np.repeat(ranked.offsets[:-1], lengths) + 1
    return np.asarray(1.0 / (RANK_OFFSET + rank), np.float64)


def standardised(ranked: Ranked) -> NDArray[np.float64]:
    """Every score above its query's worst, in standard deviations of the query's scores; 1 where all are equal."""
    lengths = np.diff(ranked.offsets)
    rows = np.repeat(np.arange(len(ranked)), lengths)
    scores = ranked.scores.astype(np.float64)
    count = np.maximum(lengths, 1)
    mean = np.bincount(rows, scores, minlength=len(ranked)) / count
    deviation = np.sqrt(np.bincount(rows, (scores - mean[rows]) ** 2, minlength=len(ranked)) / count)
    worst = np.full(len(ranked), np.inf)
    np.minimum.at(worst, rows, scores)
    flat = deviation[rows] < 1e-12
    return np.where(flat, 1.0, (scores - worst[rows]) / np.where(flat, 1.0, deviation[rows]))


PARTS = {"reciprocal-rank": reciprocal_ranks, "scores": standardised}
