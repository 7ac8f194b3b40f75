"""The songs most alike: searched in cells, they are those that are found one by one."""

import numpy as np
import pytest

from encoders.encoding.vector_files import Vectors
from recsys.candidates.content import likeness
from recsys.candidates.content.likeness import Likeness, Nearest

SONGS, FEWER = 400, 350
MOST = 5


@pytest.fixture
def vectors() -> Vectors:
    """Of all songs but the first fifty."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((FEWER, 8)).astype(np.float32)
    return Vectors(
        np.arange(SONGS - FEWER, SONGS, dtype=np.int32), values / np.linalg.norm(values, axis=1, keepdims=True)
    )


def found(vectors: Vectors) -> Nearest:
    rng = np.random.default_rng(1)
    return Likeness(vectors).nearest(rng.random(SONGS) < 0.7, rng.random(SONGS) < 0.6, MOST)


def in_cells(monkeypatch: pytest.MonkeyPatch, probes: int) -> None:
    monkeypatch.setattr(likeness, "MANY", 100)
    monkeypatch.setattr(likeness, "PROBES", probes)
    monkeypatch.setattr(likeness, "AT_ONCE", 64)


@pytest.mark.filterwarnings("ignore")
def test_who_looks_through_all_cells_finds_what_is_found_one_by_one(vectors, monkeypatch):
    one_by_one = found(vectors)
    in_cells(monkeypatch, 1000)
    again = found(vectors)
    np.testing.assert_array_equal(again.tracks, one_by_one.tracks)
    np.testing.assert_allclose(again.cosines, one_by_one.cosines, atol=1e-6)
    assert (again.tracks >= 0).any(axis=1).sum() > 200, "those that ask and have a vector"
    assert not (again.tracks == np.arange(SONGS)[:, None]).any(), "nobody is like itself"


def test_who_looks_through_few_finds_fewer_and_nothing_that_is_not_there(vectors, monkeypatch):
    one_by_one = found(vectors)
    in_cells(monkeypatch, 1)
    again = found(vectors)
    asked = (one_by_one.tracks >= 0).any(axis=1)
    shared = [
        len(np.intersect1d(few[few >= 0], every)) for few, every in zip(again.tracks, one_by_one.tracks, strict=True)
    ]
    assert 0 < np.mean(np.array(shared)[asked]) < MOST
    assert (again.cosines[again.tracks < 0] == 0).all()
    assert (again.tracks[~asked] == -1).all()
    np.testing.assert_array_less(again.cosines, one_by_one.cosines + 1e-6)
