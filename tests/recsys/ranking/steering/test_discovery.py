"""The dial: what is new never becomes less when it is turned up, and lists are as long as they can be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from recsys.ranking.filters import Caps, SongGroups
from recsys.ranking.recommendation import Recommendation
from recsys.ranking.steering.discovery import dialled, novelty, turned
from recsys.recommender import Recommender

SONGS, K = 40, 10
DIALS = (0.0, 0.2, 0.25, 0.5, 0.61, 0.75, 1.0)


@st.composite
def worlds(draw: Any) -> tuple[np.ndarray, np.ndarray, SongGroups]:
    """Songs that are heard and others, each ranked, and few artists."""
    order = np.array(draw(st.permutations(range(SONGS))), np.int32)
    heard, count = draw(st.integers(0, SONGS)), draw(st.integers(0, SONGS))
    artists = np.array(draw(st.lists(st.integers(-1, 6), min_size=SONGS, max_size=SONGS)), np.int32)
    apart = np.arange(SONGS, dtype=np.int32)
    return order[: min(heard, count)], order[heard : heard + count], SongGroups(artists, apart, apart)


@given(worlds(), st.sampled_from([None, 1, 2]), st.booleans())
def test_turned_up_no_fewer_songs_are_new_and_each_list_is_as_long_as_it_can_be(
    world: tuple[np.ndarray, np.ndarray, SongGroups], per_artist: int | None, gives_way: bool
) -> None:
    familiar, new, groups = world
    caps = Caps(per_artist, gives_way=gives_way)
    familiar, new = (part[groups.kept(part, caps=caps)] for part in (familiar, new))
    both, shares = np.concatenate([familiar, new]), []
    possible = len(groups.kept(both, caps=caps))
    bits = np.random.default_rng(int(both.sum())).integers(0, 5, SONGS).astype(np.float64)
    for dial in DIALS:
        places = dialled(familiar, new, dial, K, bits, groups, caps)
        assert len(set(places.tolist())) == len(places) == min(K, possible)
        assert sorted(groups.kept(both[places], caps=caps)) == list(range(len(places)))
        kinds = places >= len(familiar)
        assert (np.diff(places[kinds]) > 0).all()
        assert (np.diff(places[~kinds]) > 0).all()
        shares.append(int(kinds.sum()))
    assert shares == sorted(shares)
    assert shares[-1] == min(K, len(new))
    assert shares[0] == 0 or len(familiar) < K


@given(worlds(), st.lists(st.integers(0, 6), min_size=SONGS, max_size=SONGS), st.sampled_from([None, 1, 2]))
def test_turned_up_no_list_is_less_novel_while_new_songs_are_novel_enough(
    world: tuple[np.ndarray, np.ndarray, SongGroups], plays: list[int], per_artist: int | None
) -> None:
    familiar, new, groups = world
    caps, bits = Caps(per_artist, gives_way=True), novelty(np.array(plays, np.float32))
    familiar, new = (part[groups.kept(part, caps=caps)] for part in (familiar, new))
    both, before = np.concatenate([familiar, new]), -np.inf
    for dial in np.arange(K + 1) / K:
        places = dialled(familiar, new, dial, K, bits, groups, caps)
        novel = float(bits[both[places]].sum())
        if novel < before - 1e-9:
            left = np.setdiff1d(np.arange(len(familiar), len(both)), places)
            heard = places[places < len(familiar)]
            alone = groups.artists[both[left]] < 0 if per_artist else np.ones(len(left), np.bool_)
            # Whoever would have been novel enough is by an artist of whom the list may hold no more.
            assert not (bits[both[left[alone]]][:, None] >= bits[both[heard]]).any()
        before = novel


def test_a_heard_song_makes_way_for_a_new_one_that_is_no_less_novel() -> None:
    apart, bits = np.arange(8, dtype=np.int32), np.array([5, 1, 3, 9, 2, 4, 5, 0], np.float64)
    groups = SongGroups(np.full(8, -1, np.int32), np.full(8, -1, np.int32), apart)
    lists = [dialled(apart[:3], apart[3:], dial, 3, bits, groups, Caps()) for dial in (0, 0.34, 0.67, 1)]
    assert [sorted(places.tolist()) for places in lists] == [[0, 1, 2], [0, 1, 3], [0, 3, 4], [3, 4, 6]]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 99))
def test_turned_up_the_first_songs_of_a_ranking_are_no_less_novel(plays: list[int], k: int, seed: int) -> None:
    bits = novelty(np.array(plays, np.float32))
    tracks = np.random.default_rng(seed).permutation(len(plays)).astype(np.int32)
    reached = [float(bits[tracks[turned(tracks, bits * dial)[0]]][:k].sum()) for dial in DIALS]
    assert (np.diff(reached) >= -1e-6).all()
    assert turned(tracks, bits * 0)[0].tolist() == list(range(len(tracks)))


def test_novelty_is_the_bits_of_a_songs_share_of_all_plays_with_one_more_each() -> None:
    assert novelty(np.array([3, 0, 1, 0], np.float32)).tolist() == [1, 3, 2, 3]


def test_a_list_goes_from_heard_songs_to_new_ones(recommender: Recommender) -> None:
    users, rows = recommender.dataset.user_ids.names[:10], recommender.dataset.track_ids.to_rows
    told = []
    for dial in DIALS:
        frame = recommender.recommend(users, K, discovery=dial)
        of_dial = []
        for user in users:
            found = rows(frame.filter(user_id=user)["track_id"].to_list())
            heard = recommender._listeners.heard(user)
            assert len(set(found.tolist())) == K
            of_dial.append((float((~np.isin(found, heard)).mean()), float(recommender._novelty[found].mean())))
            if dial in (0.25, 1.0):
                alone = recommender.recommend(user, K, discovery=dial)
                assert rows([song.track_id for song in alone]).tolist() == found.tolist()
                assert [song.score for song in alone] == sorted((song.score for song in alone), reverse=True)
        told.append(of_dial)
    new, bits = np.array(told).transpose(2, 0, 1)
    assert (np.diff(new, axis=0) >= 0).all()
    assert (new[0] == 0).all()
    assert (new[-1] == 1).all()
    assert new.mean(axis=1) == pytest.approx(np.floor(np.array(DIALS) * K + 0.5) / K)
    # Of 60 songs some listeners are left with none that is new and novel enough; of the demo's 1,000 none is.
    assert (np.diff(bits, axis=0) >= -1e-9).mean() > 0.9
    assert (np.diff(bits.mean(axis=1)) >= 0).all()
    assert bits[-1].mean() > bits[0].mean()


def test_someone_new_gets_what_is_popular_and_fresh_at_any_turn(recommender: Recommender) -> None:
    for dial in (0.0, 1.0):
        found = recommender.recommend("a stranger", K, discovery=dial)
        assert len(found) == K


AFTER_SONGS: dict[str, Callable[..., list[Recommendation]]] = {
    "next_song": lambda r, **w: r.next_song(r.dataset.track_ids.names[:3], K, **w),
    "continue_playlist": lambda r, **w: r.continue_playlist(r.dataset.track_ids.names[:3], "calm", K, **w),
    "similar": lambda r, **w: r.similar(r.dataset.track_ids.names[3], K, **w),
}


@pytest.mark.parametrize("method", AFTER_SONGS)
@pytest.mark.parametrize("wishes", [{}, {"per_artist": None}, {"per_artist": 1, "per_album": 1}])
def test_after_songs_the_dial_asks_for_what_is_little_known(
    recommender: Recommender, method: str, wishes: dict[str, Any]
) -> None:
    told, rows = [], recommender.dataset.track_ids.to_rows
    for dial in DIALS:
        found = [song.track_id for song in AFTER_SONGS[method](recommender, discovery=dial, **wishes)]
        told.append(recommender._novelty[rows(found)].mean())
        if dial == 0:
            assert found == [song.track_id for song in AFTER_SONGS[method](recommender, **wishes)]
    assert (np.diff(told) >= -1e-6).all()
    assert told[-1] > told[0]


@pytest.mark.parametrize("method", [*AFTER_SONGS, "recommend"])
def test_where_nothing_was_played_no_song_is_known_to_be_little_known(recommender: Recommender, method: str) -> None:
    ask = {**AFTER_SONGS, "recommend": lambda r, **w: r.recommend("a stranger", K, **w)}[method]
    dataset = recommender.dataset
    silent = dataset.only(dataset.listens.clear(), dataset.playlist_tracks.clear())
    unplayed = Recommender(silent, recommender.models, recommender.words)
    with pytest.raises(UserError, match="no song has any"):
        ask(unplayed, discovery=0.8)
    assert len(ask(unplayed)) == K
