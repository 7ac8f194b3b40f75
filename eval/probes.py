"""Linear probes: how much of a label can be read off a vector by a straight line?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eval.statistics import Interval

STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse regularisation, chosen by cross-validation on the training songs, no artist on both sides."""
FOLDS = 3
RESAMPLES = 300
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def probe(features: NDArray[np.float32], labels: Ints, groups: Ints, train: Ints, test: Ints) -> Floats:
    """Probabilities (len(test), 2 or more) of the classes `np.unique(labels[train])`, by logistic regression.

    features: (N, D), standardised on the training songs. labels, groups: (N,). Raises ValueError where the training
    songs have one class or one group alone.
    """
    folds = min(FOLDS, len(np.unique(groups[train])))
    splits = list(GroupKFold(folds).split(train, groups=groups[train]))
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=STRENGTHS,
            cv=splits,
            scoring="balanced_accuracy",
            class_weight="balanced",
            max_iter=500,
            l1_ratios=(0,),
            use_legacy_attributes=False,
        ),
    )
    model.fit(features[train], labels[train])
    return np.asarray(model.predict_proba(features[test]), np.float64)


def resampled(value: Callable[..., float], groups: Ints, *columns: NDArray[Any], seed: int = 0) -> Interval:
    """value(*columns) over some songs and its 95 % bootstrap interval, whole groups (artists) drawn with replacement.

    columns: (Q, ...) each, a row per song; groups: (Q,).
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[at] for at in rng.integers(len(members), size=len(members))])
        drawn.append(value(*(column[rows] for column in columns)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(mean=value(*columns), low=float(low), high=float(high))


def median(values: NDArray[Any]) -> float:
    """The middle one."""
    return float(np.median(values))


def macro_f1(right: Ints, found: Ints) -> float:
    """Mean F1 over the classes that occur on either side."""
    return float(f1_score(right, found, labels=np.union1d(right, found), average="macro", zero_division=0))


def macro_roc_auc(right: NDArray[np.bool_], scores: Floats) -> float:
    """Mean area under the ROC curve over the tags (columns) that some of the songs have and some have not."""
    return _mean_over_tags(right, scores, roc_auc_score)


def macro_average_precision(right: NDArray[np.bool_], scores: Floats) -> float:
    """Mean average precision (the area under the precision-recall curve) over such tags."""
    return _mean_over_tags(right, scores, average_precision_score)


def _mean_over_tags(right: NDArray[np.bool_], scores: Floats, of: Callable[..., float]) -> float:
    both = [tag for tag in range(right.shape[1]) if 0 < right[:, tag].sum() < len(right)]
    return float(np.mean([of(right[:, tag], scores[:, tag]) for tag in both])) if both else float("nan")


def frequent(values: Sequence[Sequence[str]], rows: Ints, least: int) -> list[str]:
    """The labels that at least so many of the rows have, sorted."""
    names, counts = np.unique([name for row in rows for name in values[row]], return_counts=True)
    return [str(name) for name, count in zip(names, counts, strict=True) if count >= least]
