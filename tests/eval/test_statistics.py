"""Intervals against SciPy, tests against what chance must give, and the same answer for the same seed."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import eval.statistics
from eval.statistics import bootstrap_intervals, compare_all, holm, paired_test


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


class TestBootstrap:
    def test_agrees_with_scipy(self, rng: np.random.Generator) -> None:
        values = {"a": rng.beta(0.5, 2, 400), "b": rng.integers(0, 2, 400).astype(float)}
        ours = bootstrap_intervals(values, resamples=4000)
        for name, column in values.items():
            theirs = stats.bootstrap((column,), np.mean, n_resamples=4000, method="percentile", random_state=1)
            width = theirs.confidence_interval.high - theirs.confidence_interval.low
            assert ours[name]["mean"] == pytest.approx(column.mean())
            assert ours[name]["low"] == pytest.approx(theirs.confidence_interval.low, abs=0.08 * width)
            assert ours[name]["high"] == pytest.approx(theirs.confidence_interval.high, abs=0.08 * width)

    def test_covers_the_truth_as_often_as_it_says(self, rng: np.random.Generator) -> None:
        samples = {str(i): rng.exponential(1.0, 200) for i in range(300)}
        covered = [x["low"] <= 1 <= x["high"] for x in bootstrap_intervals(samples, level=0.9).values()]
        assert 0.84 < np.mean(covered) < 0.95

    def test_blocks_do_not_change_the_mean_of_resamples(
        self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = {"a": rng.random(50)}
        whole = bootstrap_intervals(values)
        monkeypatch.setattr(eval.statistics, "BLOCK", 1000)
        assert bootstrap_intervals(values)["a"] == pytest.approx(whole["a"], abs=1e-12)

    def test_groups_are_drawn_whole(self, rng: np.random.Generator) -> None:
        """Twenty copies of each listener's value tell no more than one."""
        values = rng.random(60)
        once = bootstrap_intervals({"a": values})["a"]
        listeners = np.repeat([f"user-{i:02}" for i in range(60)], 20)
        grouped = bootstrap_intervals({"a": np.repeat(values, 20)}, groups=listeners)["a"]
        naive = bootstrap_intervals({"a": np.repeat(values, 20)})["a"]
        assert grouped == pytest.approx(once)
        assert naive["high"] - naive["low"] < (once["high"] - once["low"]) / 3

    def test_groups_of_unequal_size_keep_the_mean_over_queries(self) -> None:
        interval = bootstrap_intervals({"a": np.array([1.0, 1.0, 1.0, 0.0])}, groups=np.array([1, 1, 1, 2]))["a"]
        assert interval == {"mean": 0.75, "low": 0.0, "high": 1.0}

    def test_refuses_what_it_cannot_resample(self) -> None:
        assert bootstrap_intervals({}) == {}
        with pytest.raises(ValueError, match="at least one"):
            bootstrap_intervals({"a": np.zeros(0)})
        with pytest.raises(ValueError, match="same queries"):
            bootstrap_intervals({"a": np.zeros(3), "b": np.zeros(2)})
        with pytest.raises(ValueError, match="groups of 2"):
            bootstrap_intervals({"a": np.zeros(3)}, groups=np.zeros(2))


class TestPairedTest:
    def test_false_alarms_are_as_rare_as_promised(self, rng: np.random.Generator) -> None:
        p = [
            paired_test(rng.random(40), rng.random(40), permutations=199, resamples=10, seed=seed)["p"]
            for seed in range(400)
        ]
        assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.085
        assert 0.42 < np.mean(np.array(p) <= 0.5) < 0.58

    def test_agrees_with_scipy(self, rng: np.random.Generator) -> None:
        a, b = rng.random(80) + 0.07, rng.random(80)
        ours = paired_test(a, b)
        theirs = stats.permutation_test(
            (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=9999, random_state=1
        )
        assert ours["p"] == pytest.approx(theirs.pvalue, abs=0.015)
        assert ours["difference"] == pytest.approx((a - b).mean())
        assert ours["low"] < ours["difference"] < ours["high"]

    def test_sees_a_difference_and_its_sign(self, rng: np.random.Generator) -> None:
        b = rng.random(200)
        test = paired_test(b + rng.normal(0.02, 0.05, 200), b, permutations=999)
        assert test["p"] == pytest.approx(1 / 1000)
        assert 0 < test["low"] < test["high"]

    def test_no_difference_at_all_is_no_evidence(self) -> None:
        same = np.full(30, 0.3)
        assert paired_test(same, same) == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}

    def test_one_query_cannot_prove_anything(self) -> None:
        assert paired_test(np.array([1.0]), np.array([0.0]))["p"] == 1.0

    def test_groups_flip_together(self, rng: np.random.Generator) -> None:
        difference = rng.normal(0.1, 0.5, 30)
        once = paired_test(difference, np.zeros(30))
        grouped = paired_test(np.repeat(difference, 20), np.zeros(600), groups=np.repeat(np.arange(30), 20))
        assert grouped == pytest.approx(once)

    def test_refuses_other_queries(self) -> None:
        with pytest.raises(ValueError, match="same queries"):
            paired_test(np.zeros(3), np.zeros(2))


class TestHolm:
    def test_a_known_example(self) -> None:
        adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
        assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})

    @given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
    def test_agrees_with_stepping_down(self, p_values: dict[str, float]) -> None:
        """A hypothesis falls at level alpha exactly where Holm's procedure, walked step by step, rejects it."""
        adjusted = holm(p_values)
        assert list(adjusted) == list(p_values)
        for alpha in (0.01, 0.05, 0.2, 0.7):
            rejected = set()
            for step, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
                if p_values[name] * (len(p_values) - step) > alpha:
                    break
                rejected.add(name)
            assert {name for name, p in adjusted.items() if p <= alpha} == rejected


class TestCompareAll:
    @pytest.fixture
    def values(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        base = rng.random(300)
        return {
            "popular": base * 0.5,
            "good": base + rng.normal(0.1, 0.1, 300),
            "ials": base,
            "same": base + rng.permutation(np.repeat([-0.1, 0.1], 150)),
            "bad": base - rng.normal(0.1, 0.1, 300),
        }

    def test_judges_every_model_against_the_best_baseline(self, values: dict[str, np.ndarray]) -> None:
        rows = compare_all(values, metric="ndcg@100", baselines={"popular", "ials", "absent"})
        assert [(row["model"], row["baseline"], row["verdict"]) for row in rows] == [
            ("good", "ials", "better"),
            ("same", "ials", "no difference shown"),
            ("bad", "ials", "worse"),
        ]
        assert all(row["p_holm"] >= row["p"] for row in rows)
        assert {row["metric"] for row in rows} == {"ndcg@100"}

    def test_fewer_clicks_are_better(self, values: dict[str, np.ndarray]) -> None:
        clicks = {name: 10 - column for name, column in values.items()}
        rows = compare_all(clicks, metric="clicks", baselines={"popular", "ials"}, lower_is_better=True)
        assert [(row["model"], row["baseline"], row["verdict"]) for row in rows] == [
            ("good", "ials", "better"),
            ("same", "ials", "no difference shown"),
            ("bad", "ials", "worse"),
        ]
        assert rows[0]["difference"] < 0

    def test_a_row_equals_its_own_paired_test(self, values: dict[str, np.ndarray]) -> None:
        row = compare_all(values, metric="ndcg@100", baselines={"ials"})[1]
        assert paired_test(values["good"], values["ials"]) == pytest.approx(
            {name: row[name] for name in ("difference", "low", "high", "p")}
        )

    def test_nothing_to_compare(self, values: dict[str, np.ndarray]) -> None:
        assert compare_all(values, metric="ndcg@100", baselines=set()) == []
        assert compare_all(values, metric="ndcg@100", baselines=set(values)) == []


def test_the_seed_decides(rng: np.random.Generator) -> None:
    a, b = rng.random(60), rng.random(60)
    assert bootstrap_intervals({"a": a}, seed=3) == bootstrap_intervals({"a": a}, seed=3)
    assert bootstrap_intervals({"a": a}, seed=3) != bootstrap_intervals({"a": a}, seed=4)
    assert paired_test(a, b, seed=3) == paired_test(a, b, seed=3)
    assert paired_test(a, b, seed=3) != paired_test(a, b, seed=4)


def test_examples() -> None:
    assert doctest.testmod(eval.statistics).failed == 0
