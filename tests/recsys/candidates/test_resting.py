"""Resting: the running session is left out, and nothing else."""

import numpy as np
import pytest

from recsys.candidates.resting import RestingSettings, running_session
from recsys.queries import Query
from tests.recsys.candidates.source_toys import make, songs


def asked(minutes: list[float] | None, plays: int = 5) -> Query:
    ages = None if minutes is None else np.array(minutes, np.float32) / 1440
    return Query(history=np.arange(plays, dtype=np.int32), ages_days=ages)


@pytest.mark.parametrize(
    ("minutes", "session"),
    [
        ([500, 90, 55, 26, 3], [2, 3, 4]),
        ([500, 400, 300, 200, 31], []),
        ([100, 80, 60, 40, 20], [0, 1, 2, 3, 4]),
        ([500, 0, 0, 0, 0], [1, 2, 3, 4]),
    ],
)
def test_a_session_runs_until_a_pause_of_thirty_minutes(minutes, session):
    assert running_session(asked(minutes)).tolist() == session


def test_without_times_the_last_twenty_plays_are_the_session_but_no_more_than_half():
    assert running_session(asked(None, 45)).tolist() == list(range(25, 45))
    assert running_session(asked(None, 5)).tolist() == [3, 4]
    assert len(running_session(Query())) == 0
    assert len(running_session(Query(ages_days=np.zeros(0, np.float32)))) == 0


def test_only_who_wants_it_lets_songs_rest():
    query = Query(np.array([3, 4], np.int32), exclude=np.array([9], np.int32))
    (awake,) = RestingSettings(rest=True).awake([query])
    assert awake.exclude.tolist() == [4, 9]
    assert RestingSettings(rest=False).awake([query])[0] is query


@pytest.mark.parametrize("name", ["repeat", "item-knn", "ease", "features", "tfidf", "content-ridge", "htcl-imputed"])
def test_songs_that_rest_are_not_answered(training, name):
    given = songs(training, "swing-00", "swing-01", "swing-02")
    query = Query(history=given, ages_days=np.array([3, 0.01, 0], np.float32))
    source = make(name, training, rest=True).fit(training)
    tracks, _ = source.candidates([query], 60)[0]
    assert given[0] in tracks
    assert not set(given[1:].tolist()) & set(tracks.tolist())
    everything, _ = make(name, training).fit(training).candidates([query], 60)[0]
    assert set(given.tolist()) <= set(everything.tolist())
