"""Hearing a song again: every source that sums similarities counts it apart from what a song says for others."""

import numpy as np
import pytest

from recsys.candidates.declaration import search_space
from recsys.candidates.history import HistorySettings, history_shares
from recsys.queries import Query
from recsys.tuning.search_space import QUERY_SETTINGS, SPACE
from tests.recsys.candidates.source_toys import MUTE, make, many_queries, songs
from tests.recsys.candidates.source_toys import history_shares as history_shares_of

SUMMING = ("item-knn", "rp3beta", "ease", "features", "htcl")


@pytest.fixture(params=SUMMING)
def asked(request, training):
    """The answer to a query, all of it, by settings: song -> score."""

    def answer(query: Query, **settings: object) -> dict[int, float]:
        source = make(request.param, training, **settings).fit(training)
        return dict(zip(*(column.tolist() for column in source.candidates([query], 60)[0]), strict=True))

    return answer


def test_only_its_own_song_gains(asked, training):
    given = songs(training, "swing-00", "metal-01")
    query = Query(history=given)
    without, with_it = asked(query, again=0.0), asked(query, again=2.0)
    for song in set(without) | set(with_it):
        gained = with_it.get(song, 0.0) - without.get(song, 0.0)
        assert gained == pytest.approx(1.0 if song in given else 0.0, abs=1e-5)  # half of the history each


def test_a_favourite_of_long_ago_stays_where_its_neighbours_are_gone(asked, training):
    favourite, now = songs(training, "swing-00", "metal-01")
    query = Query(history=np.array([favourite, *[now] * 30], np.int32))
    never = asked(query, half_life=1.0, again=0.0).get(favourite, 0.0)
    kept = asked(query, half_life=1.0, again=1.0, again_half_life=None)[favourite]
    assert kept - never == pytest.approx(1 / 31, rel=1e-3)
    forgotten = asked(query, half_life=1.0, again=1.0, again_half_life=1.0).get(favourite, 0.0)
    assert forgotten - never == pytest.approx(0.0, abs=1e-6)


def test_a_skipped_song_is_not_heard_again(asked, training):
    skipped, liked = songs(training, "swing-00", "metal-01")
    query = Query(history=np.array([skipped, liked], np.int32), evidence=np.array([-0.5, 1], np.float32))
    found = asked(query, again=5.0)
    assert max(found, key=lambda song: found[song]) == liked
    assert found.get(skipped, 0.0) <= 0


@pytest.mark.parametrize("name", SUMMING)
def test_a_song_that_the_source_knows_nothing_of_is_not_proposed_for_being_heard(name, training):
    unknown = songs(training, MUTE if name in ("features", "htcl") else "swing-14")  # that has no plays in training
    source = make(name, training, again=5.0).fit(training)
    assert not len(source.candidates([Query(history=unknown)], 60)[0][0])
    assert source.votes(Query(history=unknown), unknown).best() == [None]


@pytest.mark.parametrize("name", SUMMING)
def test_the_reason_is_the_song_that_counts_most(name, training):
    alone = make(name, training, again=0.0).fit(training)
    said = np.zeros((60, 60))
    for song in range(60):
        tracks, scores = alone.candidates([Query(history=np.array([song], np.int32))], 60)[0]
        said[song, tracks] = np.maximum(scores, 0)
    known = said.any(axis=1)
    source = make(name, training, half_life=3.0, again=0.5, again_half_life=8.0).fit(training)
    asked = np.arange(60, dtype=np.int32)
    for query in many_queries(training):
        counts = said * history_shares_of(query, 60, 3.0)[:, None]
        counts[asked, asked] += 0.5 * history_shares_of(query, 60, 8.0) * known
        for track, reason in zip(asked, source.votes(query, asked).best(), strict=True):
            most = counts[:, track].max()
            assert (0 if reason is None else counts[reason, track]) == pytest.approx(most, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", SUMMING)
def test_a_favourite_is_its_own_reason_whoever_was_played_last(name, training):
    favourite, *others = songs(training, *(f"metal-{number:02}" for number in range(6)))
    query = Query(history=np.array([*[favourite] * 40, *others], np.int32))
    source = make(name, training).fit(training)
    assert source.candidates([query], 1)[0][0].tolist() == [favourite]
    assert source.votes(query, np.array([favourite], np.int32)).best() == [favourite]


def test_shares_sum_to_one_whatever_their_sign():
    query = Query(history=np.array([0, 1, 1], np.int32), evidence=np.array([1, -1, 2], np.float32))
    songs, shares = history_shares(query, None)
    assert songs.tolist() == [0, 1]
    np.testing.assert_allclose(shares, [0.5, 0.5])
    assert not len(history_shares(Query(), None)[0])


def test_is_chosen_at_asking_for_every_source_that_has_it():
    shared = set(search_space(HistorySettings))
    assert shared == set(HistorySettings.model_fields) <= QUERY_SETTINGS
    assert {name for name, space in SPACE.items() if shared <= set(space)} >= {*SUMMING[:4], "htcl-stage2"}
