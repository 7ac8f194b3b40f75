"""One contract for every vector index."""

import json

import numpy as np
import pytest

from data.errors import DamagedError
from recsys.index import open_index
from tests.recsys.index.index_toys import (
    DIMENSION,
    assert_same,
    assert_sound,
    every_index,
    filled,
    oracle,
    recall,
    songs,
)


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
