"""A result as eval.run writes it, small enough to know by heart, and evidence to go with it."""

from typing import Any

from eval.report.catalogue_map import CatalogueMap, Colouring, Dot
from eval.report.evidence import Evidence
from eval.report.queries import ExampleQuery, ShownSong

MEANS = {"random": 0.1, "item-knn": 0.5, "bpr": 0.4, "htcl-stage1": 0.2, "htcl-stage2": 0.3, "fused": 0.6}
EVIL = "</title><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
METRICS = ("recall@10", "recall@20", "recall@100", "recall@500", "ndcg@10", "ndcg@20", "ndcg@100", "ndcg@500")


def comparison(metric: str, model: str, verdict: str, difference: float, baseline: str = "item-knn") -> dict[str, Any]:
    """One paired test."""
    ends = {"difference": difference, "low": difference - 0.05, "high": difference + 0.05}
    return {
        "metric": metric,
        "model": model,
        "baseline": baseline,
        **ends,
        "p": 0.01,
        "p_holm": 0.02,
        "verdict": verdict,
    }


def toy_result(task: str = "playlist", **more: Any) -> dict[str, Any]:
    """Six models; cold songs are found by ours alone; `clicks` falls as the rest rises."""
    models = {
        name: {metric: interval(mean) for metric in METRICS}
        | {f"warm/{metric}": interval(mean) for metric in METRICS}
        | {f"cold/{metric}": interval(mean / 2 if "htcl" in name or name == "fused" else 0.0) for metric in METRICS}
        | {"clicks": interval(10 - 10 * mean)}
        for name, mean in MEANS.items()
    }
    return {
        "task": task,
        "dataset": {"name": "toy", "simulated": True, "summary": "60 tracks", "fingerprint": "f"},
        "protocol": {
            "text": "whole playlists",
            "queries": {"all": 30, "cold/": 10, "warm/": 25},
            "targets": {"all": 90, "cold/": 20, "warm/": 70},
            "catalogue": 60,
            "depth": 500,
            "intervals": "95 % percentile bootstrap",
            "split": "s",
        },
        "models": models,
        "tests": [
            comparison("ndcg@100", "fused", "better", 0.1),
            comparison("ndcg@100", "htcl-stage2", "worse", -0.2),
            comparison("warm/ndcg@100", "fused", "no difference shown", 0.1),
            comparison("cold/ndcg@100", "fused", "better", 0.3),
        ],
        "seconds": 3.0,
        "seconds_per_model": dict.fromkeys(MEANS, 0.5),
        **more,
    }


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": max(0.0, mean - 0.05), "high": mean + 0.05}


def rich_result() -> dict[str, Any]:
    """With everything that a result may hold beside: curves, values beyond accuracy, slices in an order."""
    result = toy_result()
    result["curves"] = {
        "k": [1, 10, 100],
        **{name: {model: [m / 4, m / 2, m] for model, m in MEANS.items()} for name in ("recall", "ndcg")},
        "seeds": {"n": [0, 5], "queries": 9, "ndcg@100": {model: [m / 2, m] for model, m in MEANS.items()}},
    }
    result["beyond"] = {
        name: {"coverage@20": interval(1 - mean), "popularity_lift@20": 3 * mean} for name, mean in MEANS.items()
    }
    for name, mean in MEANS.items():
        for prefix, factor in (("seeds:25", 1.0), ("seeds:1", 0.3), ("seeds:5", 0.6), ("head", 1.0), ("tail", 0.2)):
            result["models"][name][f"{prefix}/ndcg@100"] = interval(mean * factor)
    return result


def toy_evidence(title: str = "Blue song", task: str = "playlist") -> Evidence:
    """One query, a map of four songs, no workspace."""
    song = ShownSong(title, "The Trio", True, True)
    other = ShownSong("Green song", "The Band", False, False)
    asked = ExampleQuery("playlist p", title, (other,), 1, (song,), 1, dict.fromkeys(MEANS, (other, song)))
    dots = tuple(Dot(250.0 * at, 800.0 - 200 * at, f"{title} {at}", (at % 2, at % 3)) for at in range(4))
    empty = tuple(("", 0) for _ in range(7))
    views = (
        Colouring("genre", ((title, 2), ("metal", 2), *empty)),
        Colouring("tag", (("calm", 2), ("loud", 1), ("odd", 1), *empty[:6])),
    )
    return Evidence(asked={task: [asked]}, songs=CatalogueMap(dots, views, "by hand"))
