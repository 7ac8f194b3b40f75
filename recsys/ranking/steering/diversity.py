"""Diversity: songs of a list that sound and read alike make way for others (maximal marginal relevance).

Carbonell and Goldstein 1998, with places for relevance, so that it does not matter how a ranking scores.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHOSEN_FROM = 5
FEWEST, MOST = 100, 500
"""A list of k is chosen from the first 5 k of the ranking, at least 100 and at most 500: deeper songs fit too badly."""


class Diversity(NamedTuple):
    """strength: 0 keeps the ranking, 1 looks at nothing but likeness. vectors: (T,) songs -> (T, D) unit vectors, zeros
    for a song without one, which is like no other.

    NDCG@20 of the demo's test questions (simulated, 3,000 each and 300 playlists after their first half), before caps,
    and the mean cosine of two songs of a list:

    | strength | next song | discovery | playlist |
    |---|---|---|---|
    | 0 | .133, cosine .66 | .136, .62 | .300, .69 |
    | .1 | -0.8 %, .66 | -0.2 %, .61 | -0.6 %, .68 |
    | .3 | -2 %, .63 | -4 %, .58 | -3 %, .66 |
    | .5 | -8 %, .58 | -14 %, .51 | -10 %, .60 |
    | 1 | -57 %, .32 | -59 %, .28 | -61 %, .33 |
    """

    strength: float
    vectors: Callable[[NDArray[np.int32]], NDArray[np.float32]]

    def order(self, tracks: NDArray[np.int32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of ranked songs in their new order, for a list of k, and what they are ordered by, which never rises.

        Songs too deep in the ranking to be chosen keep their order, behind the others.
        """
        first = min(len(tracks), max(FEWEST, min(CHOSEN_FROM * k, MOST)))
        vectors = self.vectors(tracks[:first])
        places, values = marginal_relevance(vectors @ vectors.T, self.strength)
        rest = np.arange(first, len(tracks))
        last = values[-1] if first else np.float32(0)
        return np.concatenate([places, rest]), np.concatenate([values, np.full(len(rest), last, np.float32)])


def marginal_relevance(likeness: NDArray[np.float32], strength: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places of ranked songs, one chosen after the other: (1 - strength) times its relevance, 1 for the first song and
    nearly 0 for the last, less strength times its likeness to the most similar song chosen before.

    likeness: (T, T), -1..1. Ties go to the song that is ranked higher.
    """
    count = len(likeness)
    relevance = (1 - strength) * (1 - np.arange(count) / max(count, 1))
    nearest = np.full(count, -1.0)
    left = np.ones(count, np.bool_)
    places, values = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for at in range(count):
        value = np.where(left, relevance - strength * nearest, -np.inf)
        best = int(value.argmax())
        places[at], values[at], left[best] = best, value[best], False
        nearest = np.maximum(nearest, likeness[best])
    return places, values
