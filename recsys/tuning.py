"""Choosing the fusion on validation: method and weights, by coordinate ascent from several starts."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recsys.fusion import METHODS, FusionSettings, Proposals
from recsys.ranked import Ranked

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
BOOSTS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
PASSES = 2
BOOST = "boost"


def tune_fusion(
    rankings: Mapping[str, Ranked],
    quality: Callable[[Ranked], float],
    tracks: int,
    k: int,
    unplayed: NDArray[np.bool_] | None = None,
    search: bool = True,
) -> tuple[float, FusionSettings]:
    """The best settings found and their quality on validation.

    Starts from equal weights and from the best source alone, with either method; a setting is changed only for a gain.
    k: how deep the quality looks. unplayed: (N,) songs without a play in training, for which a boost is chosen.
    search=False (nothing to validate on) gives reciprocal rank with equal weights.
    """
    equal = dict.fromkeys(rankings, 1.0)
    if not search:
        return 0.0, FusionSettings(weights=equal)
    alone = {name: quality(ranked) for name, ranked in rankings.items()}
    best_alone = max(alone, key=lambda name: alone[name])
    found: list[tuple[float, FusionSettings]] = []
    for method in METHODS:
        proposals = Proposals.gather(rankings, method, tracks, depth=k)

        def value(point: Mapping[str, float], of: Proposals = proposals) -> float:
            return quality(of.ranked(point, k, point[BOOST], unplayed))

        for start in (equal, {name: float(name == best_alone) for name in rankings}):
            reached, point = _ascend(value, {**start, BOOST: 1.0})
            boost = point.pop(BOOST)
            found.append((reached, FusionSettings(method=method, weights=point, boost=boost)))
    return max(found, key=lambda item: item[0])


def _ascend(
    value: Callable[[Mapping[str, float]], float], start: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """Coordinate ascent over the sources' weights and the boost."""
    point, reached = dict(start), value(start)
    for _ in range(PASSES):
        before = reached
        for name in start:
            for choice in BOOSTS if name == BOOST else WEIGHTS:
                trial = {**point, name: choice}
                if choice == point[name] or not any(trial[source] for source in trial if source != BOOST):
                    continue
                gained = value(trial)
                if gained > reached:
                    point, reached = trial, gained
        if reached == before:
            break
    return reached, point
