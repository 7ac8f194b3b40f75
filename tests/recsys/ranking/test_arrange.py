"""How a list is arranged: the first songs of a long ranking decide it where they are enough, and all of it else."""

import numpy as np
import pytest

from recsys.queries import Query
from recsys.ranking.arrange import DEEPER, Asked, _arranged, arranged
from recsys.ranking.filters import Caps, SongGroups

SONGS, K = 400, 5
CAPS = [Caps(), Caps(2, None, True), Caps(1, 1, True), Caps(1, 1, False), Caps(None, 1, False, True)]


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("artists", [1, 3, 8, 200])
def test_the_first_songs_of_a_ranking_give_what_all_of_it_gives(caps: Caps, artists: int) -> None:
    random, short = np.random.default_rng(artists), 0
    for _ in range(30):
        by = random.integers(-1, artists, SONGS).astype(np.int32)
        albums = (3 * by + random.integers(0, 3, SONGS)).astype(np.int32)
        recordings = random.integers(-1, SONGS // 2, SONGS).astype(np.int32)
        groups = SongGroups(by, np.where(by < 0, -1, albums), recordings)
        row = random.permutation(SONGS).astype(np.int32), np.sort(random.random(SONGS).astype(np.float32))[::-1]
        out = random.choice(SONGS, random.integers(0, 300), replace=False).astype(np.int32)
        resembling = random.random(SONGS) < 0.2 if random.random() < 0.5 else None
        asked = Asked(Query(exclude=out), caps, resembling=resembling)
        found, expected = arranged(row, asked, groups, K), _arranged(row, asked, groups, K, whole=False)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        first = (row[0][: DEEPER * K], row[1][: DEEPER * K])
        short += len(_arranged(first, asked, groups, K, whole=False)[0]) < K
    assert short < 30  # the short way was taken at least once
