"""Why each song stands in a fused list: the sources by their part of its score, and the played song behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.candidates import CandidateSource
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, Proposals


@dataclass(frozen=True)
class Explanation:
    """sources: names by their part of the score, largest first. because: row of the played (or given) song that
    contributed most, and `by` the source that names it, the largest which can name one; None where none can.
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
        tracks, because = ranked.tracks[start:stop], {}
        explanations = []
        for at in range(stop - start):
            share = {name: float(part[start + at]) for name, part in parts.items() if part[start + at] > 0}
            ordered = sorted(share, key=lambda name: -share[name])
            explanation = Explanation(tuple(ordered))
            for name in ordered:
                if name not in because:
                    because[name] = sources[name].because(query, tracks)
                if (track := because[name][at]) is not None:
                    explanation = Explanation(tuple(ordered), int(track), name)
                    break
            explanations.append(explanation)
        found.append(explanations)
    return found
