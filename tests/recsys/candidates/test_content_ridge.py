"""Content ridge: the regression against scikit-learn, and what content must do for songs without plays."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

from data.dataset import Dataset
from recsys.candidates.collaborative.item_knn import ItemKnn
from recsys.candidates.content.content_ridge import ContentRidge, fourier, ridge
from recsys.candidates.content.likeness import Likeness
from recsys.queries import Query
from tests.recsys.candidates.source_toys import assert_same, block_of, block_vectors, many_queries, songs


def source(training: Dataset, **settings: object) -> ContentRidge:
    return ContentRidge(ContentRidge.Settings(**settings), Likeness(block_vectors(training))).fit(training)


def test_the_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    features, trust = rng.normal(size=(40, 6)).astype(np.float32), rng.uniform(0, 1, 40).astype(np.float32)
    similarity = rng.random((40, 40)) * (rng.random((40, 40)) < 0.3)
    gram = (features * trust[:, None]).T @ features
    wanted = Ridge(alpha=0.5 * np.trace(gram) / 6, fit_intercept=False).fit(features, similarity.T, trust)
    found = ridge(features, csr_matrix(similarity.astype(np.float32)), trust, 0.5)
    np.testing.assert_allclose(found, wanted.coef_, rtol=1e-3, atol=1e-4)


def test_fourier_features_are_near_the_kernel():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(30, 4)).astype(np.float32) / 2
    distances = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    mapped = fourier(features, 0.5)
    assert np.abs(mapped @ mapped.T - np.exp(-0.5 * distances)).max() < 0.2


@pytest.mark.parametrize("settings", [{}, {"gamma": None}, {"words": 0.0}, {"words": 1.0, "regularization": 0.01}])
def test_a_song_nobody_has_stands_among_the_songs_it_is_like(training, settings):
    asked = source(training, **settings)
    given = songs(training, "swing-00", "swing-01", "swing-02")
    tracks, _ = asked.candidates([Query(history=given, exclude=given)], 12)[0]
    new = [int(track) for track in tracks if asked.having[track] == 0]
    assert new
    assert set(block_of(training, new)) == {"swing"}


def test_words_alone_place_new_songs_where_there_are_no_vectors(training):
    asked = ContentRidge().fit(training)
    given = songs(training, "metal-00", "metal-01", "metal-02")
    tracks, _ = asked.candidates([Query(history=given, exclude=given)], 12)[0]
    new = [int(track) for track in tracks if asked.having[track] == 0]
    assert new
    assert set(block_of(training, new)) == {"metal"}


def test_without_doubt_songs_with_plays_keep_their_scores(training):
    queries = many_queries(training)
    asked = source(training, doubt=0.0)
    assert (asked.having == 0).any()
    asked.features[asked.having == 0] = 0
    assert_same(asked.candidates(queries, 30), ItemKnn().fit(training).candidates(queries, 30))


def test_it_names_the_song_behind_a_song_nobody_has(training):
    asked = source(training)
    new = np.flatnonzero(asked.having == 0).astype(np.int32)
    said = asked.votes(Query(history=songs(training, "swing-00", "metal-00")), new).best()
    for block, because in zip(block_of(training, new.tolist()), said, strict=True):
        if block in ("swing", "metal"):
            assert because == songs(training, f"{block}-00")[0]
