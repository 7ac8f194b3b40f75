"""Filters: songs removed from a ranking before it is shown."""

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked


def cap_groups(ranked: Ranked, groups: NDArray[np.int32], most: int) -> Ranked:
    """At most `most` songs of one group (an artist, a recording) per query, the best of them.

    groups: (N,) a number each; -1 is unknown and never capped.
    """
    rows = []
    for tracks, scores in ranked:
        by = groups[tracks]
        order = np.argsort(by, kind="stable")
        starts = np.searchsorted(by[order], by[order], side="left")
        place = np.empty(len(tracks), np.int64)
        place[order] = np.arange(len(tracks)) - starts
        keep = (place < most) | (by < 0)
        rows.append((tracks[keep], scores[keep]))
    return Ranked.from_rows(rows)
