"""The objective of fusion tuning: the ranks of the targets under given weights, without sorting anything else.

A search evaluates it thousands of times; sorting every song of every query would take ten times as long.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.fusion import FusionSettings, Proposals
from recsys.tasks.fast_membership import contains, pair_keys
from recsys.tasks.targets import Targets

ROUNDING = 1e-9


@dataclass(frozen=True)
class TargetRanks:
    """For each target some source proposes, the other candidates of its query; its rank under given weights is a count.

    target (T,), competitors (R,): positions in the proposals' keys. against: (R,), the target (0 to T - 1) of every
    competitor, in order. starts: (T,), where a target's competitors begin. gain: (T, 2), the gain of a target at rank
    1: among all songs, and in addition for being new.
    """

    proposals: Proposals
    target: NDArray[np.int64]
    competitors: NDArray[np.int64]
    against: NDArray[np.int64]
    starts: NDArray[np.int64]
    gain: NDArray[np.float64]

    @classmethod
    def of(cls, proposals: Proposals, targets: Targets, gain: NDArray[np.float64]) -> Self:
        """gain: (entries of `targets.tracks`, 2)."""
        wanted = pair_keys(targets.queries(), targets.tracks, proposals.tracks)
        found = contains(proposals.keys, wanted)
        target, query = np.searchsorted(proposals.keys, wanted[found]), targets.queries()[found]
        begin, end = (np.searchsorted(proposals.keys, (query + more) * proposals.tracks) for more in (0, 1))
        ends = np.cumsum(end - begin)
        starts = ends - (end - begin)
        against = np.repeat(np.arange(len(target)), end - begin)
        competitors = np.arange(len(against)) - starts[against] + begin[against]
        return cls(proposals, target, competitors, against, starts, gain[found])

    def reached(self, settings: FusionSettings, k: int) -> tuple[float, float]:
        """The sums of gain / log2(rank + 1) over the targets among the first k of `Proposals.ranked`."""
        if not len(self.target):
            return 0.0, 0.0
        total, proposed = self.proposals.totals(settings)
        total[~proposed] = -np.inf
        own, other = total[self.target][self.against], total[self.competitors]
        ahead = (other > own) | ((other == own) & (self.competitors < self.target[self.against]))
        rank = np.add.reduceat(ahead, self.starts, dtype=np.int64) + 1
        found = proposed[self.target] & (rank <= k)
        among_all, for_new = (self.gain[found] / np.log2(rank[found] + 1)[:, None]).sum(axis=0)
        return float(among_all), float(for_new)

    def quality(self, settings: FusionSettings, k: int, floor: float) -> float:
        """What a fusion is chosen by: new songs count more only where all songs together reach `floor`.

        So new songs are never paid for with an answer worse than `floor` for everything else.
        """
        among_all, for_new = self.reached(settings, k)
        return among_all + (for_new if among_all >= floor - ROUNDING else 0.0)
