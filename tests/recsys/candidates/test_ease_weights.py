"""The forms of EASE's weights: the dual is the matrix, and so is the low rank where no singular value is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix, random_array

from data.dataset import Dataset
from recsys.candidates.collaborative import ease_weights
from recsys.candidates.collaborative.ease import BYTES_PER_FACTOR, BYTES_PER_PAIR, LEAST_RANK, Ease
from recsys.candidates.collaborative.ease_weights import Dual, LowRank, Pairs, SongWeights, restored
from recsys.candidates.collaborative.interactions import interactions
from tests.recsys.candidates.source_toys import assert_same, make, many_queries


def toy(seed: int, rows: int = 30, songs: int = 50) -> csr_matrix:
    """Interactions with an entry in every column."""
    rng = np.random.default_rng(seed)
    matrix = random_array((rows, songs), density=0.15, rng=rng, format="lil", dtype=np.float32)
    matrix[rng.integers(rows, size=songs), np.arange(songs)] = 1
    return csr_matrix(matrix)


def forms(matrix: csr_matrix, regularization: float) -> list[SongWeights]:
    return [Dual.of(matrix, regularization), LowRank.of(matrix, regularization, 10**6)]


@pytest.mark.parametrize("regularization", [0.1, 10.0, 1e4])
@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_every_form_is_the_matrix(regularization, shape):
    matrix = toy(1, *shape)
    songs = np.arange(shape[1])
    exact = Pairs.of(matrix, regularization)
    history = csr_matrix(random_array((9, shape[1]), density=0.2, rng=np.random.default_rng(2), dtype=np.float32))
    near = {"rtol": 1e-3, "atol": 1e-4 * float(np.abs(exact.weights).max())}
    for form in forms(matrix, regularization):
        np.testing.assert_allclose(form.between(songs, songs), exact.weights, **near)
        np.testing.assert_allclose(form.spoken(history), exact.spoken(history), **near)
        np.testing.assert_allclose(form.best(), exact.best(), **near)
        np.testing.assert_array_equal(restored(form.state()).spoken(history), form.spoken(history))


@settings(deadline=None, max_examples=30)
@given(arrays(np.float32, (6, 9), elements=st.sampled_from([0.0, 0.0, 1.0, 2.5])), st.sampled_from([0.5, 20.0]))
def test_every_form_is_the_matrix_of_anything(values, regularization):
    values[0] = 1  # every column needs an entry
    songs = np.arange(9)
    exact = Pairs.of(csr_matrix(values), regularization)
    for form in forms(csr_matrix(values), regularization):
        np.testing.assert_allclose(form.between(songs, songs), exact.weights, rtol=1e-3, atol=2e-4)


def test_more_singular_values_are_nearer():
    matrix = toy(3, 60, 80)
    exact, songs = Pairs.of(matrix, 20.0).weights, np.arange(80)
    far = [np.abs(LowRank.of(matrix, 20.0, rank).between(songs, songs) - exact).mean() for rank in (4, 20, 60)]
    assert far[0] > far[1] > far[2]


def test_best_weights_of_many_songs_are_those_of_a_sample(monkeypatch):
    matrix = toy(4)
    monkeypatch.setattr(ease_weights, "SAMPLED", 7)
    monkeypatch.setattr(ease_weights, "BLOCK_ROWS", 3)
    every = Pairs.of(matrix, 5.0).best()
    np.testing.assert_allclose(Dual.of(matrix, 5.0).best(), every[[0, 8, 16, 24, 32, 40, 49]], rtol=1e-3)


def memory_for(training: Dataset, form: str) -> float:
    """GB that leave just this form."""
    matrix = interactions(training)
    songs, rows = (np.count_nonzero(matrix.getnnz(axis=axis)) for axis in (0, 1))
    assert rows > songs
    return {"low rank": BYTES_PER_FACTOR * LEAST_RANK * (songs + rows), "pairs": BYTES_PER_PAIR * songs**2}[form] / 1e9


def test_the_source_takes_the_form_that_fits(training, monkeypatch):
    queries = many_queries(training)
    exact = make("ease", training).fit(training)
    monkeypatch.setattr("recsys.candidates.collaborative.ease.LEAST_RANK", 6)
    source = make("ease", training, memory_gb=memory_for(training, "pairs") * 0.9).fit(training)
    assert set(source.state()) == {"factors", "songs", "left_out", "unit"}
    assert source.left_out == 0
    for query, (tracks, scores) in zip(queries, source.candidates(queries, 5), strict=True):
        assert len(tracks) == len(exact.candidates([query], 5)[0][0])
        assert np.isfinite(scores).all()
    back = Ease(source.settings).restore(training, source.state())
    assert_same(back.candidates(queries, 20), source.candidates(queries, 20))


def test_few_listeners_keep_every_song(training, monkeypatch):
    """Without playlists there are fewer listeners than songs."""
    few = training.only(training.listens, training.playlist_tracks.head(0))
    queries = many_queries(few)
    exact = make("ease", few).fit(few)
    source = make("ease", few, memory_gb=BYTES_PER_PAIR * 42**2 / 1e9).fit(few)
    assert "inverse" in source.state()
    found, wanted = source.candidates(queries, 20), exact.candidates(queries, 20)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-3, atol=1e-4)
    back = Ease(source.settings).restore(few, source.state())
    assert_same(back.candidates(queries, 20), found)
    for query, (tracks, _) in zip(queries, found, strict=True):
        np.testing.assert_allclose(
            source.votes(query, tracks).values, exact.votes(query, tracks).values, rtol=1e-3, atol=1e-4
        )
