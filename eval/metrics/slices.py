"""Slices of queries and targets. Each is a prefix of metrics, as in `cold/recall@20`.

cold, warm: songs that are not in what the models learned from, and the others. hidden: those that were kept from them
on purpose, which are cold as well. repeat, discovery: songs the listener
had played, and had not. head, mid, tail: warm songs by popularity. history:1-5 and so on: how many plays a query brings
along; seeds:... for playlists. Tests are made on HEADLINE alone; the other slices are measured and described.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.split import Split
from recsys.tasks import HeldOut
from recsys.tasks.targets import Targets

HEADLINE = ("", "cold/", "hidden/", "warm/", "repeat/", "discovery/")
"""The slices that are tested. Every test more makes the others weaker, for all of a task's are one family."""
HEAD, TAIL = 0.2, 0.8
LENGTHS = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), "21+": (21, np.inf)}
"""Names of slices by the number of plays (or seeds) of a query, and the fewest and most of them."""
EXPLAINED = (
    "head: the most played songs that together hold 20 % of the plays before the test, tail: the least played that "
    "hold 20 %, mid: the rest; cold songs are in none of the three (Abdollahpouri et al. 2021, arXiv 2103.06364)"
)


@dataclass(frozen=True)
class Slice:
    """Targets of one kind: a prefix for its metrics, the targets, and which queries have any."""

    prefix: str
    targets: Targets
    asked: NDArray[np.bool_]


def slices(question: HeldOut, split: Split, plays: NDArray[np.floating]) -> list[Slice]:
    """All targets, then every slice of them that is not empty.

    plays: (N,) of each song before the test.
    """
    targets, cold = question.targets, split.cold_before("test")
    found = [("", targets), ("cold/", targets.restrict(cold)), ("warm/", targets.restrict(~cold))]
    if split.hidden is not None:
        found.append(("hidden/", targets.restrict(split.hidden)))
    if question.has_repeats:
        by_kind = {"repeat/": question.repeats, "discovery/": ~question.repeats}
        found += [(prefix, targets.keep(kind)) for prefix, kind in by_kind.items()]
    found += [(f"{name}/", targets.restrict(songs)) for name, songs in by_popularity(plays).items()]
    given = np.array([len(query.history) for query in question.queries], np.int64)
    for name, (fewest, most) in LENGTHS.items():
        of_length = (given >= fewest) & (given <= most)
        found.append((f"{question.given}:{name}/", targets.keep(of_length[targets.queries()])))
    return [Slice(prefix, part, part.nonempty()) for prefix, part in found if part.nonempty().any()]


def by_popularity(plays: NDArray[np.floating]) -> dict[str, NDArray[np.bool_]]:
    """head, mid and tail as masks over the songs (N,); a song without a play is in none.

    Songs are taken from the most played on; a song belongs to the head while those before it hold less than 20 % of
    all plays, to the tail once they hold 80 %. Ties go by row. Abdollahpouri et al. 2021, "User-centered evaluation of
    popularity bias": head and tail take about 20 % of the ratings each, the rest is mid.

    >>> [np.flatnonzero(songs).tolist() for songs in by_popularity(np.array([1.0, 2.0, 0.0, 5.0, 1.0, 1.0])).values()]
    [[3], [0, 1], [4, 5]]
    """
    order = np.argsort(-plays, kind="stable")
    counts = plays[order].astype(np.float64)
    before = np.cumsum(counts) - counts
    total = counts.sum()
    share = np.empty(len(plays))
    share[order] = before / total if total else 0.0
    played = plays > 0
    return {
        "head": played & (share < HEAD),
        "mid": played & (share >= HEAD) & (share < TAIL),
        "tail": played & (share >= TAIL),
    }
