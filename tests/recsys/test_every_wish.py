"""Whatever is wished for, every method answers k songs where the catalogue allows, each once, none against a wish."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender
from recsys.wishes import WITHOUT, Method, Wishes

K = 8


@pytest.fixture(scope="module")
def recommender(built) -> Recommender:
    return Recommender.load(built)


@st.composite
def wishes(draw: Any) -> dict[str, Any]:
    """Wishes of the built workspace; songs and labels are numbers, which `named` turns into names."""
    numbers = st.lists(st.integers(0, 59), max_size=4)
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "per_artist": st.sampled_from([None, 1, 3]),
                "per_album": st.sampled_from([None, 1, 2]),
                "versions": st.booleans(),
                "blocked": numbers,
                "blocked_artists": st.lists(st.integers(0, 5), max_size=2),
                "only": st.lists(st.integers(0, 59), min_size=1, max_size=30),
                "genres": st.lists(st.integers(0, 5), max_size=3),
                "tags": st.lists(st.integers(0, 3), max_size=1),
                "languages": st.lists(st.integers(0, 2), max_size=2),
                "released": st.sampled_from([(None, 2020), (2015, None)]),
                "duration": st.sampled_from([(None, 18), (15, None)]),
                "playable": st.sampled_from([None, True, False]),
                "more_like": st.lists(st.integers(0, 59), max_size=2),
                "less_like": st.lists(st.integers(0, 59), max_size=2),
                "diversity": st.sampled_from([0.0, 0.4, 1.0]),
                "discovery": st.sampled_from([None, 0.0, 0.3, 1.0]),
                "seed": st.integers(0, 3),
            },
        )
    )


def named(recommender: Recommender, drawn: dict[str, Any]) -> dict[str, Any]:
    """The same wishes with names for the numbers."""
    known = recommender._catalogue
    names = {
        "blocked": list(recommender.dataset.track_ids.names),
        **{wish: list(recommender.dataset.track_ids.names) for wish in ("only", "more_like")},
        "less_like": [f"artist:{name}" for name in known.artists.most_frequent(6)],
        "blocked_artists": known.artists.most_frequent(6),
        "genres": known.genres.most_frequent(6),
        "tags": known.tags.most_frequent(4),
        "languages": known._languages.most_frequent(3),
    }
    return {
        wish: [names[wish][n % len(names[wish])] for n in value] if wish in names else value
        for wish, value in drawn.items()
    }


METHODS: dict[Method, Callable[..., list[Recommendation]]] = {
    "recommend": lambda r, **w: r.recommend(r.dataset.user_ids.names[0], K, **w),
    "continue_playlist": lambda r, **w: r.continue_playlist(r.dataset.track_ids.names[:3], k=K, **w),
    "next_song": lambda r, **w: r.next_song(r.dataset.track_ids.names[:3], K, **w),
    "popular_and_fresh": lambda r, **w: r.popular_and_fresh(K, **w),
    "similar": lambda r, **w: r.similar(r.dataset.track_ids.names[0], K, **w),
    "search": lambda r, **w: r.search("calm song", K, **w),
    "path": lambda r, **w: r.path(r.dataset.track_ids.names[0], r.dataset.track_ids.names[30], K, **w),
}
LISTS = [method for method in METHODS if method != "path"]  # a path's ends stand in it whatever is wished for


def given_to(recommender: Recommender, method: Method) -> list[int]:
    """Songs that the method must not answer, whatever is wished for."""
    if method == "recommend":
        return recommender._listeners.query(recommender.dataset.user_ids.names[0], Wishes()).exclude.tolist()
    return {"continue_playlist": [0, 1, 2], "next_song": [0, 1, 2], "similar": [0]}.get(method, [])


@pytest.mark.parametrize("method", LISTS)
@given(drawn=wishes())
def test_k_songs_each_once_and_none_against_a_wish(recommender: Recommender, method: Method, drawn: Any) -> None:
    fields = {name: value for name, value in named(recommender, drawn).items() if name not in WITHOUT.get(method, ())}
    if method == "recommend":
        fields.pop("discovery", None)  # heard songs come then: tests/recsys/ranking/steering/test_discovery.py
    wants, dataset, groups = Wishes.of(method, **fields), recommender.dataset, recommender._groups
    found = METHODS[method](recommender, **fields)
    rows = dataset.track_ids.to_rows([song.track_id for song in found])
    assert found == METHODS[method](recommender, **fields)
    assert len(set(rows.tolist())) == len(rows) <= K

    allowed = recommender._catalogue.allowed(wants)
    left = np.ones(len(dataset.track_ids), np.bool_) if allowed is None else allowed.copy()
    unwanted = [*wants.blocked, *wants.more_like, *wants.less_like]
    never = np.array([*given_to(recommender, method), *recommender._catalogue.seeds(unwanted)], np.int32)
    left[never] = False
    own = np.arange(len(left)) + groups.recordings.max() + 1
    songs = own if wants.versions else np.where(groups.recordings >= 0, groups.recordings, own)
    left &= ~np.isin(songs, songs[never])
    assert left[rows].all()
    assert len(set(songs[rows].tolist())) == len(rows)

    artists = Counter(groups.artists[rows][groups.artists[rows] >= 0].tolist())
    albums = Counter(groups.albums[rows][groups.albums[rows] >= 0].tolist())
    assert wants.per_artist is None or wants.gives_way or max(artists.values(), default=0) <= wants.per_artist
    assert wants.per_album is None or max(albums.values(), default=0) <= wants.per_album
    if wants.per_album is None and method != "search":
        by_artist: dict[int, set[int]] = {}
        for row in np.flatnonzero(left):
            by_artist.setdefault(int(groups.artists[row]), set()).add(int(songs[row]))
        strict = wants.per_artist is not None and not wants.gives_way
        possible = sum(
            min(len(of), wants.per_artist) if strict and wants.per_artist and artist >= 0 else len(of)
            for artist, of in by_artist.items()
        )
        assert len(rows) == min(K, possible)


@given(drawn=wishes())
def test_one_listener_alone_and_among_many_gets_the_same(recommender: Recommender, drawn: Any) -> None:
    fields = named(recommender, drawn)
    users = [*recommender.dataset.user_ids.names[:3], "a stranger"]
    frame = recommender.recommend(users, K, **fields)
    for user in users:
        alone = [song.track_id for song in recommender.recommend(user, K, **fields)]
        assert frame.filter(user_id=user)["track_id"].to_list() == alone


@pytest.mark.parametrize(("method", "wish"), [(method, wish) for method, silent in WITHOUT.items() for wish in silent])
def test_a_wish_that_says_nothing_to_a_method_is_the_users_mistake(
    recommender: Recommender, method: Method, wish: str
) -> None:
    with pytest.raises(UserError, match=f"{wish} says nothing to {method}"):
        METHODS[method](recommender, **{wish: 3})


@pytest.mark.parametrize("method", METHODS)
def test_songs_without_audio_are_answered_where_that_is_wished_or_no_song_has_any(
    recommender: Recommender, method: Method
) -> None:
    with_audio = np.arange(len(recommender.dataset.track_ids)) % 3 == 0
    audio = pl.when(pl.Series(with_audio)).then("audio_path")

    def silent(audio: pl.Expr, **wishes: Any) -> int:
        """Songs of the answer that have no audio."""
        dataset = replace(
            recommender.dataset, tracks=recommender.dataset.tracks.with_columns(audio.alias("audio_path"))
        )
        found = METHODS[method](Recommender(dataset, recommender.models, recommender.words), **wishes)
        between = found[1:-1] if method == "path" else found
        assert between
        return sum(song.audio_path is None for song in between)

    assert silent(audio) == silent(audio, playable=True) == 0
    assert silent(audio, playable=False) > 0
    assert silent(pl.lit(None, pl.String)) > 0


def test_who_searches_for_an_artist_gets_all_their_songs(recommender: Recommender) -> None:
    artists = recommender.dataset.tracks["artist"]
    artist = artists.drop_nulls().mode()[0]
    count = int((artists == artist).sum())
    assert count > 2
    assert {song.artist for song in recommender.search(artist, count)} == {artist}
    assert len(recommender.search(artist, count)) == count
    assert [song.artist for song in recommender.search(artist, count, per_artist=1)].count(artist) == 1
