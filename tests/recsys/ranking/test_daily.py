"""Drawn lists: what stands high comes often, everything by chance, and nothing by the process or the batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranking.daily import drawn, not_dealt

NUMBERS = st.integers(0, 2**64 - 1)


@given(st.permutations(range(40)), NUMBERS)
def test_every_song_is_drawn_once_and_the_same_for_the_same_number(tracks: list[int], number: int) -> None:
    songs = np.array(tracks, np.int32)
    places, luck = drawn(songs, number)
    assert sorted(places.tolist()) == list(range(40))
    assert (np.diff(luck) <= 0).all()
    assert np.isfinite(luck).all()
    assert np.array_equal(places, drawn(songs, number)[0])


def test_higher_places_are_drawn_more_often() -> None:
    songs = np.arange(60, dtype=np.int32)
    shown = np.zeros(60)
    for number in range(2000):
        shown[drawn(songs, number)[0][:20]] += 1
    chance = shown / 2000
    assert chance[0] > 0.99
    assert chance[19] > chance[25] > chance[40] > chance[59] > 0
    assert 0.15 < 1 - chance[:20].mean() < 0.3  # a fifth of the list is not among the twenty best


def test_chance_belongs_to_the_song_not_to_its_place() -> None:
    """A song that a new import moves up or down by a place is drawn much as before."""
    first = drawn(np.arange(60, dtype=np.int32), 5)[0][:20]
    moved = np.concatenate([[99], np.arange(59)]).astype(np.int32)
    second = moved[drawn(moved, 5)[0][:20]]
    assert len(set(first.tolist()) & set(second.tolist())) >= 16


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=60), st.integers(1, 9), NUMBERS, st.integers(0, 800_000))
def test_every_song_has_one_day_in_turn_and_versions_share_it(
    groups: list[int], days: int, number: int, day: int
) -> None:
    recordings = np.array(groups, np.int32)
    turns = np.zeros(len(recordings), int)
    for later in range(days + 1):
        here = np.ones(len(recordings), bool)
        here[not_dealt(recordings, day + later, days, number)] = False
        turns += here
        for group in set(groups) - {-1}:
            assert len(set(here[recordings == group].tolist())) == 1
    assert (turns == 1).all()


def test_songs_are_dealt_evenly() -> None:
    nobody = np.full(7000, -1, np.int32)
    for day in range(7):
        assert 900 < 7000 - len(not_dealt(nobody, day, 6, 3)) < 1100
