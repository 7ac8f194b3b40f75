"""The training matrix, item-kNN and RP3beta against plain NumPy and against the library implicit."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy.sparse import csr_matrix

from recsys.candidates.collaborative import item_similarity as neighbours
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_similarity import best_others
from recsys.queries import Query
from tests.recsys.candidates.source_toys import (
    answer_of_history,
    make,
    many_queries,
    training_matrix,
    without_themselves,
)

IMPLICIT = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}


def similarity_of(source) -> np.ndarray:
    state = source.state()
    songs = len(state["indptr"]) - 1
    return csr_matrix((state["data"], state["indices"], state["indptr"]), shape=(songs, songs)).toarray()


class TestInteractions:
    def test_match_a_plain_count(self, training):
        np.testing.assert_allclose(interactions(training).toarray(), training_matrix(training), rtol=1e-6)

    @pytest.mark.parametrize("half_life_days", [0.5, 20.0])
    def test_plays_halve_with_age(self, training, half_life_days):
        found = interactions(training, half_life_days).toarray()
        np.testing.assert_allclose(found, training_matrix(training, half_life_days), rtol=1e-4, atol=1e-12)
        assert found[len(training.user_ids) :].sum() == training.playlist_tracks.select("playlist", "track").n_unique()

    def test_a_play_too_old_to_count_leaves_no_entry(self, training):
        matrix = interactions(training, 0.1)
        assert (matrix.data > 0).all()
        assert matrix.nnz < interactions(training).nnz

    def test_without_times_nothing_ages(self, training):
        timeless = training.only(
            training.listens.with_columns(listened_at=pl.lit(None, training.listens["listened_at"].dtype)),
            training.playlist_tracks,
        )
        np.testing.assert_array_equal(interactions(timeless, 5.0).toarray(), interactions(training).toarray())


class TestBestOthers:
    @given(
        arrays(np.float32, (7, 4), elements=st.sampled_from([0, 0, 1, 2, 0.5])),
        arrays(np.float32, (4, 7), elements=st.sampled_from([0, 0, 1, 3])),
        st.integers(1, 7),
        st.integers(1, 60),
    )
    def test_keep_the_largest_of_each_row_and_of_equal_ones_the_first(self, left, right, keep, entries):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbours, "BLOCK_ENTRIES", entries)
            found = best_others(csr_matrix(left), csr_matrix(right), keep)
        expected = left @ right
        np.fill_diagonal(expected, 0)
        for row in expected:
            row[np.argsort(-row, kind="stable")[keep:]] = 0
        assert found.shape == (7, 7)
        np.testing.assert_array_equal(found.toarray(), expected)
        assert found.nnz == np.count_nonzero(expected)

    def test_a_large_catalogue_keeps_fewer_for_each_song(self, monkeypatch):
        rng = np.random.default_rng(0)
        matrix = csr_matrix(rng.random((30, 40), np.float32))
        monkeypatch.setattr(neighbours, "KEPT", 100)
        few = best_others(matrix, csr_matrix(matrix.T), 20)
        assert (few.getnnz(axis=1) == 3).all(), "a hundred of thirty songs"
        monkeypatch.undo()
        assert (best_others(matrix, csr_matrix(matrix.T), 3) != few).nnz == 0, "and these are the best"

    def test_of_nothing_are_nothing(self):
        empty = csr_matrix((0, 3), dtype=np.float32)
        assert best_others(empty, csr_matrix((3, 0), dtype=np.float32), 5).shape == (0, 0)


class TestItemKnn:
    def test_sums_cosines(self, training):
        matrix = training_matrix(training)
        lengths = np.linalg.norm(matrix, axis=0)
        cosine = matrix.T @ matrix / np.maximum(np.outer(lengths, lengths), 1e-12)
        asked = {"half_life": 5.0, "again": 0.7, "again_half_life": 12.0}
        source = make("item-knn", training, kind="cosine", neighbours=60, **asked).fit(training)
        others, known = without_themselves(cosine), matrix.any(axis=0)
        queries = many_queries(training)
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            expected = answer_of_history(query, others, known, **asked)
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-5)
            rest = np.setdiff1d(np.arange(60), [*tracks, *query.exclude])
            assert (expected[rest] < 1e-5).all()

    @pytest.mark.parametrize("kind", IMPLICIT)
    @pytest.mark.parametrize("kept", [60, 7])
    @pytest.mark.filterwarnings("ignore::implicit.utils.ParameterWarning")
    def test_agrees_with_implicit(self, training, kind, kept):
        model = IMPLICIT[kind](K=60, num_threads=1)
        model.fit(interactions(training), show_progress=False)
        expected = np.asarray(model.similarity.todense())
        np.fill_diagonal(expected, 0)
        for row in expected:
            row[np.argsort(-row, kind="stable")[kept:]] = 0
        found = similarity_of(make("item-knn", training, kind=kind, neighbours=kept).fit(training))
        assert expected.any()
        # Row by row the same values; which of two equally similar songs is kept may differ.
        np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-4, atol=1e-6)
        both = (found > 0) & (expected > 0)
        np.testing.assert_allclose(found[both], expected[both], rtol=1e-4)
        assert both.sum() > 0.95 * np.count_nonzero(expected)

    @pytest.mark.parametrize("kind", IMPLICIT)
    def test_shrinks_what_few_share(self, training, kind):
        having = (training_matrix(training) > 0).astype(float)
        shared = having.T @ having
        plain = similarity_of(make("item-knn", training, kind=kind, neighbours=60).fit(training))
        shrunk = similarity_of(make("item-knn", training, kind=kind, neighbours=60, shrinkage=8.0).fit(training))
        np.testing.assert_allclose(shrunk, plain * shared / (shared + 8), rtol=1e-4, atol=1e-7)

    def test_shrinkage_comes_before_the_choice_of_neighbours(self, training):
        everything = similarity_of(make("item-knn", training, neighbours=60, shrinkage=50.0).fit(training))
        few = similarity_of(make("item-knn", training, neighbours=5, shrinkage=50.0).fit(training))
        np.testing.assert_allclose(np.sort(few)[:, -5:], np.sort(everything)[:, -5:])

    def test_old_plays_count_less_for_similarity(self, training):
        matrix = training_matrix(training, half_life_days=10.0)
        lengths = np.linalg.norm(matrix, axis=0)
        cosine = matrix.T @ matrix / np.maximum(np.outer(lengths, lengths), 1e-30)
        np.fill_diagonal(cosine, 0)
        found = similarity_of(make("item-knn", training, neighbours=60, half_life_days=10.0).fit(training))
        np.testing.assert_allclose(found, cosine, rtol=1e-4, atol=1e-6)


class TestRp3Beta:
    @pytest.mark.parametrize(("alpha", "beta", "kept"), [(1.0, 0.0, 60), (0.7, 0.5, 60), (1.5, 0.9, 8)])
    def test_walks(self, training, alpha, beta, kept):
        matrix = training_matrix(training)
        songs = matrix.shape[1]
        expected = np.zeros((songs, songs))
        for first in range(songs):
            for listener in np.flatnonzero(matrix[:, first]):
                for last in np.flatnonzero(matrix[listener]):
                    back = matrix[listener, first] / matrix[:, first].sum()
                    forth = matrix[listener, last] / matrix[listener].sum()
                    expected[first, last] += (back * forth) ** alpha
        expected /= np.maximum((matrix > 0).sum(axis=0), 1) ** beta
        np.fill_diagonal(expected, 0)
        for row in expected:
            row[np.argsort(-row, kind="stable")[kept:]] = 0
        asked = {"half_life": 5.0, "again": 2.0, "again_half_life": None}
        source = make("rp3beta", training, alpha=alpha, beta=beta, neighbours=kept, **asked).fit(training)
        np.testing.assert_allclose(similarity_of(source), expected, rtol=1e-4, atol=1e-7)
        others, known = without_themselves(expected), matrix.any(axis=0)
        queries = many_queries(training)
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            np.testing.assert_allclose(scores, answer_of_history(query, others, known, **asked)[tracks], rtol=1e-3)

    def test_the_plain_walk_ends_somewhere(self, training):
        similarity = similarity_of(make("rp3beta", training, alpha=1, beta=0, neighbours=60).fit(training))
        matrix = training_matrix(training)
        played = matrix.any(axis=0)
        to_listeners = matrix.T / np.maximum(matrix.sum(axis=0), 1e-30)[:, None]
        back = (to_listeners * (matrix / matrix.sum(axis=1, keepdims=True).clip(1e-30)).T).sum(axis=1)
        reached = similarity.sum(axis=1) + back
        np.testing.assert_allclose(reached[played], 1, rtol=1e-5)
        assert not reached[~played].any()

    def test_beta_takes_from_the_popular(self, training):
        counts = (training_matrix(training) > 0).sum(axis=0)

        def popularity(beta: float) -> float:
            source = make("rp3beta", training, beta=beta, neighbours=60).fit(training)
            return float(np.mean([counts[tracks[:5]].mean() for tracks, _ in source.candidates(asked, 60)]))

        asked = [Query(history=np.array([song], np.int32)) for song in np.flatnonzero(counts)]
        assert popularity(1.5) < popularity(0.0)
