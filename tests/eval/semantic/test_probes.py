"""Linear probes on features of which we know what they tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from eval.semantic.probes import (
    frequent,
    macro_average_precision,
    macro_f1,
    macro_roc_auc,
    median,
    probe,
    resampled,
    resampled_difference,
)
from eval.statistics import bootstrap_intervals

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=240)
HAS = LABELS[:, None] == np.arange(3)
GROUPS = np.arange(240) // 4
TRAIN, TEST = np.arange(160), np.arange(160, 240)


def accuracy(features: np.ndarray) -> float:
    found = probe(features.astype(np.float32), HAS, GROUPS, TRAIN, TEST)
    assert found.shape == (80, 3)
    return float((found.argmax(axis=1) == LABELS[TEST]).mean())


def test_what_a_line_can_read_is_read_whatever_its_scale():
    seen = np.eye(3)[LABELS] + 0.3 * RNG.normal(size=(240, 3))
    assert accuracy(seen * [1e-3, 1, 1e3]) > 0.95


def test_noise_tells_nothing():
    assert accuracy(RNG.normal(size=(240, 30))) < 0.55


def test_rows_outside_are_never_read():
    features = np.eye(3)[LABELS]
    features[200:] = np.nan
    found = probe(features.astype(np.float32), HAS[:, :1], GROUPS, TRAIN, np.arange(160, 200))
    assert found.shape == (40, 1)
    assert np.isfinite(found).all()


def test_macro_values_leave_out_tags_that_all_or_none_have():
    right = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0]], np.bool_)
    scores = np.array([[0.9, 0, 0], [0.1, 0, 0], [0.8, 0, 0], [0.2, 0, 0]])
    assert macro_roc_auc(right, scores) == macro_average_precision(right, scores) == 1.0
    assert np.isnan(macro_roc_auc(right[:, 1:], scores[:, 1:]))


@given(st.integers(0, 10_000), st.integers(2, 30), st.sampled_from([3, 1000]))
def test_macro_values_are_sklearns(seed, songs, levels):
    rng = np.random.default_rng(seed)
    right, scores = rng.random((songs, 4)) < 0.4, rng.integers(levels, size=(songs, 4)).astype(float)
    both = [tag for tag in range(4) if 0 < right[:, tag].sum() < songs]
    for ours, theirs in ((macro_roc_auc, roc_auc_score), (macro_average_precision, average_precision_score)):
        expected = np.mean([theirs(right[:, tag], scores[:, tag]) for tag in both]) if both else np.nan
        assert ours(right, scores) == pytest.approx(expected, nan_ok=True)


def test_intervals_hold_the_value_and_widen_with_fewer_groups():
    right, said = LABELS, np.where(RNG.random(240) < 0.7, LABELS, 0)
    many = resampled(macro_f1, (np.arange(240), (right, said)))
    few = resampled(macro_f1, (np.arange(240) // 60, (right, said)))
    assert many["mean"] == few["mean"] == pytest.approx(f1_score(right, said, average="macro"))
    assert many["low"] < many["mean"] < many["high"]
    assert resampled(median, (GROUPS, (np.ones(240),))) == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_intervals_hold_the_value_where_tags_are_rare():
    rng = np.random.default_rng(1)
    right = rng.random((200, 30)) < 0.04
    scores = right + rng.normal(0, 1, right.shape)
    for value in (macro_average_precision, macro_roc_auc):
        found = resampled(value, (np.arange(200), (right, scores)))
        assert found["mean"] == pytest.approx(value(right, scores))
        assert found["low"] < found["mean"] < found["high"]


def test_a_difference_is_paired():
    right = LABELS
    good, bad = (np.where(RNG.random(240) < share, LABELS, 0) for share in (0.8, 0.5))
    found = resampled_difference(macro_f1, [(GROUPS, (right, good))], [(GROUPS, (right, bad))])
    assert found["mean"] == pytest.approx(macro_f1(right, good) - macro_f1(right, bad))
    assert 0 < found["low"] < found["mean"] < found["high"]
    same = resampled_difference(macro_f1, [(GROUPS, (right, good))], [(GROUPS, (right, good))])
    assert same == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_a_difference_of_means_agrees_with_the_bootstrap_of_the_differences():
    one, other = RNG.random((2, 240))
    found = resampled_difference(lambda values: float(values.mean()), [(GROUPS, (one,))], [(GROUPS, (other,))])
    expected = bootstrap_intervals({"": one - other}, groups=GROUPS)[""]
    assert found["mean"] == pytest.approx(expected["mean"])
    assert found["low"] == pytest.approx(expected["low"], abs=0.02)
    assert found["high"] == pytest.approx(expected["high"], abs=0.02)


def test_strength_is_chosen_across_groups():
    """Features that tell the group, and so the label of songs seen, but nothing of another group's."""
    groups = np.arange(240) // 8
    labels = (RNG.random(30) < 0.5)[groups][:, None]
    features = (np.eye(30)[groups] + 0.1 * RNG.normal(size=(240, 30))).astype(np.float32)
    apart = probe(features, labels, groups, TRAIN, TEST)
    mixed = probe(features, labels, np.arange(240), TRAIN, TRAIN)
    assert apart.std() < 0.1 * mixed.std()


def test_frequent_labels_are_counted_over_the_rows_alone():
    values = [["b", "a"], ["a"], [], ["a", "c"], ["c"]]
    assert frequent(values, np.arange(4), 2) == ["a"]
    assert frequent(values, np.arange(5), 2) == ["a", "c"]
    assert frequent(values, np.array([2]), 1) == []
