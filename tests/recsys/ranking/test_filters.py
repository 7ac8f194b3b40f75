"""The artist cap, against a plain loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.ranked import Ranked
from recsys.ranking.filters import cap_groups

SONGS = 30
ARTISTS = np.array([song % 7 - 1 for song in range(SONGS)], np.int32)
"-1 is unknown."


@given(
    st.lists(st.permutations(range(SONGS)).flatmap(lambda p: st.integers(0, SONGS).map(lambda n: p[:n])), max_size=4)
)
def test_keeps_the_first_songs_of_every_artist(rows):
    ranked = Ranked.from_rows([(np.array(r, np.int32), -np.arange(len(r), dtype=np.float32)) for r in rows])
    for most in (1, 2, 5):
        capped = cap_groups(ranked, ARTISTS, most)
        assert len(capped) == len(rows)
        for row, (tracks, scores) in zip(rows, capped, strict=True):
            count: dict[int, int] = {}
            expected = []
            for song in row:
                artist = int(ARTISTS[song])
                count[artist] = count.get(artist, 0) + 1
                if artist < 0 or count[artist] <= most:
                    expected.append(song)
            assert tracks.tolist() == expected
            assert scores.tolist() == [-float(row.index(song)) for song in expected]


def test_unknown_artists_are_never_capped():
    ranked = Ranked.from_rows([(np.array([0, 7, 14, 21], np.int32), np.array([4, 3, 2, 1], np.float32))])
    assert cap_groups(ranked, ARTISTS, 1).tracks.tolist() == [0, 7, 14, 21]
