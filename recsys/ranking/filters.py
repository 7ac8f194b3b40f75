"""Filters: which songs of a ranking stay, before it is shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING


@dataclass(frozen=True)
class SongGroups:
    """Which songs belong together. artists, recordings: (N,) a number each; -1 is unknown and belongs to nothing."""

    artists: NDArray[np.int32]
    recordings: NDArray[np.int32]

    def kept(
        self, tracks: NDArray[np.int32], but: NDArray[np.int32] = NOTHING, per_artist: int | None = None
    ) -> NDArray[np.int64]:
        """Places of the ranked tracks that stay: the first of each song's versions, none of the songs `but` nor another
        version of them, and at most so many by one artist."""
        known = self.recordings[but]
        left = ~np.isin(tracks, but) & ~np.isin(self.recordings[tracks], known[known >= 0])
        left[left] = places_in_groups(tracks[left]) == 0
        left[left] = places_in_groups(self.recordings[tracks[left]]) == 0
        if per_artist is not None:
            left[left] = places_in_groups(self.artists[tracks[left]]) < per_artist
        return np.flatnonzero(left)


def places_in_groups(groups: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many of the same group stand before each (T,); 0 for those of no group, -1.

    >>> places_in_groups(np.array([5, 5, -1, 7, 5, -1])).tolist()
    [0, 1, 0, 0, 2, 0]
    """
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order], side="left")
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - starts
    return np.where(groups < 0, 0, places)
