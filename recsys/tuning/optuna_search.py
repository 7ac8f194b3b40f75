"""Optuna's trials of a source: each is measured on every task, and every task keeps its own best settings.

One fit serves all tasks, so a trial has as many values as there are tasks, and the sampler (multi-objective TPE, Ozaki
et al. 2020) looks for settings that are best for any of them. Optuna was chosen because it is the field's own tool,
seeded and deterministic on one process, and takes plain data as a space.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from recsys.candidates.declaration import Range, SearchSpace

SEED = 20260101


def run_trials(
    space: SearchSpace,
    evaluate: Callable[[dict[str, Any]], Sequence[float]],
    tasks: int,
    count: int,
    first: Mapping[str, Any],
    seed: int = SEED,
    over: Callable[[], bool] = lambda: False,
) -> int:
    """Call `evaluate` with `count` settings of the space, `first` being the first; returns how many it were.

    over: asked before every further one; the search ends where it says so.

    evaluate: settings -> one number per task, more is better. first: values for settings of the space; the others are
    drawn. A space without settings, or no task to measure on, takes one trial. The same seed gives the same settings.
    """
    if not space or not tasks:
        evaluate({name: value for name, value in first.items() if name in space})
        return 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, count // 2))
    study = optuna.create_study(directions=["maximize"] * tasks, sampler=sampler)
    study.enqueue_trial({name: value for name, value in first.items() if name in space and _inside(space[name], value)})
    distributions = {name: _distribution(choice) for name, choice in space.items()}
    for done in range(count):
        if done and over():
            return done
        trial = study.ask(distributions)
        study.tell(trial, list(evaluate(dict(trial.params))))
    return count


def _distribution(choice: Range | tuple[Any, ...]) -> BaseDistribution:
    if not isinstance(choice, Range):
        return CategoricalDistribution(choice)
    if isinstance(choice.low, int) and isinstance(choice.high, int):
        return IntDistribution(choice.low, choice.high, log=choice.log)
    return FloatDistribution(choice.low, choice.high, log=choice.log)


def _inside(choice: Range | tuple[Any, ...], value: Any) -> bool:
    return choice.low <= value <= choice.high if isinstance(choice, Range) else value in choice
