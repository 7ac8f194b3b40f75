"""Beyond-accuracy metrics of the first k recommendations: coverage, novelty, diversity, calibration and others.

Per query: novelty, diversity in a space of vectors and by artist, serendipity, calibration, and how many were answered.
Over all queries: coverage, Gini, popularity lift, and how often new songs are shown (`eval.metrics.new_songs`). A query
that a metric says nothing about (no answer, no song with a vector, no history) has no value there, and the report tells
how many have one. None of these is better or worse by itself: popular songs in any order are not novel, random ones are
novel and useless.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from eval.metrics.catalogue_facts import AT, CatalogueFacts, Floats, QueryFacts
from eval.metrics.new_songs import NEW_SONGS, new_songs
from eval.statistics import Interval, bootstrap_intervals, ratio_interval
from recsys.ranked import Ranked
from recsys.tasks.accuracy import first_ranks
from recsys.tasks.fast_membership import pair_keys

PER_QUERY = ("novelty", "diversity_htcl", "diversity_artist", "serendipity", "calibration_genre", "answered")
OVER_ALL = ("coverage", "gini", "popularity_lift")
BEYOND = (*(f"{name}@{k}" for k in AT for name in (*PER_QUERY, *OVER_ALL)), *NEW_SONGS)
SMOOTHING = 0.01
"""Steck's alpha: so much of the listener's own taste is mixed into what is answered, and no genre is missing wholly."""
BLOCK = 4096
"""Queries whose genres are held densely at once."""


def beyond(
    ranked: Ranked, asked: QueryFacts, songs: CatalogueFacts, groups: NDArray[np.int64], resamples: int = 1000
) -> dict[str, dict[str, float] | None]:
    """Every metric of BEYOND that has a value: name -> mean, over how many `queries`, and 95 % interval (low, high).

    Those of new songs are always there, None without a value (`eval.metrics.new_songs`).

    groups: (Q,), queries of equal value are drawn together. Coverage and Gini are no means over queries: they have no
    interval, since a resample that draws queries twice covers less than the queries did.
    """
    found: dict[str, dict[str, float] | None] = {**new_songs(ranked, asked.targets, songs.new, groups, resamples)}
    for k in AT:
        found |= _with_intervals(per_query(ranked, asked, songs, k), groups, resamples)
        often = recommended(ranked, len(songs), k)
        if often.any():
            found[f"coverage@{k}"] = {"mean": coverage(often), "queries": len(ranked)}
            found[f"gini@{k}"] = {"mean": gini(often), "queries": len(ranked)}
        answered, heard = popularities(ranked, asked.history, songs.plays, k)
        both = ~np.isnan(answered) & ~np.isnan(heard)
        if heard[both].sum() > 0:
            ratio = ratio_interval(answered[both], heard[both], groups=groups[both], resamples=resamples)
            found[f"popularity_lift@{k}"] = _told(ratio, int(both.sum()), less=1.0)
    return {name: found[name] for name in BEYOND if name in found}


def per_query(ranked: Ranked, asked: QueryFacts, songs: CatalogueFacts, k: int) -> dict[str, Floats]:
    """The metrics of PER_QUERY for the first k answers: name@k -> (Q,), NaN where a query has no value."""
    queries, _, tracks = first_ranks(ranked, np.full(len(ranked), k, np.int64))
    chosen = csr_matrix(
        (np.ones(len(tracks)), (queries, tracks)), shape=(len(ranked), len(songs)), dtype=np.float64
    )  # a song that is answered twice adds up
    values = {
        "novelty": _mean(self_information(songs.plays)[tracks], queries, len(ranked)),
        "diversity_htcl": diversity(chosen, songs.vectors),
        "diversity_artist": artist_diversity(queries, songs.artists[tracks], len(ranked)),
        "serendipity": serendipity(ranked, asked, len(songs), k),
        "calibration_genre": calibration(chosen @ songs.genres, asked.history @ songs.genres),
        "answered": np.bincount(queries, minlength=len(ranked)) / k,
    }
    return {f"{name}@{k}": values[name] for name in PER_QUERY}


def self_information(plays: Floats) -> Floats:
    """(N,) bits that one play of the song tells: -log2 of its share of all plays, each song given one play more.

    Mean self-information of the answers is novelty (Zhou et al. 2010, PNAS 107; Vargas and Castells 2011). The play
    more (Laplace) keeps a song that nobody played finite.

    >>> self_information(np.array([3.0, 0.0, 1.0, 0.0])).round(2).tolist()
    [1.0, 3.0, 2.0, 3.0]
    """
    bits: Floats = np.log2(plays.sum() + len(plays)) - np.log2(plays + 1)
    return bits


def diversity(chosen: csr_matrix, vectors: Floats) -> Floats:
    """(Q,) mean cosine distance over the pairs of answers, among those with a vector; NaN for fewer than two of them.

    chosen: (Q, N) how often each song is answered. Intra-list similarity (Ziegler et al. 2005) turned around, as Vargas
    and Castells 2011 have it. The sum over pairs is had from the sum of the vectors, without looking at a pair.

    >>> diversity(csr_matrix([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist()
    [1.0]
    """
    has = (vectors != 0).any(axis=1).astype(np.float64)
    count = chosen @ has
    total = chosen @ vectors
    cosines = (total * total).sum(axis=1) - count
    return 1 - _share(cosines, count * (count - 1))


def artist_diversity(queries: NDArray[np.int64], artists: NDArray[np.int32], n_queries: int) -> Floats:
    """(Q,) the share of pairs of answers that are by two artists, among songs of known artists; NaN for fewer than two.

    queries, artists: of each answer. Intra-list diversity with the distance 0 within an artist and 1 between artists.

    >>> artist_diversity(np.array([0, 0, 0]), np.array([7, 7, 8], np.int32), 1).round(2).tolist()
    [0.67]
    """
    queries, artists = queries[artists >= 0], artists[artists >= 0]
    _, of, counts = np.unique(
        queries * (np.int64(artists.max(initial=0)) + 1) + artists, return_index=True, return_counts=True
    )
    same = np.bincount(queries[of], weights=counts * (counts - 1.0), minlength=n_queries).astype(np.float64)
    known = np.bincount(queries, minlength=n_queries).astype(np.float64)
    return 1 - _share(same, known * (known - 1))


def serendipity(ranked: Ranked, asked: QueryFacts, catalogue_size: int, k: int) -> Floats:
    """(Q,) the share of the first k ranks that is right and not among the k most played songs that may be answered.

    Divided by k, like precision. Ge, Delgado-Battenfeld and Jannach 2010, with popularity as the primitive model.
    """

    def pairs(answers: Ranked) -> NDArray[np.int64]:
        queries, _, tracks = first_ranks(answers, np.full(len(answers), k, np.int64))
        return pair_keys(queries, tracks, catalogue_size)

    targets = asked.targets
    right = np.intersect1d(pairs(ranked), pair_keys(targets.queries(), targets.tracks, catalogue_size))
    surprising = np.setdiff1d(right, pairs(asked.popular), assume_unique=False)
    return np.bincount(surprising // catalogue_size, minlength=len(ranked)) / k


def calibration(answered: csr_matrix, liked: csr_matrix) -> Floats:
    """(Q,) nats of Kullback-Leibler divergence of the genres answered from those of the history; 0 is calibrated.

    answered, liked: (Q, G) weights of genres. KL(p || (1 - a) q + a p) with a = 0.01, so at most 4.6 (Steck 2018,
    "Calibrated recommendations", eq. 6 and 7, without the weights by rank). NaN where either side has no genre.

    >>> calibration(csr_matrix([[2.0, 2.0], [1.0, 0.0]]), csr_matrix([[1.0, 1.0], [0.0, 3.0]])).round(2).tolist()
    [0.0, 4.61]
    """
    found = np.full(answered.shape[0], np.nan)
    for start in range(0, len(found), BLOCK):
        q, p = (side[start : start + BLOCK].toarray().astype(np.float64) for side in (answered, liked))
        q, p = (_share(side, side.sum(axis=1, keepdims=True)) for side in (q, p))
        mixed = (1 - SMOOTHING) * q + SMOOTHING * p
        # Zero times the logarithm of zero is zero; NaN stays NaN.
        terms = np.where(p == 0, 0 * mixed, p * np.log(np.divide(p, mixed, out=np.ones_like(p), where=p > 0)))
        found[start : start + BLOCK] = terms.sum(axis=1) if p.shape[1] else np.nan
    return found


def recommended(ranked: Ranked, catalogue_size: int, k: int) -> NDArray[np.int64]:
    """(N,) how often each song is among the first k answers."""
    _, _, tracks = first_ranks(ranked, np.full(len(ranked), k, np.int64))
    return np.bincount(tracks, minlength=catalogue_size)


def coverage(often: NDArray[np.int64]) -> float:
    """The share of the catalogue that is recommended to anybody (Ge et al. 2010, catalogue coverage).

    >>> coverage(np.array([0, 9, 1, 0]))
    0.5
    """
    return float((often > 0).mean())


def gini(often: NDArray[np.int64]) -> float:
    """0 where every song of the catalogue is recommended equally often, 1 where one song alone is.

    Shani and Guy 2011, "Evaluating recommendation systems", with n - 1 below, so that 1 is reached.

    >>> gini(np.array([0, 0, 5])), gini(np.array([2, 2, 2]))
    (1.0, 0.0)
    """
    n = len(often)
    if n < 2:
        return 0.0
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * np.sort(often)).sum() / ((n - 1) * often.sum()))


def popularities(ranked: Ranked, history: csr_matrix, plays: Floats, k: int) -> tuple[Floats, Floats]:
    """(Q,) the mean plays of the first k answers and of the history; NaN where there are none.

    Popularity lift is the mean of the first over the mean of the second, less 1: 0.5 means that what is recommended is
    half as popular again as what is listened to (Abdollahpouri et al. 2020, arXiv 2008.09273, eq. 1 and 2; one group).
    """
    queries, _, tracks = first_ranks(ranked, np.full(len(ranked), k, np.int64))
    return _mean(plays[tracks], queries, len(ranked)), _share(history @ plays, history.sum(axis=1).A1)


def _with_intervals(
    values: Mapping[str, Floats], groups: NDArray[np.int64], resamples: int
) -> dict[str, dict[str, float]]:
    """Means over the queries that have a value; metrics that have one for the same queries share their resamples."""
    alike: dict[bytes, dict[str, Floats]] = {}
    for name, column in values.items():
        alike.setdefault((~np.isnan(column)).tobytes(), {})[name] = column
    found: dict[str, dict[str, float]] = {}
    for mask, columns in alike.items():
        has = np.frombuffer(mask, np.bool_)
        if has.any():
            known = {name: column[has] for name, column in columns.items()}
            intervals = bootstrap_intervals(known, groups=groups[has], resamples=resamples)
            found |= {name: _told(interval, int(has.sum())) for name, interval in intervals.items()}
    return found


def _told(interval: Interval, queries: int, less: float = 0.0) -> dict[str, float]:
    ends = {end: value - less for end, value in interval.items() if isinstance(value, float)}
    return {**ends, "queries": queries}


def _mean(values: Floats, queries: NDArray[np.int64], n_queries: int) -> Floats:
    counts, sums = (np.bincount(queries, weights=of, minlength=n_queries) for of in (None, values))
    return _share(sums.astype(np.float64), counts.astype(np.float64))


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where the whole is 0."""
    shares: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
    return shares
