"""New songs' share of lists and of what is wanted, against loops over plain lists."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eval.metrics.new_songs
from eval.metrics.new_songs import AT, NEW_SONGS, new_songs
from eval.report.figures import figure
from eval.report.tasks import beyond_table
from eval.results.terminal import new_songs_table
from recsys.ranked import Ranked
from recsys.tasks.targets import Targets

SIZE = 150
Rows = list[list[int]]


def asked(answers: Rows, targets: Rows) -> tuple[Ranked, Targets]:
    rows = [(np.array(row, np.int32), np.zeros(len(row), np.float32)) for row in answers]
    return Ranked.from_rows(rows), Targets.from_rows(targets)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Rows, Rows, list[bool]]:
    """Answers (rows may be empty or short), targets, and which songs are new; there may be none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, share = draw(st.integers(1, 6)), draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    lengths = draw(st.lists(st.sampled_from([0, 3, 20, 21, 120]), min_size=queries, max_size=queries))
    answers = [rng.permutation(SIZE)[:length].tolist() for length in lengths]
    targets = [rng.permutation(SIZE)[: rng.integers(1, 5)].tolist() for _ in range(queries)]
    return answers, targets, (rng.random(SIZE) < share).tolist()


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_shares_and_their_ratio_agree_with_numpy(world: tuple[Rows, Rows, list[bool]]) -> None:
    answers, targets, new = world
    found = new_songs(*asked(answers, targets), np.array(new), np.arange(len(answers)), resamples=20)
    assert tuple(found) == NEW_SONGS
    is_new = np.array(new, float)
    wanted = np.array([is_new[row].mean() for row in targets])
    assert found["new_wanted"]["mean"] == pytest.approx(wanted.mean())
    for k in AT:
        has = np.array([len(row) > 0 for row in answers])
        shares = np.array([is_new[row[:k]].mean() for row in answers if row])
        told, ratio = found[f"new_share@{k}"], found[f"new_calibration@{k}"]
        if not has.any():
            assert told is ratio is None
            continue
        assert told["mean"] == pytest.approx(shares.mean())
        assert told["queries"] == has.sum()
        if wanted[has].sum() == 0:
            assert ratio is None
        else:
            assert ratio["mean"] == pytest.approx(shares.sum() / wanted[has].sum())
            assert ratio["low"] <= ratio["high"]


def test_who_shows_new_songs_as_often_as_they_are_wanted_has_one() -> None:
    new = np.arange(SIZE) < 30
    wanted = [[0]] * 2 + [[40]] * 8
    lists = {4: 1.0, 8: 2.0, 0: 0.0}
    for count, ratio in lists.items():
        row = [*range(count), *range(40, 60 - count)]
        found = new_songs(*asked([row] * 10, wanted), new, np.arange(10), resamples=20)
        assert found["new_wanted"]["mean"] == pytest.approx(0.2)
        assert found["new_calibration@20"]["mean"] == pytest.approx(ratio)


def test_terminal_and_page_show_shares_and_a_dash_where_there_is_no_ratio() -> None:
    of = {"mean": 0.25, "low": 0.2, "high": 0.3}
    shares = {"new_share@20": of, "new_share@100": of, "new_calibration@20": of, "new_calibration@100": of}
    none = {"new_share@20": of, "new_share@100": of, "new_calibration@20": None, "new_calibration@100": None}
    for found, wanted, words in (
        (shares, 0.25, "25.0% of the wanted songs are"),
        (none, 0.0, "None of the wanted songs is"),
    ):
        result = {"task": "discovery", "beyond": {"fused": {"new_wanted": {"mean": wanted}, **found}}}
        table = new_songs_table(result)
        assert words in str(table.title)
        cells = [str(next(iter(column.cells))) for column in table.columns]
        assert cells.count("-") == (2 if wanted == 0 else 0)
        page = beyond_table(result)
        assert len(page.columns) == 5
        assert all(meaning for _, meaning in page.columns)
        assert (None in page.rows[0][1]) == (wanted == 0)
    assert new_songs_table({"task": "discovery", "beyond": {"fused": {}}}) is None
    assert figure(None) is None


def test_examples() -> None:
    assert doctest.testmod(eval.metrics.new_songs).failed == 0
