"""Versions of one song are one, and songs that only look alike are not."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.recordings import albums, credited, song_keys


def key(title: str | None, artist: str | None) -> str | None:
    return song_keys(pl.DataFrame({"title": [title], "artist": [artist]}, {"title": pl.String, "artist": pl.String}))[0]


PAIRS = pl.read_csv(Path(__file__).with_name("versions.csv")).rows()
"Title and artist of two songs, and whether they are one."


@pytest.mark.parametrize(("title", "artist", "other_title", "other_artist", "same"), PAIRS)
def test_versions_of_a_song_are_one_and_songs_that_look_alike_are_two(
    title: str, artist: str, other_title: str, other_artist: str, same: int
) -> None:
    assert (key(title, artist) == key(other_title, other_artist)) == bool(same)


@pytest.mark.parametrize(
    ("title", "artist"),
    [
        ("Evergreen [Live]", "Twins, The"),
        ("evergreen ", "the  twins"),
        ("Ｅｖｅｒｇｒｅｅｎ", "The Twins"),
        ("Evergreen (feat. Nina) [Live] - Remastered", "The Twins"),
    ],
)
def test_the_form_of_the_letters_makes_no_other_song(title: str, artist: str) -> None:
    assert key(title, artist) == key("Evergreen", "The Twins")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("(Live)", "Band"), ("[Demo]", "Band")),
        (("(feat. Nina)", "Band"), ("(feat. Ann)", "Band")),
        (("Defeat. Nothing", "Band"), ("De", "Band")),
    ],
)
def test_a_title_that_is_nothing_but_an_addition_stays(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert key(*one) != key(*other)


def test_an_album_is_one_of_its_artist() -> None:
    tracks = pl.DataFrame({"artist": ["Ann", "ann feat. Bob", "Bob", None], "album": ["Hits", "hits", "Hits", "Hits"]})
    assert albums(tracks).to_list() == ["ann\nhits", "ann\nhits", "bob\nhits", None]


@given(st.text())
def test_an_artist_is_credited_as_it_is_written(artist: str) -> None:
    assert credited(artist)[:1] == [artist.strip()] * bool(artist.strip())


def test_without_a_title_or_an_artist_nothing_is_known() -> None:
    assert [key(None, "Ann"), key("Rain", None), key(" ", "Ann"), key("Rain", "")] == [None] * 4


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1)


@given(WORDS, WORDS)
def test_any_words_are_a_title_and_its_live_version_the_same_song(title: str, artist: str) -> None:
    assert key(title, artist) == key(f" {title}  (LIVE)", artist) == key(f"{title} - live in Rome", artist) is not None


@given(st.text(), st.text())
def test_no_text_is_refused(title: str, artist: str) -> None:
    assert key(title, artist) == key(title + " ", artist)
