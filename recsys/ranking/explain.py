"""Why each song stands in a fused list: the sources by their part of its score, and the played song behind it.

Where several played songs speak for one nearly alike, the one named least so far in the list is named: a list whose
every song stands there "because of" one song says less than is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.candidates import CandidateSource
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, Proposals

NEARLY = 1 / 3
"""The share of what the best song gives from which another one may be named in its place. On the demo (simulated), of
20 songs 14 named one and the same at 1, 7 at 1/2, 5 at 1/3 (median); a song fell when the named one was taken out of
the history in 75, 80 and 74 % of the cases."""


@dataclass(frozen=True)
class Explanation:
    """sources: names by their part of the score, largest first. because: row of the played (or given) song that
    contributed most or nearly so, and `by` the source through which it did; None where no source can name one.
    """

    sources: tuple[str, ...]
    because: int | None = None
    by: str | None = None


def explain(
    queries: Sequence[Query],
    ranked: Ranked,
    proposals: Proposals,
    settings: FusionSettings,
    sources: Mapping[str, CandidateSource],
) -> list[list[Explanation]]:
    """One explanation per song of each query's list, from the numbers that the fusion added up."""
    rows = np.repeat(np.arange(len(queries)), np.diff(ranked.offsets))
    parts = proposals.contributions(settings, rows, ranked.tracks)
    found = []
    for row, query in enumerate(queries):
        start, stop = ranked.offsets[row], ranked.offsets[row + 1]
        tracks, own = ranked.tracks[start:stop], {name: part[start:stop] for name, part in parts.items()}
        named = _named(query, tracks, {name: part for name, part in own.items() if (part > 0).any()}, sources)
        explanations = []
        for at, (because, by) in enumerate(named):
            share = {name: float(part[at]) for name, part in own.items() if part[at] > 0}
            explanations.append(Explanation(tuple(sorted(share, key=lambda name: -share[name])), because, by))
        found.append(explanations)
    return found


def _named(
    query: Query,
    tracks: NDArray[np.int32],
    parts: Mapping[str, NDArray[np.float64]],
    sources: Mapping[str, CandidateSource],
) -> list[tuple[int | None, str | None]]:
    """For each song the song of the history that is named, and the source through which it speaks.

    parts: what each source adds to each song's score (T,). A source's part is divided among the songs of the history by
    what they give, the one that gives most standing for all of it.
    """
    songs = np.unique(query.history)
    spoken = {}
    for name, part in parts.items():
        votes = sources[name].votes(query, tracks)
        given = np.zeros((len(songs), len(tracks)))
        given[np.searchsorted(songs, votes.songs)] = np.maximum(votes.values, 0)
        most = given.max(axis=0, initial=0)
        spoken[name] = given * np.divide(part, most, out=np.zeros(len(tracks)), where=most > 0)
    total = np.sum(list(spoken.values()), axis=0) if spoken else np.zeros((0, len(tracks)))
    times = np.zeros(len(songs), np.int64)
    found: list[tuple[int | None, str | None]] = []
    for at, track in enumerate(tracks):
        best = float(total[:, at].max(initial=0))
        if best <= 0:
            found.append((None, None))
            continue
        speaking = np.flatnonzero(total[:, at] >= NEARLY * best)
        loudest = int(total[:, at].argmax())
        # Of those named as often, the one that speaks loudest; who speaks for itself is named whatever the others say.
        order = np.lexsort((-total[speaking, at], times[speaking]))
        chosen = loudest if songs[loudest] == track else int(speaking[order[0]])
        times[chosen] += 1
        found.append((int(songs[chosen]), max(spoken, key=lambda name: float(spoken[name][chosen, at]))))
    return found
