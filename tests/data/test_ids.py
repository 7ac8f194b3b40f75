import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UnknownIdError
from data.ids import IdMap


@given(st.lists(st.text(), unique=True), st.data())
def test_there_and_back_again(names, data):
    ids = IdMap(tuple(names))
    wanted = data.draw(st.lists(st.sampled_from(names))) if names else []
    rows = ids.to_rows(wanted)
    assert rows.dtype == np.int32
    assert ids.to_names(rows) == wanted
    assert sorted(ids.to_rows(names).tolist()) == list(range(len(ids)))


def test_ids_stay_what_the_user_gave():
    ids = IdMap(("007", "7", " 7", "Å", "A\u030a"))
    assert ids.to_names(range(5)) == ["007", "7", " 7", "Å", "A\u030a"]
    assert "07" not in ids


def test_the_same_id_twice_is_refused():
    with pytest.raises(ValueError, match="duplicate listener ids"):
        IdMap(("a", "b", "a"), "listener")


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        IdMap(("a",)).names = ("b",)


def test_an_unknown_id_is_named_with_the_closest_one():
    with pytest.raises(UnknownIdError, match=r'no listener "user-81" \(2 known; the closest name is "user-812"\)'):
        IdMap(("user-812", "zz"), "listener").to_rows(["user-81"])


def test_many_unknown_ids_are_named_up_to_a_few():
    with pytest.raises(UnknownIdError, match=r'"n0", "n1", "n2", "n3", "n4" \.\.\.') as raised:
        IdMap(("a",)).to_rows(["a", *(f"n{i}" for i in range(100))])
    assert '"a"' not in str(raised.value)
    assert isinstance(raised.value, LookupError)


@pytest.mark.parametrize("row", [-1, 2])
def test_a_sentinel_never_becomes_a_song(row):
    with pytest.raises(IndexError):
        IdMap(("a", "b")).to_names(np.array([0, row], np.int32))


def test_no_ids_are_ids():
    ids = IdMap(())
    assert (len(ids), ids.to_rows([]).tolist(), ids.to_names([])) == (0, [], [])
