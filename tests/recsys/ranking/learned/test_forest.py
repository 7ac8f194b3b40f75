"""A forest of plain arrays answers like the classifier it was taken from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from recsys.ranking.learned.forest import CELLS, MOST_SPLITS, Forest, _Outcomes


def some(rows: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features, a third of them unknown, and labels that depend on them, on what is unknown among them as well."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, 8)).astype(np.float32)
    features[random.random(features.shape) < 0.3] = np.nan
    signal = np.nan_to_num(features[:, 0]) + np.isnan(features[:, 3]) - np.isnan(features[:, 4])
    return features, signal + random.standard_normal(rows) > 0.5


@pytest.fixture(scope="module")
def model() -> HistGradientBoostingClassifier:
    features, labels = some(4000)
    return HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=9, random_state=0).fit(features, labels)


def test_it_gives_the_log_odds_of_the_classifier(model: HistGradientBoostingClassifier) -> None:
    features, _ = some(1000, seed=1)
    assert np.allclose(Forest.of(model).scores(features), model.decision_function(features), atol=1e-9)


def test_numbers_at_a_threshold_and_beyond_all_of_them(model: HistGradientBoostingClassifier) -> None:
    thresholds = np.unique(Forest.of(model).threshold)
    features = np.repeat(np.concatenate([thresholds, [-3e38, 3e38]])[:, None], 8, axis=1).astype(np.float32)
    assert np.allclose(Forest.of(model).scores(features), model.decision_function(features), atol=1e-9)


def test_what_is_stored_answers_alike(model: HistGradientBoostingClassifier) -> None:
    features, _ = some(100, seed=2)
    forest = Forest.of(model)
    assert np.array_equal(Forest.restore(forest.state()).scores(features), forest.scores(features))


@pytest.mark.parametrize("leaves", [2, 7, 10, 11, 14])
def test_tables_of_outcomes_say_the_same_as_a_walk_from_the_root(leaves: int) -> None:
    features, labels = some(4000)
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=leaves, random_state=0).fit(features, labels)
    forest = Forest.of(model)
    outcomes = _Outcomes.of(forest)
    assert (outcomes is None) == (leaves > MOST_SPLITS + 1)
    assert np.allclose(forest.scores(features), model.decision_function(features), atol=1e-9)
    if outcomes is not None:
        infinity = float("inf")
        seen = np.concatenate([np.nan_to_num(features, nan=-infinity), np.nan_to_num(features, nan=infinity)], axis=1)
        assert np.array_equal(outcomes.values(seen), forest._walked(seen))


def test_a_row_alone_has_the_score_it_has_among_others(model: HistGradientBoostingClassifier) -> None:
    features, _ = some(CELLS // 30 + 100, seed=3)  # more than are looked at together
    forest = Forest.of(model)
    together = forest.scores(features)
    assert np.array_equal(np.concatenate([forest.scores(features[at : at + 1]) for at in range(50)]), together[:50])
    assert np.array_equal(forest.scores(features[-150:]), together[-150:])


def test_no_rows(model: HistGradientBoostingClassifier) -> None:
    assert Forest.of(model).scores(np.zeros((0, 8), np.float32)).shape == (0,)


def test_it_looks_at_the_columns_of_its_splits_alone() -> None:
    features, labels = some(2000)
    features[:, 5] = 1.0  # says nothing, so no tree asks for it
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=7, random_state=0).fit(features, labels)
    forest = Forest.of(model)
    looked_at = forest.looks_at(8)
    assert 0 in looked_at
    assert 5 not in looked_at
    other = features.copy()
    other[:, [column for column in range(8) if column not in looked_at]] = np.nan
    assert np.array_equal(forest.scores(other), forest.scores(features))
