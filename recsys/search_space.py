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
    "item-knn": grid(kind=("cosine", "bm25"), neighbours=(50, 500), half_life=HISTORIES),
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
    "markov": grid(shrinkage=(0.0, 5.0, 50.0), half_life=(0.1, 1.0, *HISTORIES[1:])),
    "sequential-rules": grid(reach=(5, 20), weighting=("inverse", "same"), half_life=(0.1, 2.0, 20.0)),
    "vsknn": [
        *grid(last=(5, 20), nearest=(100, 500), position=("inverse", "linear"), match=("inverse",)),
        *grid(last=(20, 50), nearest=(100, 500), position=("same",), match=("same",), sample=(5000,)),
    ],
    "vstan": [
        *grid(half_life=(2.0, 10.0), spread=(3.0, None), session_half_life_days=(30.0, None)),
        *grid(half_life=(30.0,), match_half_life=(30.0,), spread=(10.0, None), sample=(5000,), last=(20, 50)),
    ],
    "sasrec": grid(dim=(32, 64), dropout=(0.2, 0.4), last=(5, 20, 50)),
    "htcl-stage1": HTCL,
    "htcl-stage2": HTCL,
}

OF_SESSIONS = ("position", "match", "match_half_life", "session_half_life_days", "spread", "idf", "nearest", "sample")
AT_ASKING = frozenset({"half_life", "history", "temperature", "text_weight", "neighbours_asked", "last", *OF_SESSIONS})
"""Settings that only matter when a source is asked; changing them needs no new fit."""
