"""Metrics against ranx where it has them, and against slow plain Python for everything."""

import doctest
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import eval.metrics.registry
import recsys.tasks.accuracy
from eval.metrics.registry import CUTOFFS, METRICS, all_metrics, lower_is_better
from recsys.ranked import Ranked
from recsys.tasks.accuracy import hits, ndcg
from recsys.tasks.targets import Targets
from tests.eval.metrics.metric_toys import Run, runs


def plainly(ranking: list[int], relevant: set[int], artist_of: list[int]) -> dict[str, float]:
    """Every metric of one query, one rank after the other."""
    found = [track in relevant and track not in ranking[:rank] for rank, track in enumerate(ranking)]
    found += [False] * (1000 - len(found))
    n = len(relevant)
    values = {}
    for k in (10, 20, 100, 500):
        ranks = [rank for rank in range(1, k + 1) if found[rank - 1]]
        values[f"recall@{k}"] = len(ranks) / n
        values[f"precision@{k}"] = len(ranks) / k
        values[f"hr@{k}"] = 1.0 if ranks else 0.0
        values[f"mrr@{k}"] = 1 / ranks[0] if ranks else 0.0
        values[f"map@{k}"] = sum(sum(found[:rank]) / rank for rank in ranks) / min(n, k)
        ideal = sum(1 / log2(rank + 1) for rank in range(1, min(n, k) + 1))
        values[f"ndcg@{k}"] = sum(1 / log2(rank + 1) for rank in ranks) / ideal
    values["r_precision"] = sum(found[:n]) / n
    credited: set[int] = set()
    for track in ranking[:n]:
        artist = artist_of[track]
        if track not in relevant and artist != -1 and artist in {artist_of[right] for right in relevant}:
            credited.add(artist)
    values["r_precision_artist"] = (sum(found[:n]) + 0.25 * len(credited)) / n
    values["clicks"] = next((rank // 10 for rank in range(500) if found[rank]), 51)
    return {name: values[name] for name in METRICS}


@settings(max_examples=80, deadline=None)
@given(st.booleans().flatmap(runs))
def test_all_metrics_agree_with_plain_python(run: Run) -> None:
    measured = run.measured()
    assert tuple(measured) == METRICS
    for query, (ranking, relevant) in enumerate(zip(run.rankings, run.relevant, strict=True)):
        expected = plainly(ranking, relevant, run.artist_of)
        assert {name: values[query] for name, values in measured.items()} == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(runs())
def test_metrics_agree_with_ranx(run: Run) -> None:
    ranx = pytest.importorskip("ranx.metrics")
    from numba.typed import List

    def table(tracks: list[int]) -> NDArray[np.float64]:
        """What ranx reads: (song, score) rows, best first."""
        return np.array([(track, -rank) for rank, track in enumerate(tracks)], np.float64).reshape(-1, 2)

    wanted = List([np.array([(track, 1) for track in sorted(row)], np.float64) for row in run.relevant])
    answered = List([table(row) for row in run.rankings])
    theirs = {
        "recall": ranx.recall,
        "precision": ranx.precision,
        "hr": ranx.hit_rate,
        "mrr": ranx.reciprocal_rank,
        "map": ranx.average_precision,
        "ndcg": ranx.ndcg,
    }
    measured = run.measured()
    n = run.targets.counts()
    for name, metric in theirs.items():
        for k in CUTOFFS[name]:
            # ranx divides average precision by |G| even where k songs cannot hold them all.
            ours = measured[f"{name}@{k}"] * (np.minimum(n, k) / n if name == "map" else 1)
            assert ours == pytest.approx(metric(wanted, answered, k)), f"{name}@{k}"
    assert measured["r_precision"] == pytest.approx(ranx.r_precision(wanted, answered))


@settings(max_examples=30, deadline=None)
@given(runs())
def test_one_query_equals_its_row_of_the_batch(run: Run) -> None:
    together = run.measured()
    for query, (ranking, relevant) in enumerate(zip(run.rankings, run.relevant, strict=True)):
        alone = Run([ranking], [relevant], run.artist_of).measured()
        assert {name: values[query] for name, values in together.items()} == {
            name: values[0] for name, values in alone.items()
        }


def test_a_perfect_ranking_is_perfect_and_a_wrong_one_worthless() -> None:
    perfect = Run([[3, 1, 2]], [{1, 2, 3}], [0, 1, 2, 3, 4]).measured()
    for name in ("recall@10", "hr@10", "mrr@10", "map@10", "ndcg@10", "r_precision", "r_precision_artist"):
        assert perfect[name] == [1.0], name
    assert perfect["clicks"] == [0.0]
    wrong = Run([[0, 4]], [{1, 2, 3}], [0, 1, 2, 3, 4]).measured()
    assert {name for name, values in wrong.items() if values != [0.0]} == {"clicks"}
    assert wrong["clicks"] == [51.0]


@pytest.mark.parametrize(
    ("ranking", "artist_of", "expected"),
    [
        ([2, 3], [7, 7, 7, 7], 0.25 / 2),  # one artist, credited once
        ([0, 2], [7, 7, 7, 7], 1.25 / 2),  # the right song does not use its artist's credit up
        ([2, 3], [7, 8, 7, 8], 0.5 / 2),  # two artists
        ([2, 3], [-1, -1, -1, -1], 0.0),  # unknown is not an artist
        ([0, 0], [7, 7, 7, 7], 0.5),  # a right song repeated is no wrong song
        ([3, 3, 2], [7, 7, 7, 8], 0.0),  # too late
    ],
)
def test_artist_credit(ranking: list[int], artist_of: list[int], expected: float) -> None:
    assert Run([ranking], [{0, 1}], artist_of).measured()["r_precision_artist"] == [expected]


def test_clicks_turn_a_page_after_ten_songs() -> None:
    def first_hit_at(rank: int) -> float:
        return float(Run([list(range(600))], [{rank - 1}], [-1] * 600).measured()["clicks"][0])

    assert [first_hit_at(rank) for rank in (1, 10, 11, 500, 501)] == [0, 0, 1, 49, 51]


def test_r_precision_looks_deeper_than_five_hundred() -> None:
    run = Run([list(range(600))], [set(range(600))], [-1] * 600)
    assert run.measured()["r_precision"] == [1.0]


def test_no_queries_no_values() -> None:
    values = all_metrics(Ranked.from_rows([]), Targets.from_rows([]), np.zeros(3, np.int32), 3)
    assert {len(column) for column in values.values()} == {0}


def test_only_clicks_are_better_when_fewer() -> None:
    assert {name for name in METRICS if lower_is_better(name)} == {"clicks"}
    assert lower_is_better("text_to_audio_median_rank")
    assert not lower_is_better("text_to_audio_recall@10")
    with pytest.raises(ValueError, match="no metric"):
        lower_is_better("ndgc@10")


@settings(max_examples=30, deadline=None)
@given(st.booleans().flatmap(runs), st.integers(1, 3))
def test_queries_measured_in_parts_give_the_same(run: Run, at_once: int) -> None:
    whole = run.measured()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.metrics.registry, "AT_ONCE", at_once)
        parts = run.measured()
    assert tuple(parts) == METRICS
    for name in METRICS:
        np.testing.assert_array_equal(parts[name], whole[name])


def test_hits_are_found_among_many_queries_whose_hashes_meet() -> None:
    """Rankings of one song each, so that each is right or wrong by itself; a tenth of them is right."""
    rng = np.random.default_rng(0)
    answered, wanted = rng.integers(0, 10, (2, 3000), dtype=np.int32)
    ranked = Ranked(np.arange(3001), answered, np.zeros(3000, np.float32))
    found = hits(ranked, Targets(np.arange(3001), wanted), depth=1, catalogue_size=10)
    assert found[:, 0].tolist() == (answered == wanted).tolist()
    uneven = Ranked(np.concatenate([[0, 0], ranked.offsets[2:]]), answered, ranked.scores)
    found = hits(uneven, Targets(np.arange(3001), wanted), depth=2, catalogue_size=10)
    assert found[0].tolist() == [False, False]
    assert found[1].tolist() == [answered[0] == wanted[1], answered[1] == wanted[1] != answered[0]]
    assert found[2:, 0].tolist() == (answered == wanted)[2:].tolist()


def test_refuses_what_it_cannot_measure() -> None:
    one = Ranked.from_rows([(np.array([0], np.int32), np.array([1.0], np.float32))])
    artists = np.zeros(2, np.int32)
    with pytest.raises(ValueError, match="have no target"):
        all_metrics(one, Targets.from_rows([[]]), artists, 2)
    with pytest.raises(ValueError, match="targets of 2 queries"):
        all_metrics(one, Targets.from_rows([[0], [1]]), artists, 2)
    with pytest.raises(ValueError, match="catalogue of 2"):
        all_metrics(one, Targets.from_rows([[2]]), artists, 2)
    with pytest.raises(ValueError, match="artists of 2 songs"):
        all_metrics(one, Targets.from_rows([[0]]), artists, 3)
    nowhere = Ranked.from_rows([(np.array([2], np.int32), np.array([1.0], np.float32))])
    with pytest.raises(ValueError, match="catalogue of 2"):
        all_metrics(nowhere, Targets.from_rows([[0]]), artists, 2)
    table = hits(one, Targets.from_rows([[0]]), depth=5, catalogue_size=2)
    with pytest.raises(ValueError, match="compute them deeper"):
        ndcg(table, np.array([1]), k=10)
    with pytest.raises(ValueError, match="at least one target"):
        ndcg(table, np.array([0]), k=5)


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=6), st.integers(0, 2**10 - 1))
def test_targets_keep_their_rows(rows: list[list[int]], bits: int) -> None:
    def read(targets: Targets) -> list[list[int]]:
        return [
            targets.tracks[start:stop].tolist()
            for start, stop in zip(targets.offsets[:-1], targets.offsets[1:], strict=True)
        ]

    mask = np.array([bits >> i & 1 for i in range(10)], bool)
    targets = Targets.from_rows(rows)
    unique = [sorted(set(row)) for row in rows]
    assert len(targets) == len(rows)
    assert read(targets) == unique
    assert read(targets.restrict(mask)) == [[track for track in row if mask[track]] for row in unique]
    assert read(targets.select(targets.nonempty())) == [row for row in unique if row]
    for start in range(len(rows)):
        assert read(targets.between(start, start + 2)) == unique[start : start + 2]
    assert targets.tracks.dtype == np.int32
    assert targets.offsets.dtype == np.int64


@pytest.mark.parametrize("module", [eval.metrics.registry, recsys.tasks.accuracy])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
