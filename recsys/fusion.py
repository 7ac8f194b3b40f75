"""Fusion: several sources' rankings become one, by reciprocal rank or by standardised scores."""

from collections.abc import Mapping
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


def fuse(rankings: Mapping[str, Ranked], settings: FusionSettings, tracks: int, k: int) -> Ranked:
    """The k best songs of each query by the weighted sum of what each source gives them. Ties go to the lower row.

    reciprocal-rank: 1 / (60 + rank). scores: (score - worst) / standard deviation within the query's own candidates;
    a song that a source does not propose gets nothing from it.
    """
    used = {name: ranked for name, ranked in rankings.items() if settings.weights.get(name, 0.0) > 0}
    queries = len(next(iter(rankings.values())))
    keys, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float64)]
    for name, ranked in used.items():
        rows = np.repeat(np.arange(queries), np.diff(ranked.offsets))
        keys.append(rows * tracks + ranked.tracks)
        values.append(settings.weights[name] * PARTS[settings.method](ranked))
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    total = np.bincount(inverse, np.concatenate(values), minlength=len(key))
    rows = key // tracks
    order = np.lexsort((key, -total, rows))
    starts = np.searchsorted(rows[order], np.arange(queries + 1))
    rank = np.arange(len(order)) - starts[rows[order]]
    order = order[rank < k]
    lengths = np.bincount(rows[order], minlength=queries)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ranked(offsets, (key[order] % tracks).astype(np.int32), total[order].astype(np.float32))


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
