"""One contract for every vector index, against NumPy."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from data.errors import DamagedError, UserError
from recsys.index import BACKENDS, ExactIndex, ExactSettings, FaissIndex, FaissSettings, open_index

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


@every_index
class TestEveryIndex:
    def test_finds_the_nearest_songs(self, make):
        ids, vectors = songs()
        queries = vectors[:50] + np.float32(0.05)
        index = filled(make, ids, vectors, batches=3)
        answer = index.search(queries, 10)
        assert len(index) == len(ids)
        assert index.dimension == DIMENSION
        assert_sound(answer, ids, 10)
        assert recall(answer, oracle(ids, vectors, queries, 10)) >= 0.9

    def test_a_song_is_nearest_to_itself(self, make):
        ids, vectors = songs(count=500)
        answer = filled(make, ids, vectors).search(vectors[:50], 1)
        assert (answer.tracks == ids[:50]).mean() >= 0.95
        np.testing.assert_allclose(answer.scores, 1, atol=0.05)

    def test_removed_songs_are_not_found(self, make):
        ids, vectors = songs(count=1000)
        index = filled(make, ids, vectors)
        gone, stay = ids[:300], ids[300:]
        index.remove(np.concatenate([gone, gone[:5]]))
        answer = index.search(vectors[:40], 20)
        assert len(index) == 700
        assert_sound(answer, stay, 20)
        assert recall(answer, oracle(stay, vectors[300:], vectors[:40], 20)) >= 0.85

    def test_a_song_may_come_back_with_another_vector(self, make, tmp_path):
        ids, vectors = songs(count=600)
        index = filled(make, ids, vectors)
        for _ in range(3):
            index.remove(ids[:100])
            index.add(ids[:100], -vectors[:100])
        index.save(tmp_path)
        for searched in (index, open_index(tmp_path)):
            answer = searched.search(-vectors[:100], 1)
            assert len(searched) == 600
            assert (answer.tracks == ids[:100]).mean() >= 0.95
            assert_sound(searched.search(vectors[:20], 600), ids, 600)

    def test_removing_nearly_everything(self, make):
        ids, vectors = songs(count=600)
        index = filled(make, ids, vectors)
        index.remove(ids[:200])
        index.remove(ids[200:590])
        assert_sound(index.search(vectors[:5], 4), ids[590:], 4)
        assert_sound(index.search(vectors[:5], 20), ids[590:], 20)
        index.remove(ids[590:])
        assert len(index) == 0
        assert index.search(vectors[:2], 4).offsets.tolist() == [0, 0, 0]
        index.add(ids, vectors)
        assert_sound(index.search(vectors[:5], 20), ids, 20)

    def test_excluded_songs_are_never_returned_and_k_still_come(self, make):
        ids, vectors = songs()
        queries = vectors[:6]
        nearest = [row for row, _ in oracle(ids, vectors, queries, len(ids))]
        exclude = [
            np.zeros(0, np.int32),
            nearest[1][:10],
            nearest[2][:900],
            nearest[3][:-4],
            ids,
            np.array([2**31 - 1, 7], np.int32),
        ]
        index = filled(make, ids, vectors)
        answer = index.search(queries, 10, exclude)
        assert_sound(answer, ids, 10, exclude)
        assert len(answer[3][0]) == 4
        assert len(answer[4][0]) == 0

    def test_k_beyond_the_catalogue_returns_it_all(self, make):
        ids, vectors = songs(count=300)
        assert_sound(filled(make, ids, vectors).search(vectors[:3], 1000), ids, 1000)

    @pytest.mark.parametrize("count", [1, 2, 5, 40])
    def test_few_songs(self, make, count):
        ids, vectors = songs(count=count, clusters=2)
        index = filled(make, ids, vectors)
        assert_sound(index.search(vectors, 3), ids, 3)

    def test_grows_far_beyond_its_first_batch(self, make):
        ids, vectors = songs(count=1000)
        index = make(DIMENSION)
        index.add(ids[:3], vectors[:3])
        index.add(ids[3:], vectors[3:])
        assert_sound(index.search(vectors[:20], 10), ids, 10)

    def test_empty_index_empty_batch_empty_add(self, make, tmp_path):
        ids, vectors = songs(count=100)
        index = make(DIMENSION)
        index.add(ids[:0], vectors[:0])
        index.remove(ids[:0])
        index.save(tmp_path)
        for empty in (index, open_index(tmp_path)):
            assert len(empty) == 0
            assert len(empty.search(vectors[:3], 5).tracks) == 0
            assert len(empty.search(vectors[:3], 5)) == 3
            assert len(empty.search(vectors[:0], 5)) == 0
            empty.add(ids, vectors)
            assert len(empty.search(vectors[:0], 5, exclude=[])) == 0
            empty.remove(ids[:0])
            assert len(empty) == 100

    def test_one_query_equals_a_batch_of_one(self, make):
        ids, vectors = songs(count=1000)
        index = filled(make, ids, vectors)
        exclude = [ids[number : 3 * number] for number in range(30)]
        batch = index.search(vectors[:30], 10, exclude)
        singles = [index.search(vectors[n : n + 1], 10, exclude[n : n + 1])[0] for n in range(30)]
        assert_same(batch, singles)

    def test_neither_length_nor_caller_matters(self, make):
        ids, vectors = songs(count=500)
        index = filled(make, ids, vectors)
        before = index.search(vectors[:5], 10)
        assert_same(index.search(vectors[:5] * np.float32(2**40), 10), list(before))
        assert_same(index.search(vectors[:5] * np.float32(2.0**-40), 10), list(before))
        queries = vectors[:5].copy()
        vectors[:] = np.nan
        ids[:] = 0
        assert_same(index.search(queries, 10), list(before))

    def test_save_and_load_give_the_same_answers(self, make, tmp_path):
        ids, vectors = songs(count=1000)
        index = filled(make, ids[:900], vectors[:900])
        index.remove(ids[:50])
        index.save(tmp_path / "new" / "folder")
        loaded = open_index(tmp_path / "new" / "folder")
        assert type(loaded) is type(index)
        assert len(loaded) == 850
        assert_same(loaded.search(vectors[:20], 10), list(index.search(vectors[:20], 10)))
        loaded.add(ids[900:], vectors[900:])
        loaded.remove(ids[50:60])
        assert_sound(loaded.search(vectors[:20], 10), ids[60:], 10)

    def test_damaged_files_are_refused(self, make, tmp_path):
        ids, vectors = songs(count=100)
        index = filled(make, ids, vectors)
        index.save(tmp_path)
        card = json.loads((tmp_path / "index.json").read_text())
        for wrong in ({"count": 99}, {"dimension": 16}):
            (tmp_path / "index.json").write_text(json.dumps(card | wrong))
            with pytest.raises(DamagedError):
                open_index(tmp_path)
        for path in list(tmp_path.iterdir()):
            index.save(tmp_path)
            path.write_bytes(path.read_bytes()[:9])
            with pytest.raises(DamagedError):
                open_index(tmp_path)
            path.unlink()
            with pytest.raises(DamagedError):
                open_index(tmp_path)

    @pytest.mark.parametrize(
        ("change_ids", "change_vectors"),
        [
            pytest.param({}, {0: np.nan}, id="nan"),
            pytest.param({}, {1: np.inf}, id="inf"),
            pytest.param({}, {2: 0}, id="zero"),
            pytest.param({0: 9000}, {}, id="twice in the call"),
            pytest.param({0: 5}, {}, id="already there"),
            pytest.param({1: -1}, {}, id="negative"),
            pytest.param({1: 2**31}, {}, id="too large"),
        ],
    )
    def test_bad_additions_are_refused_and_change_nothing(self, make, change_ids, change_vectors):
        _, vectors = songs(count=100)
        index = filled(make, np.arange(90, dtype=np.int32), vectors[:90])
        before = list(index.search(vectors[:5], 5))
        ids, fresh = np.arange(8999, 9009, dtype=np.int64), vectors[90:].copy()
        for row, value in change_ids.items():
            ids[row] = value
        for row, value in change_vectors.items():
            fresh[row] = value
        with pytest.raises(ValueError, match=r"ids|vectors"):
            index.add(ids, fresh)
        assert len(index) == 90
        assert_same(index.search(vectors[:5], 5), before)

    def test_wrong_shapes_are_refused(self, make):
        ids, vectors = songs(count=20)
        index = make(DIMENSION)
        for bad_ids, bad_vectors in (
            (ids, vectors[:, :-1]),
            (ids[:-1], vectors),
            (ids.astype(np.float32), vectors),
            (ids[:, None], vectors),
            (ids[:1], vectors[0]),
        ):
            with pytest.raises(ValueError, match=r"ids|vectors"):
                index.add(bad_ids, bad_vectors)
        assert len(index) == 0

    def test_bad_queries_are_refused(self, make):
        ids, vectors = songs(count=20)
        index = filled(make, ids, vectors)
        for value in (np.nan, np.inf, 0):
            with pytest.raises(ValueError, match="vectors"):
                index.search(np.full((2, DIMENSION), value, np.float32), 3)
        with pytest.raises(ValueError, match="shape"):
            index.search(vectors[:, :5], 3)
        with pytest.raises(ValueError, match="shape"):
            index.search(vectors[0], 3)
        with pytest.raises(ValueError, match="k must be"):
            index.search(vectors, 0)
        with pytest.raises(ValueError, match="exclude"):
            index.search(vectors, 3, exclude=[ids])

    def test_removing_the_unknown_is_refused_and_changes_nothing(self, make):
        _, vectors = songs(count=20)
        index = filled(make, np.arange(20, dtype=np.int32), vectors)
        with pytest.raises(LookupError, match="77, 99"):
            index.remove(np.array([3, 99, 77], np.int32))
        assert len(index) == 20
        assert 3 in index.search(vectors[3:4], 20).tracks
        with pytest.raises(LookupError):
            make(DIMENSION).remove(np.array([1], np.int32))


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
