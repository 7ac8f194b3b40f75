"""How good is one ranking of the whole catalogue? Every metric gives one value per query, so that it can be tested.

A query that nothing was found for counts, with the worst value. A query that has nothing to find is the caller's to
leave out, and an error here. `n_relevant` is the number of targets of a query, |G| in the literature.
"""

import numpy as np
from numpy.typing import NDArray

from eval.metrics.metric import Metric
from recsys.ranked import Ranked
from recsys.tasks import Task
from recsys.tasks.accuracy import (
    DEPTH,
    average_precision,
    clicks,
    first_ranks,
    hit_rate,
    hits,
    ndcg,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
)
from recsys.tasks.fast_membership import contains, pair_keys
from recsys.tasks.targets import Targets

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

TESTED = ("ndcg@100", "recall@20")
"The metrics that are tested between models."

SEMANTIC = {"probe_": "probes", "zero_shot_": "zero-shot", "text_to_audio_": "retrieval", "audio_to_text_": "retrieval"}
"How the names of `eval.semantic.measure`'s metrics begin, and what they are about."

LOWER_IS_BETTER = frozenset({"clicks", "text_to_audio_median_rank", "audio_to_text_median_rank"})

AT_ONCE = 1024
"Queries measured together; their tables then stay in the processor's cache."
ARTIST_CREDIT = 0.25
"What the right artist with the wrong song is worth, as in RecSys Challenge 2018."


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value is the better one, also of a slice (`cold/clicks`). Raises ValueError for no metric."""
    name = Metric.parse(metric).plain
    if name not in METRICS and semantic_kind(name) is None:
        raise ValueError(f'no metric "{metric}" (there are: {", ".join(METRICS)})')
    return name in LOWER_IS_BETTER


def semantic_kind(metric: str) -> str | None:
    """What a metric of the semantic task is about; None for other metrics."""
    return next((kind for begins, kind in SEMANTIC.items() if metric.startswith(begins)), None)


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


COLUMNS: dict[Task, list[str]] = {
    "next-song": ["recall@20", "ndcg@100", "mrr@20", "discovery/recall@20", "cold/recall@20"],
    "discovery": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
    "playlist": ["recall@100", "ndcg@100", "r_precision", "clicks", "cold/recall@100"],
    "cold-start": ["recall@20", "recall@100", "ndcg@100", "mrr@20"],
    "session": ["recall@20", "ndcg@100", "mrr@20", "discovery/recall@20", "cold/recall@20"],
    "cold-user": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
    "new-user": ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@20"],
}
"What is shown of each task."


def columns_of(task: Task, hidden: bool) -> list[str]:
    """The columns of a task; hidden: where songs were hidden, of which those on cold songs then are."""
    if not hidden:
        return COLUMNS[task]
    return [*(name.replace("cold/", "hidden/") for name in COLUMNS[task]), "hidden/ndcg@100"]
