"""Which songs of a ranking stay, against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranking.filters import Caps, SongGroups

SONGS = 30
GROUPS = SongGroups(
    artists=np.array([song % 7 - 1 for song in range(SONGS)], np.int32),
    albums=np.array([song % 7 + 7 * (song // 14) if song % 3 else -1 for song in range(SONGS)], np.int32),
    recordings=np.array([song // 2 if song < 20 else -1 for song in range(SONGS)], np.int32),
)
"-1 is unknown."


RANKED = st.lists(st.integers(0, SONGS - 1), max_size=2 * SONGS)
LIMIT = st.sampled_from([None, 1, 2, 5])


def once(ranked: list[int], but: list[int], versions: bool) -> list[int]:
    """Places of each song's first version."""
    recordings, found = GROUPS.recordings.tolist(), list[int]()
    for place, song in enumerate(ranked):
        others = [*but, *(ranked[before] for before in found)]
        again = recordings[song] >= 0 and recordings[song] in [recordings[other] for other in others]
        if song not in others and (versions or not again):
            found.append(place)
    return found


@given(RANKED, st.lists(st.integers(0, SONGS - 1), max_size=5), LIMIT, LIMIT, st.booleans())
def test_one_of_each_song_none_of_those_excluded_and_the_first_of_each_artist_and_album(
    ranked: list[int], but: list[int], per_artist: int | None, per_album: int | None, versions: bool
) -> None:
    artists, albums = GROUPS.artists.tolist(), GROUPS.albums.tolist()
    expected: list[int] = []
    for place in once(ranked, but, versions):
        of_artist = sum(artists[ranked[before]] == artists[ranked[place]] >= 0 for before in expected)
        of_album = sum(albums[ranked[before]] == albums[ranked[place]] >= 0 for before in expected)
        if (per_artist is None or of_artist < per_artist) and (per_album is None or of_album < per_album):
            expected.append(place)
    caps = Caps(per_artist, per_album, versions=versions)
    assert GROUPS.kept(np.array(ranked, np.int32), np.array(but, np.int32), caps).tolist() == expected


@given(RANKED, st.sampled_from([1, 2, 5]))
def test_a_cap_that_gives_way_loses_no_song_and_keeps_to_itself_while_there_are_others(
    ranked: list[int], most: int
) -> None:
    tracks, nothing = np.array(ranked, np.int32), np.zeros(0, np.int32)
    kept = GROUPS.kept(tracks, nothing, Caps(most, gives_way=True)).tolist()
    strict = GROUPS.kept(tracks, nothing, Caps(most)).tolist()
    assert kept[: len(strict)] == strict
    assert sorted(kept) == once(ranked, [], False)
