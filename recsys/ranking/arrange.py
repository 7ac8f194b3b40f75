"""The order in which a list is shown: what is fused, less what is filtered, as the listener wishes it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING, Query
from recsys.ranking.daily import DRAWN_FROM, drawn
from recsys.ranking.filters import UNCAPPED, Caps, SongGroups
from recsys.ranking.steering.discovery import turned
from recsys.ranking.steering.diversity import Diversity

SPARE = 10
"""Songs fused beyond what is needed: a catalogue holds some songs twice, and each is recommended once."""


DEEPER = 8
"""Times k: how many neighbours are looked at first for k of enough artists, and how many times more if need be."""
ALL = 1 << 30
"""More songs than any catalogue has."""


@dataclass(frozen=True)
class Asked:
    """A query, and how its list is to be arranged.

    caps: how many songs of an artist, an album and a recording it holds. later: songs dealt to other days, answered
    when nothing else is left. resembling: (N,) songs that resemble what the listener disliked, behind all others; None
    where nothing was. novelty: (N,) what songs gain for being little known. luck: draws the order. diversity: chooses
    songs that are less alike. None of these three keeps the ranking.
    """

    query: Query
    caps: Caps = UNCAPPED
    later: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    resembling: NDArray[np.bool_] | None = None
    luck: int | None = None
    diversity: Diversity | None = None
    novelty: NDArray[np.float64] | None = None

    @property
    def of_sources(self) -> Query:
        """What sources are asked: nothing of other days."""
        if not len(self.later):
            return self.query
        return replace(self.query, exclude=np.union1d(self.query.exclude, self.later))

    @property
    def keeps_order(self) -> bool:
        """Whether songs stand as they are ranked, but for those that are left out."""
        return self.luck is None and self.diversity is None and self.novelty is None

    def depth(self, k: int) -> int:
        """How many songs must be fused for k to be left; all that are proposed where later ones may move up."""
        if self.caps.any or self.diversity is not None or self.novelty is not None:
            return ALL
        return (DRAWN_FROM if self.luck is not None else 2) * k + SPARE


Row = tuple[NDArray[np.int32], NDArray[np.float32]]


def arranged(row: Row, asked: Asked, groups: SongGroups, k: int, whole: bool = False) -> Row:
    """The k songs to show of a fused row (tracks, scores) and what they are ordered by.

    whole: songs that resemble a dislike stand behind the others, else they are left for the floor to bring. Scores
    never rise: a song that stands behind others of its artist has at most the score of the song before it.
    """
    if not whole and asked.keeps_order and len(row[0]) > (first := DEEPER * k):
        # Where the first of the row are enough within every cap, they are the same as of all of it.
        strict = replace(asked, caps=replace(asked.caps, gives_way=False))
        found = _arranged((row[0][:first], row[1][:first]), strict, groups, k, whole)
        if len(found[0]) == k:
            return found
    return _arranged(row, asked, groups, k, whole)


def _arranged(row: Row, asked: Asked, groups: SongGroups, k: int, whole: bool) -> Row:
    kept = groups.kept(row[0], asked.query.exclude, Caps(versions=asked.caps.versions))
    if asked.resembling is not None:
        resembling = asked.resembling[row[0][kept]]
        kept = np.concatenate([kept[~resembling], kept[resembling]]) if whole else kept[~resembling]
    tracks, scores = row[0][kept], np.minimum.accumulate(row[1][kept])
    if asked.novelty is not None:
        places, scores = turned(tracks, asked.novelty)
        tracks = tracks[places]
    if asked.luck is not None:
        places, scores = drawn(tracks[: DRAWN_FROM * k], asked.luck)
        behind = tracks[DRAWN_FROM * k :]  # needed where most that were drawn are by the same artists
        tracks, scores = np.concatenate([tracks[places], behind]), np.append(scores, np.zeros(len(behind), np.float32))
    if asked.diversity is not None:
        places, scores = asked.diversity.order(tracks, k)
        tracks = tracks[places]
    if asked.caps.any:
        kept = groups.kept(tracks, caps=asked.caps)
        tracks, scores = tracks[kept], np.minimum.accumulate(scores[kept])
    return tracks[:k], scores[:k]


def within_caps(nearest: Callable[[int], Row], asked: Asked, groups: SongGroups, k: int) -> Row:
    """The k songs to show of a search that finds as many as it is asked for, nearest first.

    Asked for more until k songs of enough artists are found, or nothing is left.
    """
    most = (DEEPER if asked.depth(k) == ALL else DRAWN_FROM) * k + SPARE
    strict = replace(asked, caps=replace(asked.caps, gives_way=False))
    while True:
        row = nearest(most)
        if len(row[0]) < most or len(arranged(row, strict, groups, k)[0]) >= k:
            return arranged(row, asked, groups, k, whole=True)
        most *= DEEPER
