"""A forest of plain arrays answers like the classifier it was taken from."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from recsys.ranking.learned.forest import Forest


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


def test_no_rows(model: HistGradientBoostingClassifier) -> None:
    assert Forest.of(model).scores(np.zeros((0, 8), np.float32)).shape == (0,)
