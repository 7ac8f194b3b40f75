"""Are songs that are new to the models recommended as often as they are wanted? Their share of the lists against it.

Of every query the share of its first k answers that is new, and the share of its targets; means over queries, and the
ratio of the two: 1 is calibrated, 2 shows twice as many new songs as are wanted. A list may be right in this and wrong
in which new songs it shows; a ranking that never shows one has 0.
"""

import numpy as np
from numpy.typing import NDArray

from eval.statistics import Interval, bootstrap_intervals, ratio_interval
from recsys.ranked import Ranked
from recsys.tasks.accuracy import first_ranks
from recsys.tasks.targets import Targets

AT = (20, 100)
"""How many answers are looked at."""
WANTED = "new_wanted"
NEW_SONGS = (WANTED, *(f"{name}@{k}" for k in AT for name in ("new_share", "new_calibration")))
"""What `new_songs` measures."""


def new_songs(
    ranked: Ranked, targets: Targets, new: NDArray[np.bool_], groups: NDArray[np.int64], resamples: int = 1000
) -> dict[str, dict[str, float] | None]:
    """NEW_SONGS by name: mean, over how many `queries`, and 95 % interval (low, high).

    new: (N,). groups: (Q,), queries of equal value are drawn together. A query without an answer has no share and takes
    no part in the ratio. None where nothing is to be told: no answer, or for the ratio no new song that is wanted.
    """
    wanted = share(targets.queries(), targets.tracks, new, len(targets))
    found: dict[str, dict[str, float] | None] = {WANTED: _mean(wanted, groups, resamples)}
    for k in AT:
        queries, _, tracks = first_ranks(ranked, np.full(len(ranked), k, np.int64))
        answered = share(queries, tracks, new, len(ranked))
        found[f"new_share@{k}"] = _mean(answered, groups, resamples)
        both = ~np.isnan(answered) & ~np.isnan(wanted)
        ratio = None
        if wanted[both].sum() > 0:
            interval = ratio_interval(answered[both], wanted[both], groups=groups[both], resamples=resamples)
            ratio = _told(interval, int(both.sum()))
        found[f"new_calibration@{k}"] = ratio
    return found


def share(
    queries: NDArray[np.int64], tracks: NDArray[np.int32], new: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    """(count,) the share of each query's songs that is new; NaN for a query without songs.

    >>> share(np.array([0, 0, 2]), np.array([1, 0, 1], np.int32), np.array([False, True]), 3).tolist()
    [0.5, nan, 1.0]
    """
    every = np.bincount(queries, minlength=count).astype(np.float64)
    of_new = np.bincount(queries, weights=new[tracks], minlength=count)
    shares: NDArray[np.float64] = np.divide(of_new, every, out=np.full(count, np.nan), where=every > 0)
    return shares


def _mean(values: NDArray[np.float64], groups: NDArray[np.int64], resamples: int) -> dict[str, float] | None:
    has = ~np.isnan(values)
    if not has.any():
        return None
    intervals = bootstrap_intervals({"share": values[has]}, groups=groups[has], resamples=resamples)
    return _told(intervals["share"], int(has.sum()))


def _told(interval: Interval, queries: int) -> dict[str, float]:
    return {**{end: value for end, value in interval.items() if isinstance(value, float)}, "queries": queries}
