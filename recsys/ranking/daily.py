"""A list that is another one every day: songs change places by chance, or are dealt out to the days.

Chance is a hash of the day, the listener and the song: nothing is stored, and the same day gives the same list.
"""

import numpy as np
from numpy.typing import NDArray

DRAWN_FROM = 3
"""Times k: how deep in the ranking a song may stand to be drawn."""
FIRM, HEAD = 3.0, 0.3
"""The chance to be drawn falls with (place + HEAD) to the power of FIRM. On the demo's test questions (simulated) a
quarter of 20 songs are others on the next day, and NDCG@20 is 1.7 % lower for the next song, 2.3 % for playlists and
4.1 % for discovery."""


def drawn(tracks: NDArray[np.int32], number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places of the ranked songs in another order, and what they are ordered by: drawn one after the other, those that
    stand higher more often.

    The Plackett-Luce draw as Gumbel's trick makes it: log weight plus Gumbel noise, the largest first.
    """
    noise = -np.log(-np.log(_uniform(tracks, number)))
    luck = noise - FIRM * np.log(np.arange(len(tracks)) + HEAD)
    order = np.argsort(-luck, kind="stable")
    return order, np.exp(luck[order]).astype(np.float32)


def not_dealt(groups: NDArray[np.int32], day: int, days: int, number: int) -> NDArray[np.int32]:
    """Songs that belong to other days than this one: each group's songs come up on one of every `days` + 1 days.

    groups: (N,) versions of a song have one number, -1 is a song of its own.
    """
    rows = np.arange(len(groups))
    deck = (_uniform(np.where(groups >= 0, groups, rows + len(groups)), number) * (days + 1)).astype(np.int64)
    return np.flatnonzero(deck != day % (days + 1)).astype(np.int32)


def _uniform(numbers: NDArray[np.integer], number: int) -> NDArray[np.float64]:
    """One for each, above 0 and below 1: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(number)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
