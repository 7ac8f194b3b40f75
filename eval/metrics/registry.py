"""How good is one ranking of the whole catalogue? Every metric gives one value per query, so that it can be tested.

A query that nothing was found for counts, with the worst value. A query that has nothing to find is the caller's to
leave out, and an error here. `n_relevant` is the number of targets of a query, |G| in the literature.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked
from recsys.tasks.accuracy import Targets, at_most, contains, first_ranks, hits, ndcg, pair_keys, places

CUTOFFS = {
    "recall": (10, 20, 100, 500),
    "precision": (10, 20),
    "hr": (10, 20),
    "mrr": (10, 20),
    "map": (10, 20, 100),
    "ndcg": (10, 20, 100, 500),
}
METRICS = (
    *(f"{name}@{k}" for name, cutoffs in CUTOFFS.items() for k in cutoffs),
    "r_precision",
    "r_precision_artist",
    "clicks",
)
"The names that `all_metrics` answers with, in its order."

SEMANTIC = ("probe_", "zero_shot_", "text_to_audio_", "audio_to_text_")
"How the names of `eval.semantic.measure`'s metrics begin."

LOWER_IS_BETTER = frozenset({"clicks", "text_to_audio_median_rank", "audio_to_text_median_rank"})

DEPTH = 500
"Songs a model is asked for, as in RecSys Challenge 2018."
PAGE = 10
"Songs that one click shows, as in RecSys Challenge 2018."
AT_ONCE = 1024
"Queries measured together; their tables then stay in the processor's cache."
ARTIST_CREDIT = 0.25
"What the right artist with the wrong song is worth, as in RecSys Challenge 2018."


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is the better one, also of a slice (`cold/clicks`). Raises ValueError for no metric."""
    name = metric.rpartition("/")[2]
    if name not in METRICS and not name.startswith(SEMANTIC):
        raise ValueError(f'no metric "{metric}" (there are: {", ".join(METRICS)})')
    return name in LOWER_IS_BETTER


def all_metrics(
    ranked: Ranked, targets: Targets, artist_of: NDArray[np.int32], catalogue_size: int
) -> dict[str, NDArray[np.float64]]:
    """Every metric of every query: name -> (Q,).

    artist_of: (catalogue_size,), -1 where the artist is unknown. Raises ValueError where a query has no target.
    """
    without = int((~targets.nonempty()).sum())
    if without:
        raise ValueError(f"{without} of {len(targets)} queries have no target: leave them out before measuring")
    if len(artist_of) != catalogue_size:
        raise ValueError(f"artists of {len(artist_of)} songs do not fit a catalogue of {catalogue_size}")
    if len(ranked) > AT_ONCE and len(ranked) == len(targets):
        starts = range(0, len(ranked), AT_ONCE)
        parts = [(ranked.between(at, at + AT_ONCE), targets.between(at, at + AT_ONCE)) for at in starts]
        found_in = [all_metrics(*part, artist_of, catalogue_size) for part in parts]
        return {name: np.concatenate([values[name] for values in found_in]) for name in found_in[0]}
    n_relevant = targets.counts()
    # R-precision alone may look deeper than 500, and only where a model answered that deep.
    deepest = min(n_relevant.max(initial=0), np.diff(ranked.offsets).max(initial=0))
    found = hits(ranked, targets, max(DEPTH, int(deepest)), catalogue_size)
    return {
        **{f"recall@{k}": recall(found, n_relevant, k) for k in CUTOFFS["recall"]},
        **{f"precision@{k}": precision(found, k) for k in CUTOFFS["precision"]},
        **{f"hr@{k}": hit_rate(found, k) for k in CUTOFFS["hr"]},
        **{f"mrr@{k}": reciprocal_rank(found, k) for k in CUTOFFS["mrr"]},
        **{f"map@{k}": average_precision(found, n_relevant, k) for k in CUTOFFS["map"]},
        **{f"ndcg@{k}": ndcg(found, n_relevant, k) for k in CUTOFFS["ndcg"]},
        "r_precision": r_precision(found, n_relevant),
        "r_precision_artist": r_precision(found, n_relevant)
        + artist_credit(ranked, targets, artist_of, catalogue_size) / n_relevant,
        "clicks": clicks(found),
    }


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


def artist_credit(
    ranked: Ranked, targets: Targets, artist_of: NDArray[np.int32], catalogue_size: int
) -> NDArray[np.float64]:
    """0.25 for each artist of a target that a wrong song among the first |G| ranks also has, once per artist: (Q,).

    As the winners of RecSys Challenge 2018 compute it (layer6ai-labs/RecSys2018, EvaluatorRPrecisionArtist): an artist
    whose right song was found as well is credited all the same. So two targets of one artist, answered by one of them
    and another song of that artist, give (1 + 0.25) / 2. An unknown artist (-1) matches nothing.
    """
    queries, _, tracks = first_ranks(ranked, targets.counts())
    wanted = np.sort(pair_keys(targets.queries(), targets.tracks, catalogue_size))
    answered = pair_keys(queries, tracks, catalogue_size)
    wrong = answered[~contains(wanted, answered)]
    n_artists = int(artist_of.max(initial=-1)) + 1

    def artists(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The distinct (query, known artist) pairs of these (query, song) pairs."""
        artist = artist_of[pairs % catalogue_size].astype(np.int64)
        ordered = np.sort((pairs // catalogue_size * n_artists + artist)[artist >= 0])
        return ordered[np.diff(ordered, prepend=-1) > 0]  # np.unique hashes, which takes ten times as long

    credited = np.intersect1d(artists(wrong), artists(wanted), assume_unique=True)
    return np.bincount(credited // max(n_artists, 1), minlength=len(targets)).astype(np.float64) * ARTIST_CREDIT


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
