"""Now, as listening tells it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.listening.clock import ages, robust_now


@given(st.integers(40, 400), st.integers(0, 3))
def test_a_few_wrong_clocks_do_not_move_now(count: int, wrong: int) -> None:
    days = np.arange(count, dtype=np.float64)
    ahead = np.concatenate([days, np.full(wrong, 27_000.0)])
    assert count - 5 <= robust_now(ahead) <= count - 1


def test_one_in_a_thousand_may_be_odd() -> None:
    assert robust_now(np.arange(10_000.0)) == 9_989


@pytest.mark.parametrize("count", [1, 2, 9])
def test_of_a_few_plays_none_is_odd(count: int) -> None:
    assert robust_now(np.arange(float(count))) == count - 1


def test_ages_are_never_below_nothing() -> None:
    found = ages(np.array([0.0, 10.0] * 20 + [99.0]))
    assert found.min() == 0
    assert sorted(set(found)) == [0, 10]
    assert len(ages(np.zeros(0))) == 0
