"""Which songs resemble what was disliked."""

import numpy as np
import pytest

from encoders.encoding.vector_files import Vectors
from recsys.queries import NOTHING
from recsys.ranking.dislikes import NEAR, Dislikes

SONGS = 200
ARTISTS = np.array([song % 20 for song in range(SONGS)], np.int32)


@pytest.fixture
def circle() -> Vectors:
    """Song n looks 1.8 n degrees round; the last twenty have no vector."""
    angle = np.radians(1.8 * np.arange(SONGS - 20))
    return Vectors(
        np.arange(SONGS - 20, dtype=np.int32), np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    )


def songs(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


def test_artists_of_whom_more_is_disliked_than_liked() -> None:
    dislikes = Dislikes(ARTISTS, None)
    found = dislikes.resembling(songs(3, 23, 44), songs(64, 105))
    assert set(np.flatnonzero(found) % 20) == {3}
    assert found.sum() == SONGS / 20


def test_an_unknown_artist_is_nobody() -> None:
    dislikes = Dislikes(np.full(SONGS, -1, np.int32), None)
    assert not dislikes.resembling(songs(3), NOTHING).any()


def test_neighbours_of_a_disliked_song_but_for_those_nearer_to_a_liked_one(circle: Vectors) -> None:
    dislikes = Dislikes(np.full(SONGS, -1, np.int32), circle)
    alone = np.flatnonzero(dislikes.resembling(songs(50), NOTHING))
    assert alone.tolist() == list(range(46, 55))
    assert len(alone) <= NEAR * len(circle.tracks)
    beside = np.flatnonzero(dislikes.resembling(songs(50), songs(53, 190)))
    assert beside.tolist() == list(range(46, 52))


def test_songs_without_a_vector_say_nothing(circle: Vectors) -> None:
    dislikes = Dislikes(np.full(SONGS, -1, np.int32), circle)
    assert not dislikes.resembling(songs(195), songs(3)).any()


def test_nothing_disliked_resembles_nothing(circle: Vectors) -> None:
    assert not Dislikes(ARTISTS, circle).resembling(NOTHING, songs(3)).any()
