"""What is measured on what: every target is in the slices it belongs to and in no other."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eval.metrics.slices
from eval.metrics.slices import HEADLINE, Slice, by_popularity, slices
from recsys.candidates.simple.popularity import play_counts
from recsys.tasks import HeldOut, held_out


@pytest.fixture(scope="module")
def world(fixed_world):
    _, dataset, split = fixed_world
    return dataset, split


def slices_of(world, question: HeldOut) -> dict[str, Slice]:
    dataset, split = world
    return {part.prefix: part for part in slices(question, split, play_counts(split.past(dataset)))}


@pytest.mark.parametrize("task", ["next-song", "playlist", "cold-start"])
def test_cold_and_warm_divide_all_targets(world, task):
    dataset, split = world
    question = held_out(dataset, split, task, "test")
    found = slices_of(world, question)
    cold = found["cold/"].targets
    warm_count = len(found["warm/"].targets.tracks) if "warm/" in found else 0
    assert len(cold.tracks) + warm_count == len(question.targets.tracks)
    assert split.cold_before("test")[cold.tracks].all()
    assert "warm/" not in found or not split.cold_before("test")[found["warm/"].targets.tracks].any()
    for part in found.values():
        assert len(part.targets) == len(part.asked) == len(question.queries)
        np.testing.assert_array_equal(part.asked, part.targets.counts() > 0)


def test_cold_start_has_no_warm_targets(world):
    found = slices_of(world, held_out(*world, "cold-start", "test"))
    assert [prefix for prefix in found if not prefix.startswith("history:")] == ["", "cold/"]


def test_repeats_and_discoveries_divide_the_next_songs(world):
    question = held_out(*world, "next-song", "test")
    found = slices_of(world, question)
    assert set(HEADLINE) - set(found) == {"hidden/"}, "no song is hidden here"
    np.testing.assert_array_equal(found["repeat/"].asked, question.repeats)
    np.testing.assert_array_equal(found["discovery/"].asked, ~question.repeats)
    for query in np.flatnonzero(found["repeat/"].asked):
        target = found["repeat/"].targets.tracks[found["repeat/"].targets.offsets[query]]
        heard = world[0].listens.filter(user=question.queries[query].user)["track"].to_list()
        assert heard.count(target) > 1


@pytest.mark.parametrize("task", ["next-song", "playlist"])
def test_head_mid_and_tail_divide_the_songs_that_training_played(world, task):
    dataset, split = world
    plays = play_counts(split.past(dataset))
    found = slices_of(world, held_out(dataset, split, task, "test"))
    parts = [np.unique(found[f"{name}/"].targets.tracks) for name in ("head", "mid", "tail")]
    warm = np.unique(found["warm/"].targets.tracks)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), warm[plays[warm] > 0])
    assert plays[parts[0]].min() >= plays[parts[1]].max() >= plays[parts[1]].min() >= plays[parts[2]].max()


@pytest.mark.parametrize(("task", "word"), [("next-song", "history"), ("playlist", "seeds")])
def test_every_query_is_in_one_slice_by_what_it_brings_along(world, task, word):
    question = held_out(*world, task, "test")
    found = {prefix: part for prefix, part in slices_of(world, question).items() if prefix.startswith(word)}
    assert sum(part.asked.astype(int) for part in found.values()).tolist() == [1] * len(question.queries)
    for prefix, part in found.items():
        fewest, _, most = prefix.partition(":")[2].rstrip("/").partition("-")
        for query in np.flatnonzero(part.asked):
            given = len(question.queries[query].history)
            assert int(fewest.rstrip("+")) <= given <= (int(most) if most else 10**9)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_head_and_tail_hold_a_fifth_of_the_plays(counts):
    plays = np.array(counts, np.float32)
    found = by_popularity(plays)
    assert sum(part.astype(int) for part in found.values()).tolist() == (plays > 0).astype(int).tolist()
    head, mid, tail = (plays[found[name]] for name in ("head", "mid", "tail"))
    for above, below in ((head, mid), (head, tail), (mid, tail)):
        assert not len(above) or not len(below) or above.min() >= below.max()
    if plays.sum() > 0:
        # The head reaches a fifth and would not without its least song; the tail never holds more.
        assert head.sum() >= 0.2 * plays.sum() - 1e-3 > head.sum() - head.min() - 2e-3
        assert tail.sum() <= 0.2 * plays.sum() + 1e-3


def test_examples():
    assert doctest.testmod(eval.metrics.slices).failed == 0
