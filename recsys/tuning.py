"""Choosing the fusion on validation: method and weights, by coordinate ascent from several starts."""

from collections.abc import Callable, Mapping

from recsys.fusion import METHODS, FusionSettings, Proposals
from recsys.ranked import Ranked

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
PASSES = 2


def tune_fusion(
    rankings: Mapping[str, Ranked], quality: Callable[[Ranked], float], tracks: int, k: int, search: bool = True
) -> tuple[float, FusionSettings]:
    """The best settings found and their quality on validation.

    Starts from equal weights and from the best source alone, with either method; a weight is changed only for a gain.
    search=False (nothing to validate on) gives reciprocal rank with equal weights.
    """
    equal = dict.fromkeys(rankings, 1.0)
    if not search:
        return 0.0, FusionSettings(weights=equal)
    alone = {name: quality(ranked) for name, ranked in rankings.items()}
    best_alone = max(alone, key=lambda name: alone[name])
    found: list[tuple[float, FusionSettings]] = []
    for method in METHODS:
        proposals = Proposals.gather(rankings, method, tracks)
        for start in (equal, {name: float(name == best_alone) for name in rankings}):
            reached, weights = _ascend(lambda trial, of=proposals: quality(of.ranked(trial, k)), start)  # type: ignore[misc]
            found.append((reached, FusionSettings(method=method, weights=weights)))
    return max(found, key=lambda item: item[0])


def _ascend(
    value: Callable[[Mapping[str, float]], float], start: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    weights, reached = dict(start), value(start)
    for _ in range(PASSES):
        before = reached
        for name in weights:
            for weight in WEIGHTS:
                trial = {**weights, name: weight}
                if weight == weights[name] or not any(trial.values()):
                    continue
                gained = value(trial)
                if gained > reached:
                    weights, reached = trial, gained
        if reached == before:
            break
    return reached, weights
