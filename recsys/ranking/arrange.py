"""The order in which a list is shown: what is fused, less what is filtered, as the listener wishes it."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING, Query
from recsys.ranking.daily import DRAWN_FROM, drawn
from recsys.ranking.filters import SongGroups

SPARE = 10
"""Songs fused beyond what is needed: a catalogue holds some songs twice, and each is recommended once."""


@dataclass(frozen=True)
class Asked:
    """A query, and how its list is to be arranged.

    later: songs dealt to other days, answered when nothing else is left. resembling: (N,) songs that resemble what the
    listener disliked, behind all others; None where nothing was. luck: draws the order; None keeps the ranking.
    """

    query: Query
    per_artist: int | None = None
    later: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    resembling: NDArray[np.bool_] | None = None
    luck: int | None = None

    @property
    def of_sources(self) -> Query:
        """What sources are asked: nothing of other days."""
        if not len(self.later):
            return self.query
        return replace(self.query, exclude=np.union1d(self.query.exclude, self.later))

    def depth(self, k: int) -> int:
        """How many songs must be fused for k to be left."""
        return (10 if self.per_artist is not None else DRAWN_FROM if self.luck is not None else 2) * k + SPARE


Row = tuple[NDArray[np.int32], NDArray[np.float32]]


def arranged(row: Row, asked: Asked, groups: SongGroups, k: int) -> Row:
    """The k songs to show of a fused row (tracks, scores) and what they are ordered by."""
    kept = groups.kept(row[0], asked.query.exclude)
    if asked.resembling is not None:
        kept = kept[~asked.resembling[row[0][kept]]]  # the floor brings them, behind all others
    tracks, scores = row[0][kept], row[1][kept]
    if asked.luck is not None:
        tracks = tracks[: DRAWN_FROM * k]
        places, scores = drawn(tracks, asked.luck)
        tracks = tracks[places]
    if asked.per_artist is not None:
        kept = groups.kept(tracks, per_artist=asked.per_artist)
        tracks, scores = tracks[kept], scores[kept]
    return tracks[:k], scores[:k]
