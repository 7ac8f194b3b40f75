"""Exact indexes against NumPy, and what single kinds of index owe their users."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.errors import DamagedError, UserError
from recsys.index import BACKENDS, ExactIndex, ExactSettings, FaissIndex, FaissSettings, open_index
from tests.recsys.index.index_toys import DIMENSION, assert_same, assert_sound, exact_index, filled, oracle, songs, unit


@exact_index
class TestExactAnswers:
    def test_agrees_with_the_oracle(self, make):
        ids, vectors = songs()
        queries = vectors[:50] + np.float32(0.05)
        index = filled(make, ids, vectors, batches=4)
        exclude = [ids[10 * number : 20 * number] for number in range(50)]
        assert_same(index.search(queries, 100), oracle(ids, vectors, queries, 100))
        assert_same(index.search(queries, 30, exclude), oracle(ids, vectors, queries, 30, exclude))

    def test_ties_go_to_the_lower_id(self, make):
        """Few distinct vectors, each there often, so that most borders cut through a tie."""
        rng = np.random.default_rng(1)
        ids, _ = songs(count=1500)
        distinct = rng.normal(size=(6, DIMENSION)).astype(np.float32)
        vectors = distinct[rng.integers(6, size=len(ids))]
        index = filled(make, ids, vectors, batches=3)
        exclude = [np.sort(ids)[:40]] * 6
        for k in (1, 7, 100, 700):
            assert_same(index.search(distinct, k, exclude), oracle(ids, vectors, distinct, k, exclude))

    def test_scores_do_not_depend_on_the_batch(self, make):
        ids, vectors = songs(count=2000)
        index = filled(make, ids, vectors)
        batch = index.search(vectors[:40], 10)
        for number in range(40):
            np.testing.assert_array_equal(index.search(vectors[number : number + 1], 10).scores, batch[number][1])

    def test_large_answers(self, make):
        ids, vectors = songs(count=6000, dimension=8)
        index = filled(make, ids, vectors)
        assert_same(index.search(vectors[:3], 2500), oracle(ids, vectors, vectors[:3], 2500))


@pytest.mark.parametrize("order", ["none", "rising", "ties"])
def test_many_blocks(order):
    """1 MiB holds 512 scores of each of 512 queries, so the songs come in two dozen blocks."""
    ids, vectors = songs(count=12_000, dimension=8)
    queries = vectors[:600]
    if order == "rising":
        vectors = vectors[np.argsort(unit(vectors) @ unit(queries[:1])[0])]
    if order == "ties":
        vectors = vectors[np.random.default_rng(0).integers(30, size=len(ids))]
    exclude = [ids[number : number + number % 40] for number in range(600)]
    index = filled(partial(ExactIndex, settings=ExactSettings(device="cpu", block_mib=1)), ids, vectors)
    assert_same(index.search(queries, 50, exclude), oracle(ids, vectors, queries, 50, exclude))


@st.composite
def worlds(draw):
    """Small catalogues of small whole numbers: repeated vectors, many ties, any k."""
    dimension = draw(st.integers(1, 5))
    count, asked = draw(st.integers(0, 25)), draw(st.integers(0, 4))
    numbers = st.integers(-2, 2).map(float)
    vectors = draw(arrays.arrays(np.float32, (count, dimension), elements=numbers))
    queries = draw(arrays.arrays(np.float32, (asked, dimension), elements=numbers))
    vectors[~vectors.any(axis=1), 0] = 1
    queries[~queries.any(axis=1), 0] = 1
    ids = draw(st.lists(st.integers(0, 60), min_size=count, max_size=count, unique=True))
    exclude = [draw(st.lists(st.integers(0, 60), max_size=20)) for _ in range(asked)]
    return np.array(ids, np.int32), vectors, queries, [np.array(row, np.int32) for row in exclude]


@exact_index
@settings(max_examples=40, deadline=None)
@given(world=worlds(), k=st.integers(1, 30), gone=st.integers(0, 25))
def test_any_small_world_agrees_with_the_oracle(make, world, k, gone):
    ids, vectors, queries, exclude = world
    index = filled(make, ids, vectors, batches=2)
    index.remove(ids[:gone])
    assert_same(index.search(queries, k, exclude), oracle(ids[gone:], vectors[gone:], queries, k, exclude))


def test_settings_survive_saving(tmp_path):
    ids, vectors = songs(count=100)
    chosen = FaissSettings(hnsw_m=8, ef_search=64)
    index = FaissIndex(DIMENSION, "hnsw", chosen, gpu="off")
    index.add(ids, vectors)
    index.save(tmp_path)
    loaded = FaissIndex.load(tmp_path)
    assert (loaded.kind, loaded.settings, loaded.gpu) == ("hnsw", chosen, "off")


@pytest.mark.parametrize("dimension", [1, 7, 30])
def test_compressed_lists_take_any_dimension(dimension):
    ids, vectors = songs(count=300, dimension=dimension)
    assert_sound(filled(BACKENDS["faiss-ivfpq"], ids, vectors).search(vectors[:3], 5), ids, 5)


def test_unreachable_songs_are_found_when_everything_is_wanted():
    """Identical vectors break a graph apart; asking for all must still give all."""
    ids, _ = songs(count=800)
    vectors = np.repeat(songs(count=2)[1], 400, axis=0)
    index = filled(BACKENDS["faiss-hnsw"], ids, vectors)
    assert_sound(index.search(vectors[[0, -1]], 700), ids, 700)


def test_training_precision_does_not_reach_the_scores():
    ids, vectors = songs(count=300)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        answer = filled(ExactIndex, ids, vectors).search(vectors[:5], 10)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert_same(answer, oracle(ids, vectors, vectors[:5], 10))


def test_unknown_backend_is_the_users_to_mend(tmp_path):
    (tmp_path / "index.json").write_text('{"backend": "faiss-hnws", "dimension": 3, "count": 0}')
    with pytest.raises(UserError, match='closest name is "faiss-hnsw"'):
        open_index(tmp_path)
    with pytest.raises(DamagedError, match="no index in"):
        open_index(tmp_path / "nowhere")
