"""What is known of a listener, at the moment of asking."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset
from recsys.listeners import Listeners
from recsys.queries import days_before
from recsys.wishes import Wishes

START = datetime(2025, 1, 1, tzinfo=UTC)


def listening(publish: Callable[..., Dataset], moments: list[datetime | None]) -> Listeners:
    number = range(len(moments))
    rows = {"user_id": ["u"] * len(moments), "track_id": [f"t{n}" for n in number], "position": list(number)}
    return Listeners(publish(listens=pl.DataFrame(rows | {"listened_at": moments})))


def test_ages_are_counted_from_the_latest_play_or_from_the_wished_day(publish):
    who = listening(publish, [START + timedelta(days=day) for day in range(6)])
    np.testing.assert_allclose(who.query("u", Wishes()).ages_days, [5, 4, 3, 2, 1, 0])
    np.testing.assert_allclose(who.query("u", Wishes(day=date(2025, 1, 4))).ages_days, [3, 2, 1, 0, 0, 0])


@pytest.mark.parametrize("moments", [[None, None], [None, START]])
def test_without_the_time_of_every_play_there_are_no_ages(publish, moments):
    query = listening(publish, moments).query("u", Wishes())
    assert len(query.history) == 2
    assert query.ages_days is None


def test_days_before_needs_a_moment():
    assert days_before(float("nan"), np.array([0.0])) is None
    assert len(days_before(float("nan"), np.zeros(0))) == 0
