"""A path against all paths there are, and the paths of a workspace."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.errors import UnknownIdError, UserError
from recsys.ranking.steering.path import MOST, arc, around, small_step, walk
from recsys.recommender import Recommender


def directions(count: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def every_path(vectors: NDArray[np.float32], songs: int) -> list[list[int]]:
    """All that come nearer to the goal with every step."""
    left = (1 - vectors @ vectors[-1]).astype(np.float64)
    left[-1] = -1
    ordered = sorted(range(1, len(vectors) - 1), key=lambda row: -left[row])
    paths = [[0, *middle, len(vectors) - 1] for middle in combinations(ordered, songs - 2)]
    return [path for path in paths if all(left[a] > left[b] for a, b in pairwise(path))]


def steps(vectors: NDArray[np.float32], path: list[int]) -> NDArray[np.float64]:
    return np.array([1 - float(vectors[a] @ vectors[b]) for a, b in pairwise(path)])


@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 999), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_largest_step_is_as_small_as_it_can_be_or_small_and_then_steps_are_even(
    count: int, songs: int, seed: int, small: float
) -> None:
    vectors = directions(count, seed)
    found = walk(vectors, songs, small)
    possible = next(paths for length in range(songs, 1, -1) if (paths := every_path(vectors, length)))
    assert len(found) == len(possible[0])
    assert found in possible
    limit = max(min(steps(vectors, path).max() for path in possible), small) + 1e-6
    assert steps(vectors, found).max() <= limit
    even = min((steps(vectors, path) ** 2).sum() for path in possible if steps(vectors, path).max() <= limit)
    assert (steps(vectors, found) ** 2).sum() == pytest.approx(even, abs=1e-5)


def test_twins_of_the_ends_do_not_lead_astray() -> None:
    vectors = directions(5, 1)
    doubled = np.concatenate([vectors[:1], vectors[:1], vectors[1:], vectors[-1:]])
    found = walk(doubled, 4, 0.0)
    assert (found[0], found[-1]) == (0, len(doubled) - 1)


@given(st.integers(0, 99), st.integers(2, 9))
def test_an_arc_leads_from_one_direction_to_another_in_even_turns(seed: int, points: int) -> None:
    start, goal = directions(2, seed)
    assume(abs(start @ goal) < 0.99)
    found = arc(start, goal, points).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found[[0, -1]], [start, goal], atol=1e-5)
    turns = np.arccos(np.clip((found[1:] * found[:-1]).sum(axis=1), -1, 1))
    assert np.ptp(turns) < 1e-2


def test_in_a_large_catalogue_songs_near_the_arc_are_looked_at() -> None:
    vectors = directions(4 * MOST, 3)
    start, goal = vectors[:2]
    found = around(start, goal, lambda v, k: np.argsort(-(vectors @ v))[:k].astype(np.int32), len(vectors))
    assert 100 < len(found) <= MOST
    candidates = np.concatenate([vectors[:1], vectors[np.setdiff1d(found, [0, 1])], vectors[1:2]])
    path = walk(candidates, 12, small_step(vectors))
    assert steps(candidates, path).max() < 0.15


class TestInAWorkspace:
    def ids(self, recommender: Recommender, *asked: object, **wishes: object) -> list[str]:
        return [song.track_id for song in recommender.path(*asked, **wishes)]  # type: ignore[arg-type]

    @pytest.mark.parametrize("songs", [2, 5, 9])
    def test_from_one_song_to_another_nearer_with_every_step(self, recommender: Recommender, songs: int) -> None:
        names = recommender.dataset.track_ids.names
        for start, goal in ((0, 30), (30, 0), (5, 17)):
            found = recommender.path(names[start], names[goal], songs)
            told = [song.track_id for song in found]
            assert (told[0], told[-1]) == (names[start], names[goal])
            assert len(set(told)) == len(told) <= songs
            assert (np.diff([song.score for song in found]) > 0).all()
            assert found == recommender.path(names[start], names[goal], songs)

    def test_wishes_hold_between_the_ends(self, recommender: Recommender) -> None:
        names = recommender.dataset.track_ids.names
        plain = self.ids(recommender, names[0], names[30], 8)
        blocked = self.ids(recommender, names[0], names[30], 8, blocked=plain[1:3])
        assert not set(plain[1:3]) & set(blocked)
        only = names[10:40]
        assert set(self.ids(recommender, names[0], names[50], 8, only=only)[1:-1]) <= set(only)
        artists = recommender._groups.artists
        for most in (1, 2):
            rows = recommender.dataset.track_ids.to_rows(self.ids(recommender, names[0], names[30], 8, per_artist=most))
            middle = artists[rows[1:-1]]
            for artist in set(middle[middle >= 0].tolist()):
                assert (artists[rows] == artist).sum() <= most

    def test_where_steps_cannot_be_small_that_is_said(
        self, recommender: Recommender, caplog: pytest.LogCaptureFixture
    ) -> None:
        names = recommender.dataset.track_ids.names
        self.ids(recommender, names[0], names[30], 3)
        assert "whose steps are near" in caplog.text

    def test_mistakes(self, recommender: Recommender) -> None:
        names = recommender.dataset.track_ids.names
        for asked in ((names[0], names[0]), (names[0], names[1], 1)):
            with pytest.raises(UserError, match="from one song to another"):
                recommender.path(*asked)  # type: ignore[arg-type]
        with pytest.raises(UnknownIdError, match="nowhere"):
            recommender.path(names[0], "nowhere")
