"""Choosing the fusion on validation: method and weights, by coordinate ascent from several starts."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from recsys.fusion import METHODS, FusionSettings, Proposals
from recsys.ranked import Ranked

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
UNPLAYED_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Higher, for one source alone has to stand up to the sum of those that learn from plays."""
PASSES = 2


def tune_fusion(
    rankings: Mapping[str, Ranked],
    quality: Callable[[Ranked], float],
    unplayed: NDArray[np.bool_],
    k: int,
    search: bool = True,
) -> tuple[float, FusionSettings]:
    """The best settings found and their quality on validation.

    Starts from equal weights and from the best source alone, with either method; a setting is changed only for a gain.
    unplayed: (N,) songs without a play in training; their weights are chosen on their own. k: how deep the quality
    looks. search=False (nothing to validate on) gives reciprocal rank with equal weights.
    """
    equal = dict.fromkeys(rankings, 1.0)
    if not search:
        return 0.0, FusionSettings(weights=equal)
    alone = {name: quality(ranked) for name, ranked in rankings.items()}
    best_alone = max(alone, key=lambda name: alone[name])
    found: list[tuple[float, FusionSettings]] = []
    for method in METHODS:
        proposals = Proposals.gather(rankings, method, unplayed, depth=k)
        for weights in (equal, {name: float(name == best_alone) for name in rankings}):
            start = FusionSettings(
                method=method,
                weights=weights,
                unplayed_weights={name: weights[name] for name in proposals.of_unplayed()},
            )
            found.append(_ascend(proposals, quality, start, k))
    return max(found, key=lambda item: item[0])


def _ascend(
    proposals: Proposals, quality: Callable[[Ranked], float], start: FusionSettings, k: int
) -> tuple[float, FusionSettings]:
    """Coordinate ascent over both sets of weights; at least one source keeps a weight for songs with plays."""
    point, reached = start, quality(proposals.ranked(start, k))
    coordinates = [
        *(("weights", name, WEIGHTS) for name in start.weights),
        *(("unplayed_weights", name, UNPLAYED_WEIGHTS) for name in start.unplayed_weights),
    ]
    for _ in range(PASSES):
        before = reached
        for field, name, choices in coordinates:
            for choice in choices:
                trial = point.model_copy(update={field: {**getattr(point, field), name: choice}})
                if trial == point or not any(trial.weights.values()):
                    continue
                gained = quality(proposals.ranked(trial, k))
                if gained > reached:
                    point, reached = trial, gained
        if reached == before:
            break
    return reached, point
