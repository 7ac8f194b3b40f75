"""What must hold of every accuracy metric, whatever the ranking; and the whole table against dense NumPy arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eval.metrics.curves import CUTOFFS as CURVE
from eval.metrics.curves import over_k
from eval.metrics.registry import CUTOFFS, METRICS, all_metrics, lower_is_better
from recsys.ranked import Ranked
from recsys.tasks.targets import Targets
from tests.eval.metrics.metric_toys import Run, runs

DEEP = 1200
Floats = NDArray[np.float64]


def densely(run: Run) -> dict[str, Floats]:
    """Every metric but artist credit from one (Q, DEEP) table of hits, written down without looking at ours."""
    right = np.zeros((len(run.rankings), DEEP))
    wanted = np.zeros((len(run.rankings), run.size), bool)
    for query, (ranking, relevant) in enumerate(zip(run.rankings, run.relevant, strict=True)):
        wanted[query, sorted(relevant)] = True
        tracks, first = np.unique(np.array(ranking, int), return_index=True)
        right[query, first] = wanted[query, tracks]
    n, ranks = wanted.sum(axis=1), np.arange(1, DEEP + 1)
    upto, discount = np.cumsum(right, axis=1), 1 / np.log2(ranks + 1)
    first_hit = np.where(right.any(axis=1), right.argmax(axis=1) + 1, np.inf)
    found = {f"recall@{k}": upto[:, k - 1] / n for k in CUTOFFS["recall"]}
    found |= {f"precision@{k}": upto[:, k - 1] / k for k in CUTOFFS["precision"]}
    found |= {f"hr@{k}": (first_hit <= k) * 1.0 for k in CUTOFFS["hr"]}
    found |= {f"mrr@{k}": (first_hit <= k) / first_hit for k in CUTOFFS["mrr"]}
    for k in CUTOFFS["map"]:
        found[f"map@{k}"] = (right * upto / ranks)[:, :k].sum(axis=1) / np.minimum(n, k)
    for k in CUTOFFS["ndcg"]:
        ideal = np.where(ranks <= np.minimum(n, k)[:, None], discount, 0).sum(axis=1)
        found[f"ndcg@{k}"] = (right[:, :k] @ discount[:k]) / ideal
    found["r_precision"] = upto[np.arange(len(n)), n - 1] / n
    found["clicks"] = np.where(first_hit <= 500, (np.minimum(first_hit, 500) - 1) // 10, 51)
    return found


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(runs))
def test_all_metrics_agree_with_dense_numpy(run: Run) -> None:
    measured = run.measured()
    for name, values in densely(run).items():
        assert measured[name] == pytest.approx(values), name


@settings(max_examples=40, deadline=None)
@given(runs(), st.integers(0, 2**32 - 1))
def test_only_the_order_counts_not_the_scores(run: Run, seed: int) -> None:
    """Ties above all: a metric that sorted again would put equal scores in another order."""
    rng = np.random.default_rng(seed)
    scores = [-np.sort(rng.integers(0, 3, len(row))) for row in run.rankings]
    rows = [(np.array(row, np.int32), of.astype(np.float32)) for row, of in zip(run.rankings, scores, strict=True)]
    artists = np.array(run.artist_of, np.int32)
    tied = all_metrics(Ranked.from_rows(rows), run.targets, artists, run.size)
    for name, values in run.measured().items():
        np.testing.assert_array_equal(tied[name], values, name)


@settings(max_examples=40, deadline=None)
@given(st.booleans().flatmap(runs))
def test_values_stay_on_their_scales(run: Run) -> None:
    for name, values in run.measured().items():
        most = 51 if name == "clicks" else 1 + 1e-12
        assert ((values >= 0) & (values <= most)).all(), name


@settings(max_examples=60, deadline=None)
@given(runs(), st.data())
def test_a_right_song_moved_up_makes_nothing_worse(run: Run, data: st.DataObject) -> None:
    query = data.draw(st.integers(0, len(run.rankings) - 1))
    ranking = run.rankings[query]
    places = [at for at in range(1, len(ranking)) if ranking[at] in run.relevant[query]]
    if not places:
        return
    at = data.draw(st.sampled_from(places))
    better = [*ranking]
    better[at - 1 : at + 1] = [ranking[at], ranking[at - 1]]
    before = Run([ranking], [run.relevant[query]], run.artist_of).measured()
    after = Run([better], [run.relevant[query]], run.artist_of).measured()
    for name in METRICS:
        sign = -1 if lower_is_better(name) else 1
        # The song that gives way at rank |G| may have earned artist credit, worth less than the right song.
        assert sign * (after[name][0] - before[name][0]) >= -1e-12, name


@settings(max_examples=40, deadline=None)
@given(runs(), st.integers(0, 2**32 - 1))
def test_names_of_songs_mean_nothing(run: Run, seed: int) -> None:
    renamed = np.random.default_rng(seed).permutation(run.size)
    artists = np.empty(run.size, int)
    artists[renamed] = run.artist_of
    other = Run(
        [renamed[row].tolist() if row else [] for row in run.rankings],
        [set(renamed[sorted(row)].tolist()) for row in run.relevant],
        artists.tolist(),
    )
    for name, values in run.measured().items():
        assert other.measured()[name] == pytest.approx(values), name


@settings(max_examples=40, deadline=None)
@given(runs(), st.data())
def test_queries_without_a_target_are_refused_and_can_be_left_out(run: Run, data: st.DataObject) -> None:
    empty = data.draw(st.lists(st.booleans(), min_size=len(run.relevant), max_size=len(run.relevant)))
    targets = Targets.from_rows([[] if none else sorted(row) for none, row in zip(empty, run.relevant, strict=True)])
    artists = np.array(run.artist_of, np.int32)
    if any(empty):
        with pytest.raises(ValueError, match=f"{sum(empty)} of {len(empty)} queries have no target"):
            all_metrics(run.ranked, targets, artists, run.size)
    asked = targets.nonempty()
    found = all_metrics(run.ranked.select(asked), targets.select(asked), artists, run.size)
    for name, values in run.measured().items():
        np.testing.assert_array_equal(found[name], values[asked], name)


@settings(max_examples=40, deadline=None)
@given(runs())
def test_curves_are_the_means_at_every_cutoff(run: Run) -> None:
    found = over_k(run.ranked, run.targets, run.size)
    measured = run.measured()
    assert set(found) == {"recall", "ndcg"}
    for name, points in found.items():
        assert len(points) == len(CURVE)
        for k, point in zip(CURVE, points, strict=True):
            if k in CUTOFFS[name]:
                assert point == pytest.approx(measured[f"{name}@{k}"].mean())
    first = [float(row[0] in wanted) if row else 0.0 for row, wanted in zip(run.rankings, run.relevant, strict=True)]
    assert found["ndcg"][0] == pytest.approx(np.mean(first))
    assert found["recall"] == sorted(found["recall"])
