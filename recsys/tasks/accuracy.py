"""Accuracy: which recommended songs are targets, and at which ranks. Shared by evaluation and fusion tuning."""

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked
from recsys.tasks.fast_membership import check_tracks, contains, likely_hits, pair_keys
from recsys.tasks.targets import Targets


def hits(ranked: Ranked, targets: Targets, depth: int, catalogue_size: int) -> NDArray[np.bool_]:
    """Whether the song at each of the first `depth` ranks is right: (Q, depth), False beyond the end of a short row.

    A song that a ranking repeats counts only where it stands first. Raises ValueError where rankings and targets are
    not of the same queries and catalogue.

    >>> ranked = Ranked.from_rows([(np.array([4, 2, 4, 0]), np.array([0.9, 0.8, 0.7, 0.6]))])
    >>> hits(ranked, Targets.from_rows([[0, 4]]), depth=5, catalogue_size=6).astype(int).tolist()
    [[1, 0, 0, 1, 0]]
    """
    if len(ranked) != len(targets):
        raise ValueError(f"{len(ranked)} rankings cannot be judged by the targets of {len(targets)} queries")
    check_tracks(ranked.tracks, catalogue_size)
    wanted = np.sort(pair_keys(targets.queries(), targets.tracks, catalogue_size))
    perhaps = likely_hits(ranked, targets)
    queries = np.searchsorted(ranked.offsets, perhaps, side="right") - 1
    ranks = perhaps - ranked.offsets[queries]
    keys = pair_keys(queries, ranked.tracks[perhaps], catalogue_size)
    right = np.flatnonzero((ranks < depth) & contains(wanted, keys))
    _, first = np.unique(keys[right], return_index=True)
    right = right[first]
    table = np.zeros((len(ranked), depth), np.bool_)
    table[queries[right], ranks[right]] = True
    return table


def ndcg(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Normalised discounted cumulative gain of the first k ranks: (Q,), 0 to 1.

    hits: (Q, at least k). n_relevant: (Q,), targets per query, at least one. Gain 1, discount log2(rank + 1); the ideal
    ranking has its first min(n_relevant, k) songs right (Järvelin and Kekäläinen 2002).

    >>> ndcg(np.array([[False, True, False]]), np.array([1]), k=3).round(4).tolist()  # 1 / log2(3)
    [0.6309]
    """
    if (n_relevant < 1).any():
        raise ValueError("NDCG needs at least one target per query: leave out the queries without any")
    gain = 1 / np.log2(np.arange(2, k + 2))
    queries, ranks = places(hits, k)
    reached = np.bincount(queries, weights=gain[ranks], minlength=len(hits))
    ideal: NDArray[np.float64] = np.cumsum(gain)[np.minimum(n_relevant, k) - 1]
    return reached / ideal


def at_most(hits: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """The first k ranks. Raises ValueError where `hits` was not computed that deep, which would read as misses."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"cutoff {k} is not between 1 and {hits.shape[1]}, the depth of the hits: compute them deeper")
    return hits[:, :k]


def places(hits: NDArray[np.bool_], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Queries and ranks (from 0) of the hits among the first k ranks, query by query.

    >>> [where.tolist() for where in places(np.array([[True, False, True], [False, True, True]]), k=2)]
    [[0, 1], [0, 1]]
    """
    # Flat, because NumPy passes over rows of False eight at a time there, and over a table's one at a time.
    flat = np.flatnonzero(at_most(hits, k))
    return flat // k, flat % k


def first_ranks(
    ranked: Ranked, depths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The first `depths[q]` songs of every row, flat: their queries, ranks (from 0) and tracks."""
    lengths = np.minimum(np.diff(ranked.offsets), depths)
    queries = np.repeat(np.arange(len(ranked)), lengths)
    ranks = np.arange(len(queries)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if len(queries) == len(ranked.tracks):
        return queries, ranks, ranked.tracks
    return queries, ranks, ranked.tracks[ranks + np.repeat(ranked.offsets[:-1], lengths)]


DEPTH = 500
"Recommendations per query, as in RecSys Challenge 2018."


PAGE = 10
"Songs that one click shows, as in RecSys Challenge 2018."


def recall(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """The share of all targets within the first k ranks. Divided by |G|, so it stays below 1 where |G| > k.

    >>> recall(np.array([[True, False, True]]), np.array([4]), k=3).tolist()
    [0.5]
    """
    share: NDArray[np.float64] = at_most(hits, k).sum(axis=1) / n_relevant
    return share


def precision(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """The share of the first k ranks that is right. Divided by k, however few songs there were to find or answered.

    >>> precision(np.array([[True, False, True, False]]), k=4).tolist()
    [0.5]
    """
    share: NDArray[np.float64] = at_most(hits, k).sum(axis=1) / k
    return share


def hit_rate(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 where any of the first k ranks is right, else 0."""
    return np.where(at_most(hits, k).any(axis=1), 1.0, 0.0)


def reciprocal_rank(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """1 / rank of the first right song within the first k ranks, 0 without one.

    >>> reciprocal_rank(np.array([[False, True, True], [False, False, False]]), k=3).tolist()
    [0.5, 0.0]
    """
    top = at_most(hits, k)
    first = top.argmax(axis=1).astype(np.float64) + 1
    return np.where(top.any(axis=1), 1 / first, 0.0)


def average_precision(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Precision at each right song among the first k ranks, summed and divided by min(|G|, k): 1 is reachable.

    >>> average_precision(np.array([[True, False, True]]), np.array([2]), k=3).round(4).tolist()  # (1 + 2/3) / 2
    [0.8333]
    """
    queries, ranks = places(hits, k)
    right_so_far = np.arange(len(queries)) - np.searchsorted(queries, queries) + 1
    total = np.bincount(queries, weights=right_so_far / (ranks + 1), minlength=len(hits))
    return total / np.minimum(n_relevant, k)


def r_precision(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of right songs among the first |G| ranks.

    >>> r_precision(np.array([[True, False, True]]), np.array([2])).tolist()
    [0.5]
    """
    queries, ranks = places(hits, hits.shape[1])
    return np.bincount(queries[ranks < n_relevant[queries]], minlength=len(hits)) / n_relevant


def clicks(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pages of ten songs to turn before the first right one; 51 where there is none among 500. Lower is better.

    hits: (Q, at least 500).

    >>> table = np.zeros((3, 500), bool)
    >>> table[0, 9] = table[1, 10] = True
    >>> clicks(table).tolist()
    [0.0, 1.0, 51.0]
    """
    top = at_most(hits, DEPTH)
    return np.where(top.any(axis=1), top.argmax(axis=1) // PAGE, DEPTH // PAGE + 1).astype(np.float64)
