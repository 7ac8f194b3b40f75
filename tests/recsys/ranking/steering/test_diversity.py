"""Marginal relevance against a plain loop, and what a list becomes by it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recsys.ranking.steering.diversity import FEWEST, Diversity, marginal_relevance
from recsys.recommender import Recommender


def directions(count: int, seed: int) -> NDArray[np.float32]:
    """Unit vectors in three dimensions, the last one of them zeros."""
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1:] = 0
    return vectors


@given(st.integers(0, 12), st.integers(0, 99), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_each_song_is_the_best_of_those_left(count: int, seed: int, strength: float) -> None:
    vectors = directions(count, seed).astype(np.float64)
    places, values = marginal_relevance((vectors @ vectors.T).astype(np.float32), strength)
    assert sorted(places) == list(range(count))
    assert (np.diff(values) <= 1e-6).all()
    for at, place in enumerate(places):

        def value(song: int, before: NDArray[np.int64] = places[:at]) -> float:
            nearest = max((float(vectors[song] @ vectors[other]) for other in before), default=-1.0)
            return (1 - strength) * (1 - song / count) - strength * nearest

        assert value(place) == pytest.approx(max(map(value, places[at:])), abs=1e-6)
        assert values[at] == pytest.approx(value(place), abs=1e-5)


def test_0_keeps_the_ranking_and_deep_songs_keep_their_order() -> None:
    vectors, tracks = directions(2 * FEWEST, 5), np.arange(2 * FEWEST, dtype=np.int32)
    assert Diversity(0.0, lambda songs: vectors[songs]).order(tracks, 3)[0].tolist() == tracks.tolist()
    places, values = Diversity(0.5, lambda songs: vectors[songs]).order(tracks, 3)
    assert places[FEWEST:].tolist() == tracks[FEWEST:].tolist()
    assert (np.diff(values) <= 1e-6).all()


def test_the_more_diversity_the_less_alike_is_a_list(recommender: Recommender) -> None:
    def alike(diversity: float) -> float:
        found = []
        for user in recommender.dataset.user_ids.names[:12]:
            songs = recommender.recommend(user, 10, diversity=diversity)
            vectors = recommender._vectors(recommender.dataset.track_ids.to_rows([song.track_id for song in songs]))
            found.append((vectors @ vectors.T).mean())
        return float(np.mean(found))

    none, some, full = alike(0.0), alike(0.5), alike(1.0)
    assert none > some > full
