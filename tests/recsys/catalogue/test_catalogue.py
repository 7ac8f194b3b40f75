"""What wishes allow, against a plain look at every song."""

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UnknownIdError, UserError
from data.ids import IdMap
from data.tables import SCHEMAS
from recsys.catalogue.catalogue import Catalogue
from recsys.wishes import Wishes

COUNT = 40
GENRES, TAGS, LANGUAGES = ("Folk", "jazz", "Jazz "), ("calm", "instrumental"), ("en", "instrumental")
ARTISTS = ("Ann", "Twins, The", "The Twins feat. Nina & Bob", "Bob")


def catalogue(seed: int = 3, **columns: list[Any]) -> Any:
    """40 songs, about a third of whose values are unknown."""
    rng = np.random.default_rng(seed)

    def one_of(*values: Any) -> list[Any]:
        drawn = rng.integers(0, len(values) * 3 // 2 + 1, COUNT)
        return [values[n] if n < len(values) else None for n in drawn]

    known = {
        "track_id": [f"t{n}" for n in range(COUNT)],
        "artist": one_of(*ARTISTS),
        "genres": one_of(["Folk"], ["jazz", "Folk"], ["Jazz "], []),
        "tags": one_of(["calm"], ["calm", "Instrumental"]),
        "language": one_of(*LANGUAGES),
        "release_date": one_of(date(1999, 1, 1), date(1999, 12, 31), date(2004, 2, 29)),
        "duration_s": one_of(59.5, 60.0, 200.0),
        "audio_path": one_of("a.flac", "b.mp3"),
        **columns,
    }
    tracks = pl.DataFrame(known).select(pl.col(name).cast(SCHEMAS["tracks"][name]) for name in known)
    return SimpleNamespace(tracks=tracks, track_ids=IdMap(tuple(known["track_id"])))


DATASET = catalogue()
CATALOGUE = Catalogue(DATASET)


def one(label: str, given: str | list[str] | None) -> bool:
    listed = [given] if isinstance(given, str) else given or []
    return label.strip().lower() in [each.strip().lower() for each in listed]


def passes(song: dict[str, Any], wishes: Wishes) -> bool:
    """One song, by hand."""
    labels = [*(song["tags"] or []), *(song["genres"] or []), song["language"] or ""]
    when, long = song["release_date"], song["duration_s"]
    first, last = wishes.released or (None, None)
    least, most = wishes.duration or (None, None)
    within: list[Callable[[], bool]] = [
        lambda: wishes.only is None or song["track_id"] in wishes.only,
        lambda: not wishes.genres or any(one(genre, song["genres"]) for genre in wishes.genres),
        lambda: not wishes.languages or any(one(language, song["language"]) for language in wishes.languages),
        lambda: all(one(tag, labels) for tag in wishes.tags),
        lambda: wishes.released is None or (when is not None and (first or when) <= when <= (last or when)),
        lambda: wishes.playable is False or song["audio_path"] is not None,
        lambda: (
            wishes.duration is None or (long is not None and long >= (least or 0) and (most is None or long <= most))
        ),
    ]
    return all(each() for each in within)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "only": st.lists(st.sampled_from(DATASET.track_ids.names), min_size=1),
            "genres": st.lists(st.sampled_from(GENRES), max_size=2),
            "languages": st.lists(st.sampled_from(LANGUAGES), max_size=2),
            "tags": st.lists(st.sampled_from(TAGS), max_size=2),
            "released": st.sampled_from([(1999, 1999), (None, date(1999, 12, 30)), ("2000-01-01", None), (None, None)]),
            "duration": st.sampled_from([(60, None), (None, 60), (60, 60), (None, None), (300, 400)]),
            "playable": st.sampled_from([None, True, False]),
        },
    )
)
def test_a_song_passes_all_filters_and_none_on_what_is_unknown(fields: dict[str, Any]) -> None:
    wishes = Wishes.of(**fields)
    allowed = CATALOGUE.allowed(wishes)
    expected = [passes(song, wishes) for song in DATASET.tracks.iter_rows(named=True)]
    assert (np.ones(COUNT, np.bool_) if allowed is None else allowed).tolist() == expected


@pytest.mark.parametrize("audio", ["a.flac", None])
def test_where_all_songs_have_audio_or_none_has_none_is_left_out_for_it(audio: str | None) -> None:
    known = Catalogue(catalogue(audio_path=[audio] * COUNT))
    assert known.allowed(Wishes.of()) is known.allowed(Wishes.of(playable=False)) is None
    if audio is not None:
        assert known.allowed(Wishes.of(playable=True)) is None
    else:
        with pytest.raises(UserError, match="no song has an audio file"):
            known.allowed(Wishes.of(playable=True))


def blocked(*names: str) -> set[str | None]:
    """Artists of which no song is left."""
    allowed = CATALOGUE.allowed(Wishes.of(blocked_artists=names, playable=False))
    assert allowed is not None
    left = set(DATASET.tracks["artist"].filter(pl.Series(allowed)).to_list())
    return {*ARTISTS, None} - left


def test_blocked_artists_come_neither_with_their_own_songs_nor_as_guests() -> None:
    assert blocked("ann") == {"Ann"}
    assert blocked("Bob") == {"Bob", "The Twins feat. Nina & Bob"}
    assert blocked("the twins ") == {"Twins, The", "The Twins feat. Nina & Bob"}
    assert blocked("Nina", "Ann") == {"Ann", "The Twins feat. Nina & Bob"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"genres": ["jaz"]}, 'no genre "jaz" .*closest name is "[Jj]azz"'),
        ({"languages": ["em"]}, 'no language "em" .*closest name is "en"'),
        ({"tags": ["instrumentals"]}, 'no tag "instrumentals" .*"[Ii]nstrumental"'),
        ({"blocked_artists": ["Anna"]}, 'no artist "Anna" .*"Ann"'),
        ({"only": ["t1", "t0000"]}, 'no track "t0000"'),
    ],
)
def test_what_nobody_has_is_said_with_the_closest(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownIdError, match=said):
        CATALOGUE.allowed(Wishes.of(**fields))


def test_where_nothing_is_known_a_filter_is_a_mistake() -> None:
    bare = Catalogue(catalogue(release_date=[None] * COUNT, duration_s=[None] * COUNT, genres=[None] * COUNT))
    for fields in ({"released": (1999, None)}, {"duration": (0, None)}, {"genres": ["jazz"]}):
        with pytest.raises(UserError):
            bare.allowed(Wishes.of(**fields))  # type: ignore[arg-type]


def test_a_wish_that_leaves_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    allowed = CATALOGUE.allowed(Wishes.of(duration=(1000, None)))
    assert allowed is not None
    assert not allowed.any()
    assert "no song of the catalogue has all that is wished for" in caplog.text


def test_artists_and_albums_stand_for_their_songs_and_an_id_for_itself() -> None:
    named = catalogue(album=["artist:Ann", *[None] * (COUNT - 1)], track_id=["artist:Bob", *map(str, range(1, COUNT))])
    known = Catalogue(named)
    of_ann = [row for row, artist in enumerate(named.tracks["artist"]) if artist == "Ann"]
    assert known.seeds(["3", "artist:ANN"]).tolist() == [3, *of_ann]
    assert known.seeds(["artist:Bob", "album:artist:ann", "3"]).tolist() == [0, 0, 3]
    for unknown, said in (("album:x", "no album"), ("artist:x", "no artist"), ("genre:jazz", "no track")):
        with pytest.raises(UnknownIdError, match=said):
            known.seeds([unknown])
