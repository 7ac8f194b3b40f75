"""The metrics of `eval.metrics.registry` as a plain loop over queries and ranks: no NumPy, no batches."""

from collections.abc import Iterable, Sequence
from math import log2

from eval.metrics.registry import ARTIST_CREDIT, CUTOFFS
from recsys.tasks.accuracy import DEPTH, PAGE


def plain_metrics(
    rankings: Iterable[Sequence[int]], relevant: Iterable[set[int]], artist_of: Sequence[int]
) -> list[dict[str, float]]:
    """Every metric of every query; a ranking names no song twice."""
    return [query_metrics(ranking, wanted, artist_of) for ranking, wanted in zip(rankings, relevant, strict=True)]


def query_metrics(ranking: Sequence[int], relevant: set[int], artist_of: Sequence[int]) -> dict[str, float]:
    """One query; its hits are looked up once for all metrics."""
    found = [track in relevant for track in ranking]
    n = len(relevant)
    values: dict[str, float] = {}
    for k in CUTOFFS["recall"]:
        values[f"recall@{k}"] = sum(found[:k]) / n
    for k in CUTOFFS["precision"]:
        values[f"precision@{k}"] = sum(found[:k]) / k
    for k in CUTOFFS["hr"]:
        values[f"hr@{k}"] = float(any(found[:k]))
    for k in CUTOFFS["mrr"]:
        values[f"mrr@{k}"] = next((1 / rank for rank, right in enumerate(found[:k], 1) if right), 0.0)
    for k in CUTOFFS["map"]:
        right_so_far, total = 0, 0.0
        for rank, right in enumerate(found[:k], 1):
            if right:
                right_so_far += 1
                total += right_so_far / rank
        values[f"map@{k}"] = total / min(n, k)
    for k in CUTOFFS["ndcg"]:
        gained = sum(1 / log2(rank + 1) for rank, right in enumerate(found[:k], 1) if right)
        values[f"ndcg@{k}"] = gained / sum(1 / log2(rank + 1) for rank in range(1, min(n, k) + 1))
    values["r_precision"] = sum(found[:n]) / n
    wanted_artists = {artist_of[track] for track in relevant} - {-1}
    credited = {artist_of[track] for track in ranking[:n] if track not in relevant} & wanted_artists
    values["r_precision_artist"] = (sum(found[:n]) + ARTIST_CREDIT * len(credited)) / n
    values["clicks"] = next((rank // PAGE for rank, right in enumerate(found[:DEPTH]) if right), DEPTH // PAGE + 1)
    return values
