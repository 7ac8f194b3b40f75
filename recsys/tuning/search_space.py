"""What may be tried for each source on validation: data alone. Every source gets the same number of trials, ours
included, and its defaults are the first of them.

Ranges follow Ferrari Dacrema et al. (2021, "A Troubling Analysis of Reproducibility") and the authors of
each method, cut to what minutes on two cores allow.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

TRIALS = 16


class Range(NamedTuple):
    """Numbers from low to high, both included; whole ones where both ends are. log: drawn on a logarithmic scale."""

    low: float
    high: float
    log: bool = False


SearchSpace = Mapping[str, Range | tuple[Any, ...]]
"""Setting -> its range, or the values it may take."""

HALF_LIFE = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, None)
"""In plays: from the current song to the whole history."""

AGAIN: SearchSpace = {"half_life": HALF_LIFE, "again": Range(0.1, 30.0, log=True), "again_half_life": HALF_LIFE}

NEAR: SearchSpace = {"temperature": Range(0.02, 0.4, log=True), **AGAIN}

SPACE: dict[str, SearchSpace] = {
    "random": {},
    "popularity": {"half_life_days": (None, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 30.0, 60.0, 90.0, 180.0)},
    "repeat": {"half_life": (*HALF_LIFE, 200.0, 500.0)},
    "same-artist": {"half_life": HALF_LIFE},
    "features": NEAR,
    "item-knn": {
        "kind": ("cosine", "tfidf", "bm25"),
        "neighbours": Range(5, 1000, log=True),
        "shrinkage": (0.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
        "half_life_days": (None, 10.0, 30.0, 90.0),
        **AGAIN,
    },
    "rp3beta": {
        "alpha": Range(0.0, 2.0),
        "beta": Range(0.0, 2.0),
        "neighbours": Range(5, 1000, log=True),
        **AGAIN,
    },
    "ease": {"regularization": Range(1.0, 1e7, log=True), **AGAIN},
    "ials": {
        "factors": Range(8, 128, log=True),
        "regularization": Range(1e-3, 100, log=True),
        "alpha": Range(1, 100, log=True),
        "half_life": HALF_LIFE,
    },
    "bpr": {
        "factors": Range(8, 128, log=True),
        "learning_rate": Range(0.01, 0.2, log=True),
        "regularization": Range(1e-4, 0.1, log=True),
        "iterations": Range(30, 150, log=True),
        "history": (True, False),
        "half_life": HALF_LIFE,
    },
    "lmf": {
        "factors": Range(8, 128, log=True),
        "learning_rate": Range(0.1, 2.0, log=True),
        "regularization": Range(0.01, 10.0, log=True),
        "iterations": Range(15, 90, log=True),
        "history": (True, False),
        "half_life": HALF_LIFE,
    },
    "markov": {"shrinkage": (0.0, 1.0, 5.0, 20.0, 50.0, 200.0), "half_life": (0.1, 0.5, *HALF_LIFE)},
    "sequential-rules": {
        "reach": Range(2, 30, log=True),
        "weighting": ("inverse", "linear", "same"),
        "half_life": (0.1, 0.5, *HALF_LIFE),
    },
    "vsknn": {
        "last": (5, 10, 20, 50),
        "nearest": Range(50, 1500, log=True),
        "sample": Range(500, 10_000, log=True),
        "position": ("inverse", "linear", "same"),
        "match": ("inverse", "linear", "same"),
        "idf": (0.0, 1.0, 2.0, 5.0, 10.0),
    },
    "vstan": {
        "last": (5, 10, 20, 50),
        "nearest": Range(50, 1500, log=True),
        "sample": Range(500, 10_000, log=True),
        "half_life": (1.0, 2.0, 5.0, 10.0, 30.0, None),
        "match_half_life": (1.0, 5.0, 20.0, None),
        "session_half_life_days": (3.0, 10.0, 30.0, 100.0, None),
        "spread": (1.0, 2.0, 5.0, 10.0, None),
        "idf": (0.0, 1.0, 2.0, 5.0, 10.0),
    },
    "sasrec": {"dim": (32, 64), "dropout": Range(0.1, 0.5), "last": (5, 10, 20, 50)},
    "htcl-stage1": NEAR,
    "htcl-stage2": NEAR,
}

OF_SESSIONS = ("position", "match", "match_half_life", "session_half_life_days", "spread", "idf", "nearest", "sample")
OF_HISTORY = ("half_life", "again", "again_half_life", "history", "last")
AT_ASKING = frozenset({*OF_HISTORY, "temperature", "text_weight", "neighbours_asked", *OF_SESSIONS})
"""Settings that only matter when a source is asked; changing them needs no new fit."""
