"""Versions of one song are one, and songs that only look alike are not."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.recordings import song_keys


def key(title: str | None, artist: str | None) -> str | None:
    return song_keys(pl.DataFrame({"title": [title], "artist": [artist]}, {"title": pl.String, "artist": pl.String}))[0]


@pytest.mark.parametrize(
    ("title", "artist"),
    [
        ("Evergreen - Remastered 2011", "The Twins"),
        ("Evergreen - 2011 Remaster", "the twins"),
        ("Evergreen (Live at Leeds)", "The Twins"),
        ("Evergreen [Live]", "Twins, The"),
        ("Evergreen (feat. Nina)", "The Twins feat. Nina"),
        ("Evergreen feat. Nina", "Twins"),
        ("Evergreen", "The Twins ft. Nina"),
        ("Evergreen - Radio Edit", "The Twins"),
        ("Evergreen (Demo)", "The Twins"),
        ("evergreen ", "the  twins"),
        ("Ｅｖｅｒｇｒｅｅｎ", "The Twins"),
        ("Evergreen (feat. Nina) [Live] - Remastered", "The Twins"),
    ],
)
def test_versions_of_a_song_are_one(title: str, artist: str) -> None:
    assert key(title, artist) == key("Evergreen", "The Twins")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Evergreen", "The Twins"), ("Evergreen", "Barbra Other")),
        (("Symphony No. 5: I. Allegro", "Orchestra"), ("Symphony No. 5: II. Andante", "Orchestra")),
        (("Symphony No. 5 - I. Allegro", "Orchestra"), ("Symphony No. 5 - II. Andante", "Orchestra")),
        (("Echoes Part 1", "Band"), ("Echoes Part 2", "Band")),
        (("Echoes (Part 1)", "Band"), ("Echoes (Part 2)", "Band")),
        (("Live Forever", "Band"), ("Forever", "Band")),
        (("Rain (Ann Remix)", "Band"), ("Rain", "Band")),
        (("Rain (Instrumental)", "Band"), ("Rain", "Band")),
        (("Rain (Live)", "Band"), ("Sun (Live)", "Band")),
        (("(Live)", "Band"), ("[Demo]", "Band")),
        (("Defeat. Nothing", "Band"), ("De", "Band")),
    ],
)
def test_songs_that_look_alike_stay_two(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert key(*one) != key(*other)


def test_without_a_title_or_an_artist_nothing_is_known() -> None:
    assert [key(None, "Ann"), key("Rain", None), key(" ", "Ann"), key("Rain", "")] == [None] * 4


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1)


@given(WORDS, WORDS)
def test_any_words_are_a_title_and_its_live_version_the_same_song(title: str, artist: str) -> None:
    assert key(title, artist) == key(f" {title}  (LIVE)", artist) == key(f"{title} - live in Rome", artist) is not None


@given(st.text(), st.text())
def test_no_text_is_refused(title: str, artist: str) -> None:
    assert key(title, artist) == key(title + " ", artist)
