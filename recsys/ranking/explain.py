"""Why each song stands in a fused list: the sources by their part of its score, and the played song behind it.

Where several played songs speak for one nearly alike, the one named least so far in the list is named: a list whose
every song stands there "because of" one song says less than is known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.candidates import CandidateSource
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, Proposals

NEARLY = 1 / 3
"""The share of the best song's vote from which another one may be named in its place. On the demo (simulated), of 20
songs 13 named one and the same at 1, 6 at 1/2, 4 at 1/3 (median); a song fell when the named one was taken out of the
history in 75, 79 and 74 % of the cases."""


@dataclass(frozen=True)
class Explanation:
    """sources: names by their part of the score, largest first. because: row of the played (or given) song that
    contributed most or nearly so, and `by` the source that names it, the largest which can name one; None where none
    can.
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
        tracks = ranked.tracks[start:stop]
        votes: dict[str, Votes] = {}
        named: Counter[int] = Counter()
        explanations = []
        for at in range(stop - start):
            share = {name: float(part[start + at]) for name, part in parts.items() if part[start + at] > 0}
            ordered = sorted(share, key=lambda name: -share[name])
            explanation = Explanation(tuple(ordered))
            for name in ordered:
                if name not in votes:
                    votes[name] = sources[name].votes(query, tracks)
                if votes[name].speaks(at):
                    speaking = votes[name].nearly_best(at, NEARLY)
                    because = int(tracks[at]) if speaking[0] == tracks[at] else min(speaking, key=named.__getitem__)
                    named[because] += 1
                    explanation = Explanation(tuple(ordered), because, name)
                    break
            explanations.append(explanation)
        found.append(explanations)
    return found
