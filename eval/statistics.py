"""How sure is a number, and is one model better than another? Bootstrap intervals and paired permutation tests.

Everything resamples queries, or whole groups of them (the queries of one listener), since those do not vary
independently. The same seed draws the same resamples for every model and metric.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

BLOCK = 2_000_000
"Random draws held in memory at once."


class Interval(TypedDict):
    """A mean over queries and its bootstrap interval; without one where all queries are one listener's."""

    mean: float
    low: NotRequired[float]
    high: NotRequired[float]


class PairedTest(TypedDict):
    """The mean of a - b, its bootstrap interval, and the two-sided p of the sign-flip test."""

    difference: float
    low: float
    high: float
    p: float


class Comparison(PairedTest):
    """One model against the best baseline on one metric."""

    metric: str
    model: str
    baseline: str
    p_holm: float
    verdict: Literal["better", "worse", "no difference shown"]


def bootstrap_intervals(
    values: Mapping[str, Matrix],
    *,
    groups: NDArray[np.generic] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """The mean of each metric and its percentile bootstrap interval.

    values: metric (or model) -> (Q,). groups: (Q,), queries of equal value are drawn together (cluster bootstrap); of a
    single group nothing is known but the mean. Raises ValueError where there are no queries, or unequal numbers.

    >>> bootstrap_intervals({"hr@10": np.array([1.0, 1.0, 1.0])})
    {'hr@10': {'mean': 1.0, 'low': 1.0, 'high': 1.0}}
    """
    if not values:
        return {}
    sums, sizes = _per_group(_columns(values), groups)
    means = sums.sum(axis=0) / sizes.sum()
    if groups is not None and len(sizes) == 1:
        return {name: Interval(mean=float(means[i])) for i, name in enumerate(values)}
    low, high = _bootstrap(sums, sizes, resamples, level, seed)
    return {
        name: Interval(mean=float(means[i]), low=float(low[i]), high=float(high[i])) for i, name in enumerate(values)
    }


def ratio_interval(
    above: Matrix,
    below: Matrix,
    *,
    groups: NDArray[np.generic] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The mean of `above` divided by the mean of `below`, and its percentile bootstrap interval.

    above, below: (Q,) of the same queries, drawn together. groups: as for bootstrap_intervals. Resamples whose `below`
    is 0 altogether count for nothing. Raises ValueError where that is so of all queries.

    >>> ratio_interval(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    {'mean': 0.5, 'low': 0.5, 'high': 0.5}
    """
    if not below.sum() > 0:
        raise ValueError("a ratio needs something to divide by")
    sums, _ = _per_group(_columns({"above": above, "below": below}), groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _resampled(sums[:, :1], sums[:, 1], resamples, seed)
    low, high = np.quantile(ratios[np.isfinite(ratios)], [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=float(above.sum() / below.sum()), low=float(low), high=float(high))


def paired_test(
    a: Matrix,
    b: Matrix,
    *,
    groups: NDArray[np.generic] | None = None,
    permutations: int = 10_000,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedTest:
    """Do two models differ on the same queries? Paired sign-flip permutation test of the mean of a - b.

    a, b: (Q,). Under the null hypothesis each difference (each group's sum of them) could as well have the other sign.
    p = (1 + flips at least as far from 0 as seen) / (1 + permutations), so never 0, and 1 where a equals b.

    >>> paired_test(np.array([0.2, 0.4]), np.array([0.2, 0.4]))
    {'difference': 0.0, 'low': 0.0, 'high': 0.0, 'p': 1.0}
    """
    if a.shape != b.shape:
        raise ValueError(f"a paired test needs the same queries on both sides, not {len(a)} and {len(b)}")
    tests = paired_tests(
        {"": a - b}, groups=groups, permutations=permutations, resamples=resamples, level=level, seed=seed
    )
    return tests[""]


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p values adjusted for testing them all (Holm 1979): the smallest times m, the next times m - 1, never falling.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def compare_all(
    values: Mapping[str, Matrix],
    *,
    metric: str,
    baselines: Collection[str],
    lower_is_better: bool = False,
    groups: NDArray[np.generic] | None = None,
    permutations: int = 10_000,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Comparison]:
    """Every model that is no baseline against the best baseline, in the order of `values`; none without both kinds.

    values: model -> (Q,), one metric over the same queries. The best baseline is the one with the best mean on these
    very queries: its luck makes it harder to beat, never easier. A verdict needs a Holm-adjusted p below 1 - level.
    A single group (one listener) is no sample: nothing is tested.
    """
    sign = -1.0 if lower_is_better else 1.0
    known = [name for name in values if name in baselines]
    others = [name for name in values if name not in baselines]
    if not known or not others or (groups is not None and len(np.unique(groups)) == 1):
        return []
    _columns(values)
    best = max(known, key=lambda name: sign * values[name].mean())
    differences = {name: values[name] - values[best] for name in others}
    tests = paired_tests(
        differences, groups=groups, permutations=permutations, resamples=resamples, level=level, seed=seed
    )
    adjusted = holm({name: test["p"] for name, test in tests.items()})

    def verdict(name: str) -> Literal["better", "worse", "no difference shown"]:
        if adjusted[name] >= 1 - level:
            return "no difference shown"
        return "better" if sign * tests[name]["difference"] > 0 else "worse"

    return [
        Comparison(
            metric=metric, model=name, baseline=best, **tests[name], p_holm=adjusted[name], verdict=verdict(name)
        )
        for name in others
    ]


def adjust(tests: Sequence[Comparison], level: float = 0.95) -> list[Comparison]:
    """The same tests as one family: Holm over all of them, and the verdicts that this leaves.

    A model that was better or worse by its own metric alone stays so only below 1 - level.
    """
    adjusted = holm({str(at): test["p"] for at, test in enumerate(tests)})
    found = []
    for at, test in enumerate(tests):
        p = adjusted[str(at)]
        verdict = test["verdict"] if p < 1 - level else "no difference shown"
        found.append(Comparison(**{**test, "p_holm": p, "verdict": verdict}))
    return found


def paired_tests(
    differences: Mapping[str, Matrix],
    *,
    groups: NDArray[np.generic] | None = None,
    permutations: int = 10_000,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, PairedTest]:
    """`paired_test` of several (Q,) differences a - b over the same queries at once, all with the same flips."""
    sums, sizes = _per_group(_columns(differences), groups)
    low, high = _bootstrap(sums, sizes, resamples, level, seed)
    total = sums.sum(axis=0)
    # A flip that gives the seen total back must count, though it adds up in another order.
    extreme = np.abs(total) - 1e-9 * np.abs(sums).sum(axis=0)

    def flips(rng: np.random.Generator, rows: int) -> Matrix:
        return rng.integers(0, 2, (rows, len(sums)), np.int8).astype(np.float64)

    as_extreme = sum(
        (np.abs(2 * (kept @ sums) - total) >= extreme).sum(axis=0)
        for kept in _blocks(flips, permutations, len(sums), seed)
    )
    means, p = total / sizes.sum(), (1 + as_extreme) / (1 + permutations)
    return {
        name: PairedTest(difference=float(means[i]), low=float(low[i]), high=float(high[i]), p=float(p[i]))
        for i, name in enumerate(differences)
    }


def _bootstrap(sums: Matrix, sizes: Matrix, resamples: int, level: float, seed: int) -> tuple[Matrix, Matrix]:
    """The ends of the percentile interval of the mean, drawing groups (rows of `sums`) with replacement."""
    low, high = np.quantile(_resampled(sums, sizes, resamples, seed), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _resampled(sums: Matrix, sizes: Matrix, resamples: int, seed: int) -> Matrix:
    """(resamples, M) means: the sums of the groups drawn over their sizes."""
    n = len(sums)

    def weights(rng: np.random.Generator, rows: int) -> Matrix:
        """How often each group is drawn, in each of `rows` resamples: a multinomial, counted from plain draws."""
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)

    return np.concatenate([w @ sums / (w @ sizes)[:, None] for w in _blocks(weights, resamples, n, seed)])


def _blocks(draw: Callable[[np.random.Generator, int], Matrix], rows: int, width: int, seed: int) -> Iterator[Matrix]:
    """`rows` random rows of `width` numbers, a bounded part of them at a time."""
    rng = np.random.default_rng(seed)
    height = max(1, BLOCK // width)
    for start in range(0, rows, height):
        yield draw(rng, min(height, rows - start))


def _per_group(columns: Matrix, groups: NDArray[np.generic] | None) -> tuple[Matrix, Matrix]:
    """(G, M) sums and (G,) numbers of queries of each group; without groups, every query is its own."""
    if groups is None:
        return columns, np.ones(len(columns))
    if groups.shape != (len(columns),):
        raise ValueError(f"groups of {len(groups)} queries do not fit the values of {len(columns)}")
    _, of = np.unique(groups, return_inverse=True)
    sizes = np.bincount(of).astype(np.float64)
    sums = np.stack([np.bincount(of, weights=column) for column in columns.T], axis=1).astype(np.float64)
    return sums, sizes


def _columns(values: Mapping[str, Matrix]) -> Matrix:
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"values must be of the same queries, at least one; they have {lengths}")
    return np.stack(list(values.values()), axis=1).astype(np.float64)
