"""Linear probes: how much of a label can be read off a vector by a straight line?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eval.statistics import Interval

STRENGTHS = tuple(10.0 ** np.arange(0, 6))
"""Regularisation, chosen by cross-validation on the training songs, no group on both sides."""
FOLDS = 3
RESAMPLES = 300
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def probe(features: NDArray[np.float32], labels: Bools, groups: Ints, train: Ints, test: Ints) -> Floats:
    """Scores (len(test), L) of the labels by ridge regression, which answers for all labels at once.

    features: (N, D), standardised on the training songs. labels: (N, L). groups: (N,), what the strength is chosen
    across, as the test songs are apart from the training songs. Raises ValueError where the training songs are of one
    group alone.
    """
    folds = min(FOLDS, len(np.unique(groups[train])))
    splits = list(GroupKFold(folds).split(train, groups=groups[train]))
    model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS, cv=splits, scoring="neg_mean_squared_error"))
    model.fit(features[train], labels[train].astype(np.float32))
    return np.asarray(model.predict(features[test]), np.float64).reshape(len(test), labels.shape[1])


Sample = tuple[Ints, tuple[NDArray[Any], ...]]
"""What a metric is taken of: the group (artist) of each song, and columns with a row per song."""


def resampled(value: Callable[..., float], *samples: Sample, seed: int = 0) -> Interval:
    """value(*columns), averaged over the samples (folds), and its 95 % bootstrap interval, whole groups drawn with
    replacement; a group that several samples hold is drawn for all of them.

    The resamples' bias is taken off: songs that come twice, and rare tags that do not come at all, lift an area under a
    curve in every one of them. Efron and Tibshirani 1993, ch. 10.
    """
    rng = np.random.default_rng(seed)
    groups = np.unique(np.concatenate([of for of, _ in samples]))
    members = [[np.flatnonzero(of == group) for group in groups] for of, _ in samples]

    def drawn() -> float:
        chosen = rng.integers(len(groups), size=len(groups))
        values = []
        for (_, columns), rows_of in zip(samples, members, strict=True):
            rows = np.concatenate([rows_of[at] for at in chosen])
            if len(rows):
                values.append(value(*(column[rows] for column in columns)))
        return _mean(values)

    values = [drawn() for _ in range(RESAMPLES)]
    whole = _mean([value(*columns) for _, columns in samples])
    low, high = np.nanquantile(values, [0.025, 0.975]) - (_mean(values) - whole)
    return Interval(mean=whole, low=float(low), high=float(high))


def resampled_difference(
    value: Callable[..., float], one: Sequence[Sample], other: Sequence[Sample], seed: int = 0
) -> Interval:
    """value of one - value of the other and its paired 95 % interval: each resample draws the same songs for both."""
    width = len(one[0][1])

    def difference(*columns: NDArray[Any]) -> float:
        return value(*columns[:width]) - value(*columns[width:])

    both = [(groups, columns + others) for (groups, columns), (_, others) in zip(one, other, strict=True)]
    return resampled(difference, *both, seed=seed)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def median(values: NDArray[Any]) -> float:
    """The middle one."""
    return float(np.median(values))


def macro_f1(right: NDArray[Any], found: NDArray[Any]) -> float:
    """Mean F1 over the classes that occur on either side."""
    return float(f1_score(right, found, labels=np.union1d(right, found), average="macro", zero_division=0))


def macro_roc_auc(right: Bools, scores: Floats) -> float:
    """Mean area under the ROC curve over the tags (columns) that some of the songs have and some have not."""
    has = right.sum(axis=0)
    both = (has > 0) & (has < len(right))
    if not both.any():
        return float("nan")
    ranks, right, has = rankdata(scores[:, both], axis=0), right[:, both], has[both]
    # Mann and Whitney's U, of all pairs of a song with the tag and one without.
    above = (ranks * right).sum(axis=0) - has * (has + 1) / 2
    return float((above / (has * (len(right) - has))).mean())


def macro_average_precision(right: Bools, scores: Floats) -> float:
    """Mean average precision (the area under the precision-recall curve) over such tags; equal scores come together."""
    has = right.sum(axis=0)
    both = np.flatnonzero((has > 0) & (has < len(right)))
    return float(np.mean([_average_precision(right[:, tag], scores[:, tag]) for tag in both])) if len(both) else np.nan


def _average_precision(right: Bools, scores: Floats) -> float:
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(right[order])[last_of_equals]
    return float((np.diff(found, prepend=0) * found / (last_of_equals + 1)).sum() / found[-1])


def frequent(values: Sequence[Sequence[str]], rows: Ints, least: int) -> list[str]:
    """The labels that at least so many of the rows have, sorted."""
    names, counts = np.unique([name for row in rows for name in values[row]], return_counts=True)
    return [str(name) for name, count in zip(names, counts, strict=True) if count >= least]
