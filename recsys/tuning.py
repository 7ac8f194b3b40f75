"""Choosing the fusion on validation: method and weights, by coordinate ascent from several starts."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recsys.fusion import METHODS, FusionSettings, Method, Proposals
from recsys.quality import Targets
from recsys.race import Race
from recsys.ranked import Ranked

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
UNPLAYED_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Higher, for one source alone has to stand up to the sum of those that learn from plays."""
PASSES = 2
WORTHWHILE = 0.005
"""Weights that together gain no more than this share of the quality are left out: on some hundred queries that may be
chance, and each source has to be asked for every answer."""


def tune_fusion(
    rankings: Mapping[str, Ranked], targets: Targets, worth: NDArray[np.float64], unplayed: NDArray[np.bool_], k: int
) -> tuple[float, FusionSettings]:
    """The best settings found and their quality on validation: the sum of `worth` over targets, see `Race.quality`.

    Starts from equal weights and from every source alone that is best for either kind of song, with either method. The
    winner is the best at full depth, as the product answers, of what was found and of every source alone: so it is
    never behind one. unplayed: (N,) songs without a play in training; their weights are chosen on their own. Without
    targets it is reciprocal rank with equal weights.
    """
    if not len(targets.tracks):
        return 0.0, FusionSettings(weights=dict.fromkeys(rankings, 1.0))
    judged: list[tuple[float, FusionSettings]] = []
    for method in METHODS:
        near, full = (
            Race.of(Proposals.gather(rankings, method, unplayed, depth), targets, worth) for depth in (k, None)
        )
        alone = [_weighing(method, {name: float(name == only) for name in rankings}, near) for only in rankings]
        best = max(alone, key=lambda settings: near.quality(settings, k))
        equal = _weighing(method, dict.fromkeys(rankings, 1.0), near)
        found = [_pruned(near, _ascend(near, start, k), k) for start in (equal, best)]
        judged += [(full.quality(settings, k), settings) for settings in (*found, *alone)]
    return max(judged, key=lambda item: item[0])


def _ascend(race: Race, point: FusionSettings, k: int) -> FusionSettings:
    """Coordinate ascent over both sets of weights; at least one source keeps a weight for songs with plays."""
    reached = race.quality(point, k)
    for _ in range(PASSES):
        before = reached
        for field, name, choices in _coordinates(point):
            for choice in choices:
                trial = _changed(point, field, name, choice)
                if trial == point or not any(trial.weights.values()):
                    continue
                gained = race.quality(trial, k)
                if gained > reached:
                    point, reached = trial, gained
        if reached == before:
            break
    return point


def _pruned(race: Race, point: FusionSettings, k: int) -> FusionSettings:
    """Without the weights that are not worth their while, the least useful first."""
    enough = race.quality(point, k) * (1 - WORTHWHILE)
    while True:
        fewer = [
            _changed(point, field, name, 0.0) for field, name, _ in _coordinates(point) if getattr(point, field)[name]
        ]
        trials = [(race.quality(trial, k), trial) for trial in fewer if any(trial.weights.values())]
        if not trials:
            return point
        left, trial = max(trials, key=lambda item: item[0])
        if left < enough:
            return point
        point = trial


def _weighing(method: Method, weights: dict[str, float], race: Race) -> FusionSettings:
    """The same weights for songs with and without plays."""
    unplayed = {name: weights[name] for name in race.proposals.of_unplayed()}
    return FusionSettings(method=method, weights=weights, unplayed_weights=unplayed)


def _coordinates(point: FusionSettings) -> list[tuple[str, str, tuple[float, ...]]]:
    """Every weight there is, and what it may be."""
    return [
        *(("weights", name, WEIGHTS) for name in point.weights),
        *(("unplayed_weights", name, UNPLAYED_WEIGHTS) for name in point.unplayed_weights),
    ]


def _changed(point: FusionSettings, field: str, name: str, weight: float) -> FusionSettings:
    return point.model_copy(update={field: {**getattr(point, field), name: weight}})
