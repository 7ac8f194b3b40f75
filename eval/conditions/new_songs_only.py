"""Evaluation among new songs only (no plays before the test), so that knowing "is new" gives no advantage.

In the whole catalogue a model gains by knowing that a song is new where new songs are what is wanted; here that is
worth nothing, and what counts is which of the new songs it takes.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress, islice

import numpy as np
from numpy.typing import NDArray

from eval.models import Model
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.tasks import HeldOut

EXCLUDED_AT_ONCE = 20_000_000
"""Songs that the queries of a block exclude together: 80 MB."""


def among_new(question: HeldOut, new: NDArray[np.bool_]) -> HeldOut:
    """Only the targets that are new, of the queries that have any.

    new: (N,) songs that are not in what the models learned from.
    """
    kept = new[question.targets.tracks]
    targets = question.targets.keep(kept)
    asked = targets.nonempty()
    return replace(
        question,
        queries=list(compress(question.queries, asked)),
        targets=targets.select(asked),
        repeats=question.repeats[kept],
        groups=question.groups[asked],
        protocol=f"{question.protocol}. Only songs that are new to the models may be answered",
    )


def answering_with_new(model: Model, new: NDArray[np.bool_]) -> Model:
    """The model, every other song being a no-go."""
    played = np.flatnonzero(~new).astype(np.int32)
    block = max(1, EXCLUDED_AT_ONCE // max(len(played), 1))

    def ranked(queries: Sequence[Query], k: int) -> Ranked:
        narrowed = (replace(query, exclude=np.union1d(query.exclude, played)) for query in queries)
        parts = [model(some, k) for some in iter(lambda: list(islice(narrowed, block)), [])]
        return Ranked.concatenate(parts) if parts else model([], k)

    return ranked
