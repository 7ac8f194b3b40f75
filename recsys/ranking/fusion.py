"""Fusion: several sources' rankings become one, by reciprocal rank or by standardised scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recsys.ranked import Ranked

Method = Literal["reciprocal-rank", "scores"]
METHODS: tuple[Method, ...] = ("reciprocal-rank", "scores")
TRACE = 1e-9
MARKED = 1_000_000
"""Songs of all queries up to which those that are proposed are marked in a row, which is faster than sorting them."""
RANK_OFFSET = 60
"""Cormack, Clarke, Büttcher 2009."""


class FusionSettings(BaseModel):
    """How rankings are put together, chosen on validation."""

    method: Method = "reciprocal-rank"
    weights: dict[str, float]
    "Per source; 0 leaves it out."
    unplayed_weights: dict[str, float] = {}
    """For songs without a play in training, of which sources that learn from plays alone know nothing; a source not
    named here has the same weight for all songs."""

    def weights_of(self, unplayed: bool) -> dict[str, float]:
        """What each source counts for one kind of song."""
        return self.weights | self.unplayed_weights if unplayed else self.weights

    def taking_part(self) -> list[str]:
        """Sources with any weight."""
        return [name for name, weight in self.weights.items() if max(weight, self.unplayed_weights.get(name, 0)) > 0]


@dataclass(frozen=True)
class Proposals:
    """Every song that any source proposes to each query, and what each source gives it; weighed as often as one likes.

    keys: (M,) query * tracks + song, ascending. unplayed: (M,) bool, songs without a play in training. parts: per
    source the songs' places in `keys` and their values.
    """

    queries: int
    tracks: int
    keys: NDArray[np.int64]
    unplayed: NDArray[np.bool_]
    parts: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]

    @classmethod
    def gather(
        cls, rankings: Mapping[str, Ranked], method: Method, unplayed: NDArray[np.bool_], depth: int | None = None
    ) -> "Proposals":
        """reciprocal-rank gives 1 / (60 + rank), scores (score - worst) / deviation within a query's candidates:
        always above 0.

        unplayed: (N,), one for each track. depth: look at the first so many of each ranking alone, valued as among all
        of them; None looks at all.
        """
        tracks, queries = len(unplayed), max((len(ranked) for ranked in rankings.values()), default=0)
        # All sources in one piece: for one query every step costs the same for a source and for eleven.
        together = Ranked.concatenate(list(rankings.values()))
        query = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(ranked)) for ranked in rankings.values())])
        own = np.repeat(query * tracks, together.lengths)
        own += together.tracks
        values = PARTS[method](together)
        ends = np.cumsum([len(ranked.tracks) for ranked in rankings.values()])
        if depth is not None:
            seen = together.places < depth
            own, values, ends = own[seen], values[seen], np.append(0, np.cumsum(seen))[ends]
        keys, places = _distinct(own, queries * tracks)
        parts = {
            name: (places[start:stop], values[start:stop])
            for name, (start, stop) in zip(rankings, pairwise([0, *ends.tolist()]), strict=True)
        }
        return cls(queries, tracks, keys, unplayed[keys % tracks], parts)

    def of_unplayed(self) -> list[str]:
        """Sources that propose any song without a play in training."""
        return [name for name, (places, _) in self.parts.items() if self.unplayed[places].any()]

    def totals(self, settings: FusionSettings) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """What each of `keys` gets, and whether any source with a weight proposes it."""
        total = np.zeros(len(self.keys))
        for name, (places, values) in self.parts.items():
            played, unplayed = (settings.weights_of(kind).get(name, 0.0) for kind in (False, True))
            if played == unplayed:
                total[places] += played * values
            else:
                total[places] += np.where(self.unplayed[places], unplayed, played) * values
        return total, total > 0

    def contributions(
        self, settings: FusionSettings, rows: NDArray[np.int64], tracks: NDArray[np.int32]
    ) -> dict[str, NDArray[np.float64]]:
        """What each source adds to the score of each song (T,): the summands of `totals`.

        rows, tracks: (T,) query and song, each a pair that some source proposes, none of them twice.
        """
        slot = np.full(len(self.keys), -1, np.int64)
        slot[np.searchsorted(self.keys, rows * self.tracks + tracks)] = np.arange(len(tracks))
        parts = {}
        for name, (places, values) in self.parts.items():
            played, unplayed = (settings.weights_of(kind).get(name, 0.0) for kind in (False, True))
            among = slot[places] >= 0
            weights = np.where(self.unplayed[places[among]], unplayed, played)
            parts[name] = np.zeros(len(tracks))
            parts[name][slot[places[among]]] = weights * values[among]
        return parts

    def ranked(self, settings: FusionSettings, k: int) -> Ranked:
        """The k best songs of each query by weighted sum; a source gives nothing to what it does not propose.

        The settings' method is the one these proposals were gathered by.
        """
        total, proposed = self.totals(settings)
        keys, total = self.keys[proposed], total[proposed]
        rows = keys // self.tracks
        order = np.lexsort((-total, rows))
        starts = np.searchsorted(rows, np.arange(self.queries + 1))
        order = order[np.arange(len(order)) - starts[rows] < k]
        lengths = np.bincount(rows[order], minlength=self.queries)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Ranked(offsets, (keys[order] % self.tracks).astype(np.int32), total[order].astype(np.float32))


def fuse(rankings: Mapping[str, Ranked], settings: FusionSettings, unplayed: NDArray[np.bool_], k: int) -> Ranked:
    """The k best songs of each query by the weighted sum of what each source gives them. Ties go to the lower row.

    unplayed: (N,) songs without a play in training.
    """
    return Proposals.gather(rankings, settings.method, unplayed).ranked(settings, k)


def _distinct(numbers: NDArray[np.int64], below: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct ones of some numbers from 0 to `below` - 1, ascending, and where each number stands among them."""
    if below <= MARKED:
        place = np.zeros(below, np.int64)
        place[numbers] = 1
        keys = np.flatnonzero(place)
        place[keys] = np.arange(len(keys))
        return keys, place[numbers]
    keys = np.sort(numbers)
    keys = keys[np.append(True, np.diff(keys) > 0)[: len(keys)]]  # np.unique hashes, which takes ten times as long
    return keys, np.searchsorted(keys, numbers)


def reciprocal_ranks(ranked: Ranked) -> NDArray[np.float64]:
    """1 / (60 + rank) of every entry, ranks from 1."""
    return np.asarray(1.0 / (RANK_OFFSET + 1 + ranked.places), np.float64)


def standardised(ranked: Ranked) -> NDArray[np.float64]:
    """Every score above its query's worst, in standard deviations of the query's scores; 1 where all are equal.

    The worst gets a trace above 0, for it is proposed as well.
    """
    lengths, rows, scores = ranked.lengths, ranked.rows, ranked.scores.astype(np.float64)
    count = np.maximum(lengths, 1)
    mean = np.bincount(rows, scores, minlength=len(ranked)) / count
    deviation = np.sqrt(np.bincount(rows, (scores - mean[rows]) ** 2, minlength=len(ranked)) / count)
    flat = deviation < 1e-12
    deviation[flat] = 1.0
    worst = np.zeros(len(ranked))
    worst[lengths > 0] = scores[ranked.offsets[1:][lengths > 0] - 1]  # best first, so that it is the last
    found = (scores - worst[rows]) / deviation[rows] + TRACE
    if flat.any():
        found[flat[rows]] = 1.0
    return found


PARTS = {"reciprocal-rank": reciprocal_ranks, "scores": standardised}
