"""Why each song stands in a list: the sources by their part of its score, and the played song behind it.

A played song is named where leaving it out puts the recommended one farther down: the list is made again without it.
What sources give for a song tells which ones to try, and no more: of the songs that gave most, 74 % passed (demo,
simulated), for what they give to the songs below counts as well. Where several pass, the one named least so far in
the list is named: a list whose every song stands there "because of" one song says less than is known.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.candidates import CandidateSource
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, Proposals

NEARLY = 1 / 3
"""The share of what the best song gives from which another one may be named in its place."""
TRIED, MOST_TRIED = 2, 6
"""Songs left out for each recommended one, and for a list, which takes as many times as long as the list alone. On the
demo (simulated), where 20 songs rest on 70 played ones, 6 name a song for 89 of 100 and 5 different ones in a list; 12
name 92 and 7 in twice the time, and more no more."""
BELOW = 3
"""Songs below that leaving one out may bring past a song."""
MOST_NAMED = 2
"""Songs named where none alone stands behind a song."""
AT_ONCE = 50
"""Lists explained together, which bounds the memory."""

Again = Callable[[Sequence[int], Sequence[Query]], Sequence[NDArray[np.int32]]]
"""The numbers of queries and what is asked in their place -> the whole list of each, best first."""


@dataclass(frozen=True)
class Explanation:
    """sources: names by their part of the score, largest first, and `shares` of it, which add up to 1. because: row of
    a played (or given) song without which the song would stand farther down, and `by` the source through which it
    counts most; None where no single song was found. of_likes: whether it speaks for songs like this one, in that
    source. most: where there is no such song, those that give most through `by`.
    """

    sources: tuple[str, ...]
    because: int | None = None
    by: str | None = None
    shares: tuple[float, ...] = ()
    of_likes: bool = False
    most: tuple[int, ...] = ()


def explain(
    queries: Sequence[Query],
    ranked: Ranked,
    proposals: Proposals,
    settings: FusionSettings,
    sources: Mapping[str, CandidateSource],
    again: Again | None = None,
    before: Sequence[NDArray[np.int32]] = (),
) -> list[list[Explanation]]:
    """One explanation per song of each query's list, from the numbers that the fusion added up.

    again: makes lists again, as far as a song of the list may stand; None names songs by what they give alone. before:
    each list as `again` would make it of the same query, whole.
    """
    parts = proposals.contributions(settings, ranked.rows, ranked.tracks)
    found = []
    for first in range(0, len(queries), AT_ONCE):
        voices = []
        for row in range(first, min(first + AT_ONCE, len(queries))):
            within = slice(ranked.offsets[row], ranked.offsets[row + 1])
            own = {name: part[within] for name, part in parts.items() if (part[within] > 0).any()}
            voices.append(Voices.of(queries[row], ranked.tracks[within], own, sources))
        passed = (
            _passed(first, queries, voices, before, again) if again is not None else [each.total > 0 for each in voices]
        )
        found += [list(_explanations(each, passes)) for each, passes in zip(voices, passed, strict=True)]
    return found


@dataclass(frozen=True)
class Voices:
    """What each song of a history gives to each of a list's songs.

    songs: (H,) of the history, each once. tracks: (T,) of the list. parts: what each source adds to each song's score
    (T,). given: per source (H, T); its part is divided among the songs of the history by their votes, the one that
    gives most standing for all of it. of_likes: (H, T) of the sources that tell.
    """

    songs: NDArray[np.int32]
    tracks: NDArray[np.int32]
    parts: Mapping[str, NDArray[np.float64]]
    given: Mapping[str, NDArray[np.float64]]
    of_likes: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        query: Query,
        tracks: NDArray[np.int32],
        parts: Mapping[str, NDArray[np.float64]],
        sources: Mapping[str, CandidateSource],
    ) -> "Voices":
        songs, given, of_likes = np.unique(query.history), {}, {}
        for name, part in parts.items():
            votes = sources[name].votes(query, tracks)
            values = np.zeros((len(songs), len(tracks)))
            values[np.searchsorted(songs, votes.songs)] = np.maximum(votes.values, 0)
            if votes.of_likes is not None:
                of_likes[name] = np.zeros(values.shape, np.bool_)
                of_likes[name][np.searchsorted(songs, votes.songs)] = votes.of_likes
            most = values.max(axis=0, initial=0)
            given[name] = values * np.divide(part, most, out=np.zeros(len(tracks)), where=most > 0)
        return cls(songs, tracks, parts, given, of_likes)

    def speaks(self, source: str, row: int, at: int) -> tuple[bool, bool]:
        """Whether a song of the history gives anything to one of the list through a source, and whether it does so for
        songs that are like that one."""
        of_likes = self.of_likes.get(source)
        return bool(self.given[source][row, at] > 0), of_likes is not None and bool(of_likes[row, at])

    @cached_property
    def total(self) -> NDArray[np.float64]:
        """(H, T) through all sources together."""
        none = np.zeros((len(self.songs), len(self.tracks)))
        return np.asarray(np.sum([none, *self.given.values()], axis=0))

    @cached_property
    def tried(self) -> list[int]:
        """Rows of the songs to leave out: for each of the list those that give it most beyond what they give to the
        songs just below, less the distance to those; the ones that may explain most songs first."""
        if not self.total.size:
            return []
        scores = np.sum([np.zeros(len(self.tracks)), *self.parts.values()], axis=0)
        beyond = np.full(self.total.shape, -np.inf)
        for below in range(1, min(BELOW + 1, len(self.tracks))):
            lead = self.total[:, :-below] - self.total[:, below:] - (scores[:-below] - scores[below:])
            beyond[:, :-below] = np.maximum(beyond[:, :-below], lead)
        beyond[:, -1:] = (self.total - self.total.mean(axis=1, keepdims=True))[:, -1:]
        beyond[self.total <= 0] = -np.inf
        first = np.argsort(-beyond, axis=0, kind="stable")[:TRIED]
        speaking = np.take_along_axis(self.total, first, axis=0) > 0
        return [row for row, _ in Counter(first[speaking].tolist()).most_common(MOST_TRIED)]


def _passed(
    first: int,
    queries: Sequence[Query],
    voices: Sequence[Voices],
    before: Sequence[NDArray[np.int32]],
    again: Again,
) -> list[NDArray[np.bool_]]:
    """(H, T) for each list: the songs of the history that were left out and put a song farther down."""
    asked: list[tuple[int, Query]] = []
    for row, each in enumerate(voices, start=first):
        asked += [(row, queries[row].never_played(int(each.songs[at]))) for at in each.tried]
    lists = iter(again([row for row, _ in asked], [query for _, query in asked]) if asked else ())
    found = []
    for row, each in enumerate(voices, start=first):
        passes = np.zeros(each.total.shape, np.bool_)
        stood = _places(before[row], each.tracks)
        for at in each.tried:
            without = next(lists)
            # The song itself may have come in, which puts everything below it down and says nothing.
            passes[at] = _places(without[without != each.songs[at]], each.tracks) > stood
        found.append(passes & (each.total > 0))
    return found


def _places(ranked: NDArray[np.int32], tracks: NDArray[np.int32]) -> NDArray[np.int64]:
    """(T,) where the songs stand in a ranking; behind every place where they do not, as in an empty one."""
    places = np.full(len(tracks), np.iinfo(np.int64).max)
    if len(ranked):
        order = np.argsort(ranked, kind="stable")
        at = order[np.minimum(np.searchsorted(ranked[order], tracks), len(ranked) - 1)]
        stands = ranked[at] == tracks
        places[stands] = at[stands]
    return places


def _explanations(voices: Voices, passes: NDArray[np.bool_]) -> Iterator[Explanation]:
    """For each song its sources, and the song of the history that is named."""
    times = np.zeros(len(voices.songs), np.int64)
    for at, track in enumerate(voices.tracks):
        share = {name: float(part[at]) for name, part in voices.parts.items() if part[at] > 0}
        names = tuple(sorted(share, key=lambda name: -share[name]))
        shares = tuple(share[name] / sum(share.values()) for name in names)
        total = voices.total[:, at]
        chosen = _chosen(total, passes[:, at], times)
        # Who speaks for itself is named whatever the others say.
        if len(total) and total.max() > 0 and voices.songs[total.argmax()] == track:
            chosen = int(total.argmax())
        named = [chosen] if chosen is not None else _foremost(total, total > 0, times)[:MOST_NAMED]
        if not named:
            yield Explanation(names, shares=shares)
            continue
        by = max(voices.given, key=lambda name: float(voices.given[name][named[0], at]))
        # What is said of the first of two songs has to hold for the other.
        named = [row for row in named if voices.speaks(by, row, at) == voices.speaks(by, named[0], at)]
        times[named] += 1
        because, *more = voices.songs[named].tolist()
        _, of_likes = voices.speaks(by, named[0], at)
        if chosen is not None:
            yield Explanation(names, because, by, shares, of_likes)
        else:
            yield Explanation(names, None, by, shares, of_likes, (because, *more))


def _chosen(total: NDArray[np.float64], passes: NDArray[np.bool_], times: NDArray[np.int64]) -> int | None:
    """Of those that pass the foremost."""
    return next(iter(_foremost(total, passes, times)), None)


def _foremost(total: NDArray[np.float64], among: NDArray[np.bool_], times: NDArray[np.int64]) -> list[int]:
    """Those that give nearly most: those named least so far first, and of these those that give most."""
    if not among.any():
        return []
    nearly = np.flatnonzero(among & (total >= NEARLY * total[among].max()))
    return [int(row) for row in nearly[np.lexsort((-total[nearly], times[nearly]))]]
