"""What speaks for a song, against a plain look at its vector."""

import numpy as np
import pytest

from recsys.ranking.evidence import WordsOfSongs, nearest_names
from recsys.recommender import Recommender

PLACES = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 0]], np.float32)


def test_names_by_their_nearness() -> None:
    found = nearest_names(["east", "north", "between", "nowhere"], PLACES, PLACES[[0, 3]], 2)
    assert list(found[0]) == ["east", "between"]
    assert found[0] == pytest.approx({"east": 1, "between": 0.6})
    assert found[1] == {}


def test_labels_are_compared_if_the_encoder_was_taught_all_their_words() -> None:
    def encode(texts: list[str]) -> np.ndarray:
        assert texts == ["calm jazz"]
        return PLACES[:1]

    words = WordsOfSongs(["calm jazz", "calm polka"], encode, lambda word: word != "polka")
    assert words.nearest(PLACES[:1], 3) == [{"calm jazz": 1.0}]
    assert WordsOfSongs(["calm"], None, lambda word: True).nearest(PLACES, 3) == [{}] * 4
    assert WordsOfSongs(["polka"], encode, lambda word: False).nearest(PLACES, 3) == [{}] * 4


def test_sources_played_songs_and_words_of_an_answer(recommender: Recommender, user: str) -> None:
    recommender.words = recommender.words.model_copy(update={"songs": 0})  # hardly trained, and asked all the same
    found = recommender.recommend(user, 10)
    rows = recommender.dataset.track_ids.to_rows
    heard = recommender.dataset.track_ids.to_names(recommender._listeners.heard(user))
    cosines = recommender._vectors(rows([song.track_id for song in found])) @ recommender._vectors(rows(heard)).T
    for song, evidence, near in zip(found, recommender.explain(found, user, 2), cosines, strict=True):
        assert (evidence.track_id, evidence.reason) == (song.track_id, song.reason)
        assert tuple(evidence.sources) == song.sources
        assert sum(evidence.sources.values()) == pytest.approx(1)
        assert list(evidence.nearest.values()) == pytest.approx(sorted(near, reverse=True)[:2], abs=1e-6)
        assert set(evidence.nearest) <= set(heard)
        assert len(evidence.words) == 2
        assert set(evidence.words) <= set(recommender._catalogue.tags.most_frequent(1000))


def test_given_songs_take_the_place_of_a_listener_and_nobody_is_spoken_of(recommender: Recommender) -> None:
    given = recommender.dataset.track_ids.names[:3]
    found = recommender.next_song(given, 5)
    for evidence in recommender.explain(found, given):
        assert set(evidence.nearest) == set(given)
        assert "you" not in evidence.reason.split()
    assert all(evidence.nearest == {} for evidence in recommender.explain(found))


def test_where_the_encoder_learned_nothing_sources_are_all_there_is(recommender: Recommender, user: str) -> None:
    recommender.words = recommender.words.model_copy(update={"learned": False})
    found = recommender.recommend(user, 3)
    assert all(each.nearest == each.words == {} for each in recommender.explain(found, user))
    assert all(each.sources for each in recommender.explain(found, user))
