"""Curves: quality against the number of answers, and of playlists against the number of songs given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.dataset import Dataset
from data.split import Split
from eval.models import Model
from recsys.ranked import Ranked
from recsys.tasks import held_out
from recsys.tasks.accuracy import hits, ndcg, recall
from recsys.tasks.targets import Targets

CUTOFFS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SEEDS = (0, 1, 2, 5, 10, 25, 50, 100)
SEED_METRICS = ("recall@100", "ndcg@100")
SEED_QUERIES = 1000
"""Playlists of the curve over seeds, for every number of seeds."""
AT = 100


def over_k(ranked: Ranked, targets: Targets, catalogue_size: int) -> dict[str, list[float]]:
    """Mean recall and NDCG of the first k answers for every k of CUTOFFS."""
    found = hits(ranked, targets, CUTOFFS[-1], catalogue_size)
    counts = targets.counts()
    return {
        "recall": [float(recall(found, counts, k).mean()) for k in CUTOFFS],
        "ndcg": [float(ndcg(found, counts, k).mean()) for k in CUTOFFS],
    }


def over_seeds(
    dataset: Dataset, split: Split, models: Mapping[str, Model], max_queries: int = SEED_QUERIES
) -> dict[str, Any]:
    """Quality against the number of songs given of a playlist; empty where the playlists are too short or untitled.

    Every point asks the same playlists for the same songs: those after the `after`-th, the greatest number given. The
    songs up to there that are not given may not be answered either, or few seeds would look better for the songs that
    lie nearer. Returns {"n", "after", "queries", metric of SEED_METRICS: {model: a mean per n}}.
    """
    lengths = np.bincount(dataset.playlist_tracks["playlist"].to_numpy(), minlength=dataset.playlists.height)
    of_test = lengths[split.playlists_of("test")]
    long_enough = [n for n in SEEDS if n > 0 and (of_test > n).sum() >= max(len(of_test) / 2, 1)]
    if not long_enough:
        return {}
    after = max(long_enough)
    asked = {
        n: held_out(dataset, split, "playlist", "test", n, max_queries, targets_from=after) for n in (0, *long_enough)
    }
    # Without a title there is nothing to give; such a point would be of other playlists.
    same = {n: question for n, question in asked.items() if np.array_equal(question.groups, asked[after].groups)}
    if not asked[after].queries:
        return {}
    curves: dict[str, dict[str, list[float]]] = {metric: {} for metric in SEED_METRICS}
    for name, model in models.items():
        for question in same.values():
            found = hits(model(question.queries, AT), question.targets, AT, len(dataset.track_ids))
            counts = question.targets.counts()
            curves["recall@100"].setdefault(name, []).append(float(recall(found, counts, AT).mean()))
            curves["ndcg@100"].setdefault(name, []).append(float(ndcg(found, counts, AT).mean()))
    return {"n": list(same), "after": after, "queries": len(asked[after].queries), **curves}
