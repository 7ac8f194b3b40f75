"""Songs for the vector indexes, and the answers that NumPy gives."""

from functools import partial

import numpy as np
import pytest
import torch

from recsys.index import BACKENDS, ExactIndex, ExactSettings, FaissIndex

DIMENSION = 32
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
TINY_BLOCKS = ExactSettings(device="cpu", block_mib=1, query_block=2)

EXACT = {
    "exact": ExactIndex,
    **{f"exact-{device}": partial(ExactIndex, settings=ExactSettings(device=device)) for device in DEVICES},
    "exact-blocks": partial(ExactIndex, settings=TINY_BLOCKS),
    "faiss-flat": BACKENDS["faiss-flat"],
    "faiss-flat-off": partial(FaissIndex, kind="flat", gpu="off"),
}
EVERY = {**BACKENDS, **EXACT}

every_index = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
exact_index = pytest.mark.parametrize("make", EXACT.values(), ids=EXACT)


def songs(count=3000, clusters=40, dimension=DIMENSION, seed=0):
    """Clusters on the sphere, of any length; ids with gaps and in no order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dimension))
    vectors = centres[rng.integers(clusters, size=count)] + 0.4 * rng.normal(size=(count, dimension))
    vectors *= rng.uniform(0.1, 10, size=(count, 1))
    return rng.permutation(3 * count)[:count].astype(np.int32), vectors.astype(np.float32)


def unit(vectors):
    wide = vectors.astype(np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def oracle(ids, vectors, queries, k, exclude=None):
    """(ids, scores) per query, by sorting everything."""
    if not len(ids):
        return [(ids, np.zeros(0, np.float32))] * len(queries)
    rows = []
    for number, query in enumerate(unit(queries)):
        scores = (unit(vectors) * query).sum(axis=1).astype(np.float32)
        allowed = np.ones(len(ids), bool) if exclude is None else ~np.isin(ids, exclude[number])
        order = np.lexsort((ids[allowed], -scores[allowed]))[:k]
        rows.append((ids[allowed][order], scores[allowed][order]))
    return rows


def recall(answer, truth):
    return np.mean([np.isin(best, found).mean() for (found, _), (best, _) in zip(answer, truth, strict=True)])


def assert_same(answer, expected):
    assert len(answer) == len(expected)
    for (ids, scores), (other_ids, other_scores) in zip(answer, expected, strict=True):
        np.testing.assert_array_equal(ids, other_ids)
        np.testing.assert_allclose(scores, other_scores, atol=1e-5)


def assert_sound(answer, known, k, exclude=None):
    """What holds for every answer, exact or not."""
    assert answer.tracks.dtype == np.int32
    assert answer.scores.dtype == np.float32
    for number, (ids, scores) in enumerate(answer):
        remain = np.setdiff1d(known, [] if exclude is None else exclude[number])
        assert len(ids) == min(k, len(remain))
        assert len(np.unique(ids)) == len(ids)
        assert np.isin(ids, remain).all()
        assert np.isfinite(scores).all()
        assert (np.diff(scores) <= 0).all()


def filled(make, ids, vectors, batches=1):
    index = make(vectors.shape[1])
    for some in np.array_split(np.arange(len(ids)), batches):
        index.add(ids[some], vectors[some])
    return index
