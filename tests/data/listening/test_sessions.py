from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.listening.sessions import sessions

START = datetime(2025, 1, 1, tzinfo=UTC)
SCHEMA = {"user": pl.Int32, "listened_at": pl.Datetime("us", "UTC"), "position": pl.Int64}
Row = tuple[int, datetime | None, int]


def cut(rows: list[Row], gap: timedelta, run: int) -> list[tuple[int, int]]:
    """Session and place of each row, counted by hand."""
    found: list[tuple[int, int]] = []
    for i, (user, at, _) in enumerate(rows):
        before = rows[i - 1] if i and rows[i - 1][0] == user else None
        if before is None:
            starts = True
        elif at is None:
            starts = found[-1][1] == run - 1
        else:
            starts = before[1] is None or at - before[1] > gap
        session, place = found[-1] if found else (-1, 0)
        found.append((session + 1, 0) if starts else (session, place + 1))
    return found


@st.composite
def listens(draw: st.DrawFn) -> list[Row]:
    """Sorted as in Dataset: by listener, those without a time first."""
    rows: list[Row] = []
    for user in range(draw(st.integers(0, 4))):
        rows += [(user, None, place) for place in range(draw(st.integers(0, 7)))]
        minutes = sorted(draw(st.lists(st.integers(0, 200), max_size=8)))
        rows += [(user, START + timedelta(minutes=minute), 0) for minute in minutes]
    return rows


@given(listens(), st.integers(1, 60), st.integers(1, 5))
def test_agrees_with_counting_by_hand(rows, minutes, run):
    gap = timedelta(minutes=minutes)
    frame = pl.DataFrame(rows, SCHEMA, orient="row")
    result = sessions(frame, gap, run)
    assert result.select("session", "place").rows() == cut(rows, gap, run)
    assert result.select(frame.columns).equals(frame)
    assert result.schema["session"] == result.schema["place"] == pl.Int64


@pytest.mark.parametrize(("minutes", "count"), [(30, 1), (30.001, 2)])
def test_only_a_longer_pause_starts_a_new_session(minutes, count):
    rows = [(0, START, 0), (0, START + timedelta(minutes=minutes), 0)]
    assert sessions(pl.DataFrame(rows, SCHEMA, orient="row"))["session"].n_unique() == count


def test_nobody_shares_a_session():
    rows = [(0, START, 0), (1, START, 0)]
    assert sessions(pl.DataFrame(rows, SCHEMA, orient="row"))["session"].to_list() == [0, 1]
