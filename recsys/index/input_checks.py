"""Input checks that every index backend shares, so that all refuse the same things."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NAMED = 5


def unit_vectors(vectors: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """`vectors` (N, D) scaled to length 1, as a new contiguous array.

    Raises ValueError for another shape or width, NaN, infinity (also a number too large for float32), or zero vectors.
    """
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise ValueError(f"vectors must have shape (N, {dimension}), not {rows.shape}")
    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(broken):
        raise ValueError(f"vectors hold NaN or infinity in rows {_first(broken)}")
    # In float64, since squares of large or tiny float32 numbers overflow or vanish.
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    if not lengths.all():
        raise ValueError(f"vectors are zero, and so point nowhere, in rows {_first(np.flatnonzero(lengths == 0))}")
    unit = np.empty_like(rows)
    np.divide(rows, lengths[:, None], out=unit, casting="same_kind")
    return unit


def new_ids(ids: NDArray[np.int32], known: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """`ids` as int32. Raises ValueError unless they are `count` distinct ids, none negative and none in `known`."""
    fresh = track_ids(ids)
    if len(fresh) != count:
        raise ValueError(f"{len(fresh)} ids for {count} vectors")
    values, times = np.unique(fresh, return_counts=True)
    if (times > 1).any():
        raise ValueError(f"ids named more than once: {_first(values[times > 1])}")
    if (there := np.isin(values, known)).any():
        raise ValueError(f"ids already in the index: {_first(values[there])}; remove them first")
    return fresh


def known_ids(ids: NDArray[np.int32], known: NDArray[np.int32]) -> NDArray[np.int32]:
    """`ids` as int32, each once. Raises LookupError naming those that are not in `known`."""
    wanted = np.unique(track_ids(ids))
    if (missing := ~np.isin(wanted, known)).any():
        raise LookupError(f"ids not in the index: {_first(wanted[missing])}")
    return wanted


def track_ids(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """`ids` as int32. Raises ValueError unless they are one row of whole numbers from 0 to 2**31 - 1."""
    given = np.asarray(ids)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(f"ids must be one row of whole numbers, not {given.dtype} of shape {given.shape}")
    outside = (given < 0) | (given > np.iinfo(np.int32).max)
    if outside.any():
        raise ValueError(f"ids must lie in 0..2**31-1; found {_first(given[outside])}")
    return given.astype(np.int32)


def search_request(k: int, exclude: Sequence[NDArray[np.int32]] | None, queries: int) -> list[NDArray[np.int32]]:
    """The ids that each query excludes, empty where there are none. ValueError for a wrong `k` or length."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if exclude is None:
        return [np.zeros(0, np.int32)] * queries
    if len(exclude) != queries:
        raise ValueError(f"exclude has {len(exclude)} rows for {queries} queries")
    return [np.asarray(ids) for ids in exclude]


def _first(values: NDArray[np.integer]) -> str:
    shown = ", ".join(str(value) for value in values[:_NAMED])
    return f"{shown} and {len(values) - _NAMED} more" if len(values) > _NAMED else shown
