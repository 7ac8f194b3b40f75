"""What is tried for each source on validation: data, and the same number of trials for every source, ours included."""

from itertools import product
from typing import Any

TRIALS = 12
HISTORIES = (2.0, 10.0, 50.0)
"""Half-lives in plays: from the current session to the whole history."""


def grid(**choices: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Every combination of the choices.

    >>> grid(a=(1, 2), b=("x",))
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


HTCL = grid(temperature=(0.03, 0.07, 0.15, 0.3), half_life=HISTORIES)

SPACE: dict[str, list[dict[str, Any]]] = {
    "random": [{}],
    "popularity": grid(half_life_days=(None, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 30.0, 60.0, 90.0, 180.0)),
    "same-artist": grid(half_life=(1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, None)),
    "repeat": grid(half_life=(1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 35.0, 50.0, 100.0, 200.0, 500.0, None)),
    "item-knn": [
        *grid(kind=("cosine",), neighbours=(500,), half_life=HISTORIES),
        *grid(kind=("cosine",), neighbours=(500,), half_life_days=(30.0,), half_life=HISTORIES),
        *grid(kind=("tfidf",), neighbours=(100,), shrinkage=(5.0,), half_life_days=(90.0,), half_life=HISTORIES),
        *grid(kind=("bm25",), neighbours=(500,), half_life=HISTORIES),
    ],
    "rp3beta": [
        *grid(alpha=(0.6,), beta=(0.2,), neighbours=(500,), half_life=HISTORIES),
        *grid(alpha=(1.0,), beta=(0.4,), neighbours=(500,), half_life=HISTORIES),
        *grid(alpha=(1.0,), beta=(0.7,), neighbours=(100,), half_life=HISTORIES),
        *grid(alpha=(1.6,), beta=(0.4,), neighbours=(100,), half_life=HISTORIES),
    ],
    "ease": grid(regularization=(30.0, 200.0, 1e3, 5e3), half_life=HISTORIES),
    "ials": [
        *grid(factors=(16,), regularization=(0.1,), alpha=(10.0,), half_life=HISTORIES),
        *grid(factors=(32,), regularization=(1.0,), alpha=(10.0,), half_life=HISTORIES),
        *grid(factors=(64,), regularization=(10.0,), alpha=(5.0,), half_life=HISTORIES),
        *grid(factors=(64,), regularization=(1.0,), alpha=(40.0,), half_life=HISTORIES),
    ],
    "bpr": [
        *grid(factors=(32, 64), iterations=(100,), history=(True,), half_life=HISTORIES),
        *grid(factors=(32,), learning_rate=(0.1,), history=(True,), half_life=HISTORIES),
        *grid(factors=(32, 64), history=(False,), half_life=(10.0,)),
        *grid(factors=(32,), learning_rate=(0.1,), history=(False,), half_life=(10.0,)),
    ],
    "lmf": [
        *grid(factors=(32, 64), history=(True,), half_life=HISTORIES),
        *grid(factors=(32,), iterations=(60,), history=(True,), half_life=HISTORIES),
        *grid(factors=(32, 64), history=(False,), half_life=(10.0,)),
        *grid(factors=(32,), iterations=(60,), history=(False,), half_life=(10.0,)),
    ],
    "htcl-stage1": HTCL,
    "htcl-stage2": HTCL,
}

AT_ASKING = frozenset({"half_life", "history", "temperature", "text_weight", "neighbours_asked"})
"""Settings that only matter when a source is asked; changing them needs no new fit."""
