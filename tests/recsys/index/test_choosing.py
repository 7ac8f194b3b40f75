"""Which kind of index fits a catalogue, and how much of the truth it finds."""

import numpy as np
import pytest

from recsys.index import BACKENDS, FaissIndex, FaissSettings
from recsys.index.card import IndexCard
from recsys.index.choosing import EXACT_UP_TO, LISTS_UP_TO, kind_for, memory_bytes
from recsys.index.recall import NearestSongs
from tests.recsys.index.index_toys import exact_index, filled, oracle, recall, songs

GIB = 2**30


class TestKind:
    @pytest.mark.parametrize(
        ("songs", "memory", "kind"),
        [
            (0, GIB, "faiss-flat"),
            (1000, GIB, "faiss-flat"),
            (EXACT_UP_TO, GIB, "faiss-flat"),
            (EXACT_UP_TO + 1, 16 * GIB, "faiss-ivf"),
            (LISTS_UP_TO, 16 * GIB, "faiss-ivf"),
            (LISTS_UP_TO, 2 * GIB, "faiss-ivfpq"),
            (LISTS_UP_TO + 1, 1000 * GIB, "faiss-ivfpq"),
        ],
    )
    def test_follows_songs_and_memory(self, songs, memory, kind):
        assert kind_for(songs, 128, memory) == kind
        assert kind in BACKENDS

    def test_the_machine_has_memory(self):
        assert memory_bytes() > 2**26


def ordered(count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    ids, vectors = songs(count=count)
    return np.sort(ids), vectors


@exact_index
def test_exact_search_finds_all(make):
    ids, vectors = ordered()
    assert NearestSongs.of(ids, vectors, k=20, queries=50).recall(filled(make, ids, vectors)) == 1


def test_recall_is_the_share_that_numpy_finds():
    ids, vectors = ordered()
    truth = NearestSongs.of(ids, vectors, k=20, queries=60)
    index = filled(lambda width: FaissIndex(width, "ivf", FaissSettings(lists=40, probes=1)), ids, vectors)
    queries, own = vectors[truth.sample], list(ids[truth.sample, None])
    expected = recall(index.search(queries, 20, own), oracle(ids, vectors, queries, 20, own))
    assert 0.3 < truth.recall(index) < 1
    assert truth.recall(index) == pytest.approx(expected)


def test_any_of_several_songs_as_near_will_do():
    ids, vectors = ordered(300)
    twins = np.repeat(vectors[:30], 10, axis=0)
    truth = NearestSongs.of(ids, twins, k=5, queries=40)
    assert truth.recall(filled(BACKENDS["faiss-flat"], ids[::-1].copy(), twins[::-1].copy())) == 1


def test_the_same_seed_asks_the_same_songs():
    ids, vectors = ordered(500)
    first, again, other = (NearestSongs.of(ids, vectors, queries=40, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.sample, again.sample)
    assert first.sample.tolist() != other.sample.tolist()


@pytest.mark.parametrize("kind", ["hnsw", "ivf", "ivfpq"])
def test_searching_harder_finds_no_less_and_ends(kind):
    ids, vectors = ordered()
    poor = FaissSettings(hnsw_m=2, ef_search=1, lists=40, probes=1, pq_parts=1, rerank=1)
    index = filled(lambda width: FaissIndex(width, kind, poor), ids, vectors)
    truth = NearestSongs.of(ids, vectors, k=5, queries=100)
    before, steps = truth.recall(index), 0
    while index.harder():
        steps += 1
    assert 3 < steps < 20
    assert truth.recall(index) > before


def test_exact_search_cannot_search_harder():
    assert not FaissIndex(8, "flat").harder()


def test_compressed_vectors_are_ranked_by_the_stored_ones():
    """The codes are next to nothing; what is listed gets its true score all the same."""
    ids, vectors = ordered()
    index = filled(lambda width: FaissIndex(width, "ivfpq", FaissSettings(pq_parts=1, rerank=16)), ids, vectors)
    answer = index.search(vectors[:50], 10)
    for (found, scores), query in zip(answer, vectors[:50], strict=True):
        rows = vectors[np.searchsorted(ids, found)]
        true = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        np.testing.assert_allclose(scores, true, atol=1e-3)
    assert recall(answer, oracle(ids, vectors, vectors[:50], 10)) > 0.5


@pytest.mark.parametrize("kind", ["ivf", "ivfpq"])
def test_a_stored_index_looks_as_far_as_when_it_was_measured(kind, tmp_path):
    ids, vectors = ordered()
    index = filled(lambda width: FaissIndex(width, kind), ids, vectors)
    probes = index.settings.probes
    assert probes == index.settings.probes_of(index._index.nlist)
    index.harder()
    index.save(tmp_path)
    assert FaissIndex.load(tmp_path).settings == index.settings
    card = IndexCard.read(tmp_path)
    card.model_copy(update={"settings": {**card.settings, "probes": None}}).write(tmp_path)
    assert FaissIndex.load(tmp_path).settings.probes == max(8, index._index.nlist // 8)  # as it was once by default
