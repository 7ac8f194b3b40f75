"""Which songs of a ranking stay, against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranking.filters import SongGroups

SONGS = 30
GROUPS = SongGroups(
    artists=np.array([song % 7 - 1 for song in range(SONGS)], np.int32),
    recordings=np.array([song // 2 if song < 20 else -1 for song in range(SONGS)], np.int32),
)
"-1 is unknown."


@given(
    st.lists(st.integers(0, SONGS - 1), max_size=2 * SONGS),
    st.lists(st.integers(0, SONGS - 1), max_size=5),
    st.sampled_from([None, 1, 2, 5]),
)
def test_one_of_each_song_none_of_those_excluded_and_the_first_of_each_artist(
    ranked: list[int], but: list[int], per_artist: int | None
) -> None:
    artists, recordings = GROUPS.artists.tolist(), GROUPS.recordings.tolist()
    once: list[int] = []
    for place, song in enumerate(ranked):
        others = [*but, *(ranked[before] for before in once)]
        if song not in others and (recordings[song] < 0 or recordings[song] not in [recordings[o] for o in others]):
            once.append(place)
    expected: list[int] = []
    for place in once:
        of_artist = sum(artists[ranked[before]] == artists[ranked[place]] >= 0 for before in expected)
        if per_artist is None or of_artist < per_artist:
            expected.append(place)
    kept = GROUPS.kept(np.array(ranked, np.int32), np.array(but, np.int32), per_artist)
    assert kept.tolist() == expected
