"""Filters: which songs of a ranking stay, before it is shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING


@dataclass(frozen=True)
class Caps:
    """How many songs of a kind one list may hold; None sets no limit. gives_way: songs beyond `per_artist` follow
    behind all others, instead of none. versions: several versions of one recording may stand in a list."""

    per_artist: int | None = None
    per_album: int | None = None
    gives_way: bool = False
    versions: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is limited, versions aside."""
        return self.per_artist is not None or self.per_album is not None


UNCAPPED = Caps()


@dataclass(frozen=True)
class SongGroups:
    """Which songs belong together. artists, albums, recordings: (N,) a number each; -1 is unknown and belongs to
    nothing. An album's songs have one artist."""

    artists: NDArray[np.int32]
    albums: NDArray[np.int32]
    recordings: NDArray[np.int32]

    def kept(
        self, tracks: NDArray[np.int32], but: NDArray[np.int32] = NOTHING, caps: Caps = UNCAPPED
    ) -> NDArray[np.int64]:
        """Places of the ranked tracks that stay: the first of each song's versions, none of the songs `but` nor another
        version of them, and no more of an album or artist than the caps allow, in the tracks' order.

        Where a cap gives way: first the songs within it, then as many again of each artist, and so on.
        """
        out = np.zeros(len(self.recordings) + 1, np.bool_)  # the last one is for songs of no recording
        out[but] = True
        left = ~out[tracks]
        if not caps.versions:
            out[:] = False
            out[self.recordings[but]] = True
            out[-1] = False
            left &= ~out[self.recordings[tracks]]
        left[left] = places_in_groups(tracks[left]) == 0
        if not caps.versions:
            left[left] = places_in_groups(self.recordings[tracks[left]]) == 0
        if caps.per_album is not None:  # before artists, of which albums are parts: no song is lost to two limits
            left[left] = places_in_groups(self.albums[tracks[left]]) < caps.per_album
        if caps.per_artist is None:
            return np.flatnonzero(left)
        places = np.flatnonzero(left)
        turns = places_in_groups(self.artists[tracks[left]]) // caps.per_artist
        return places[np.argsort(turns, kind="stable")] if caps.gives_way else places[turns == 0]


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
