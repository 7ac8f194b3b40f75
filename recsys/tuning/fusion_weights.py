"""Chooses the fusion's method and weights on validation, by coordinate ascent from several starts."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked
from recsys.ranking.fusion import METHODS, FusionSettings, Method, Proposals
from recsys.settings import TuningSettings
from recsys.tasks.targets import Targets
from recsys.tuning.fusion_objective import TargetRanks

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
UNPLAYED_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Higher, as one content source competes with the sum of those that learn from plays."""
PASSES = 2
Quality = Callable[[FusionSettings], float]


def tune_fusion(
    rankings: Mapping[str, Ranked],
    targets: Targets,
    gain: NDArray[np.float64],
    unplayed: NDArray[np.bool_],
    k: int,
    tuning: TuningSettings,
) -> tuple[float, FusionSettings]:
    """The best settings found, and the `TargetRanks.quality` they reach; the floor is the best source alone.

    Starts from equal weights and from the best source alone, with either method. The winner is the best at full depth,
    as the product answers, of what was found and of every source alone: so it is never behind one on all songs.
    unplayed: (N,) songs without a play in training; their weights are chosen on their own. Without targets it is
    reciprocal rank with equal weights.
    """
    if not len(targets.tracks):
        return 0.0, FusionSettings(weights=dict.fromkeys(rankings, 1.0))
    judged: list[tuple[float, FusionSettings]] = []
    for method in METHODS:
        near, full = (
            TargetRanks.of(Proposals.gather(rankings, method, unplayed, depth), targets, gain) for depth in (k, None)
        )
        alone = [_weighing(method, {name: float(name == only) for name in rankings}, near) for only in rankings]
        floor, best = max(((near.reached(one, k)[0], one) for one in alone), key=lambda item: item[0])
        quality = partial(near.quality, k=k, floor=floor * (1 + tuning.safety_margin))
        equal = _weighing(method, dict.fromkeys(rankings, 1.0), near)
        found = [_pruned(quality, _ascend(quality, start), tuning.min_gain) for start in (equal, best)]
        judged += [(full.quality(settings, k, floor), settings) for settings in (*found, best)]
    return max(judged, key=lambda item: item[0])


def _ascend(quality: Quality, point: FusionSettings) -> FusionSettings:
    """Coordinate ascent over both sets of weights; at least one source keeps a weight for songs with plays."""
    reached = quality(point)
    for _ in range(PASSES):
        before = reached
        for field, name, choices in _coordinates(point):
            for choice in choices:
                trial = _changed(point, field, name, choice)
                if trial == point or not any(trial.weights.values()):
                    continue
                gained = quality(trial)
                if gained > reached:
                    point, reached = trial, gained
        if reached == before:
            break
    return point


def _pruned(quality: Quality, point: FusionSettings, min_gain: float) -> FusionSettings:
    """Drops source weights whose joint relative gain is below `min_gain`, the least useful first."""
    enough = quality(point) * (1 - min_gain)
    while True:
        fewer = [
            _changed(point, field, name, 0.0) for field, name, _ in _coordinates(point) if getattr(point, field)[name]
        ]
        trials = [(quality(trial), trial) for trial in fewer if any(trial.weights.values())]
        if not trials:
            return point
        left, trial = max(trials, key=lambda item: item[0])
        if left < enough:
            return point
        point = trial


def _weighing(method: Method, weights: dict[str, float], target_ranks: TargetRanks) -> FusionSettings:
    """The same weights for songs with and without plays."""
    unplayed = {name: weights[name] for name in target_ranks.proposals.of_unplayed()}
    return FusionSettings(method=method, weights=weights, unplayed_weights=unplayed)


def _coordinates(point: FusionSettings) -> list[tuple[str, str, tuple[float, ...]]]:
    """Every weight there is, and what it may be."""
    return [
        *(("weights", name, WEIGHTS) for name in point.weights),
        *(("unplayed_weights", name, UNPLAYED_WEIGHTS) for name in point.unplayed_weights),
    ]


def _changed(point: FusionSettings, field: str, name: str, weight: float) -> FusionSettings:
    return point.model_copy(update={field: {**getattr(point, field), name: weight}})
