"""Names are found as people type them."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.search.by_words import learned_floor, search
from recsys.search.plain_text import plain, words_of
from recsys.search.text_index import TextIndex

SONGS = [
    ("Hoppípolla", "Sigur Rós", "Takk...", ["post-rock"]),
    ("Yesterday", "The Beatles", "Help!", ["pop"]),
    ("River", "Joni Mitchell", "Blue", ["folk"]),
    ("River", "Leon Bridges", "Coming Home", ["soul"]),
    ("Deep River Blues", "Doc Watson", "Doc", ["folk"]),
    ("雨の日", "宇多田", None, ["pop"]),
    ("Bohemian Rhapsody", "Queen", "A Night at the Opera", ["rock"]),
    ("Don’t Stop", "Fleetwood Mac", "Rumours", ["rock"]),
    (None, None, None, None),
    ("Straße_nach Süden", "Ångström & Söhne", None, ["schlager"]),
    ('He said "no"', "AND OR NOT", "NEAR(x)", ["rock"]),
]


def tracks(songs: list[tuple[object, ...]] = SONGS) -> pl.DataFrame:  # type: ignore[assignment]
    schema = {"title": pl.String, "artist": pl.String, "album": pl.String, "genres": pl.List(pl.String)}
    frame = pl.DataFrame(songs, schema, orient="row")
    return frame.with_columns(
        tags=pl.lit(None, pl.List(pl.String)), language=pl.lit(None, pl.String), description=pl.lit(None, pl.String)
    )


@pytest.fixture(scope="module")
def index() -> TextIndex:
    return TextIndex.from_bytes(TextIndex.build(tracks()).to_bytes())


@pytest.mark.parametrize(
    ("text", "first", "field"),
    [
        ("hoppipolla", 0, "title"),
        ("HOPPÍPOLLA", 0, "title"),
        ("Ｙｅｓｔｅｒｄａｙ", 1, "title"),
        ("Yesterday by The Beatles", 1, "title"),
        ("the beatles yesterday", 1, "title"),
        ("river leon bridges", 3, "title"),
        ("the beatles", 1, "artist"),
        ("rumours", 7, "album"),
        ("dont stop", 7, "title"),
        ("Don't Stop", 7, "title"),
        ("雨の日", 5, "title"),
        ("strasse nach sueden", 9, "title"),
        ("Strasse nach Suden", 9, "title"),
        ("angstrom and sohne", 9, "artist"),
        ('he said "no"', 10, "title"),
        ("and or not", 10, "artist"),
        ("bohemian rapsody", 6, "title"),
        ("bohemien rhapsodie", 6, "title"),
    ],
)
def test_who_types_a_name_gets_that_song_first(index: TextIndex, text: str, first: int, field: str) -> None:
    found = index.names(text, 5)
    assert [found[0].track, found[0].field, found[0].whole] == [first, field, True]


def test_whole_titles_stand_before_words_among_others(index: TextIndex) -> None:
    assert [(match.track, match.whole) for match in index.names("river", 5)] == [(2, True), (3, True), (4, False)]


def test_words_of_two_fields_are_found(index: TextIndex) -> None:
    assert [match.track for match in index.names("beatles yesterday", 5)] == [1]
    assert index.names("beatles river", 5) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("🎸 river", ["🎸"]), ("qwertyuiop", ["qwertyuiop"]), ("folk river", []), ("雨の月", ["雨の月"]), ("", [])],
)
def test_words_that_no_song_has_are_named(index: TextIndex, text: str, unknown: list[str]) -> None:
    assert index.unknown(text) == unknown


def test_what_is_known_elsewhere_is_no_slip_of_the_pen(index: TextIndex) -> None:
    assert index.names("rhapsodic", 5)[0].track == 6
    assert index.names("rhapsodic", 5, lambda word: True) == []


def test_without_a_meaning_the_words_of_all_texts_are_looked_up(index: TextIndex) -> None:
    found = search(index, "folk songs river", 5, None, lambda word: False, lambda: 0.0)
    assert {song.track for song in found[:3]} == {2, 3, 4}
    assert all("has some of the words" in song.reason and '"songs"' in song.reason for song in found)


def test_meaning_follows_names_and_must_beat_what_random_strings_reach(index: TextIndex) -> None:
    def meaning(text: str, most: int) -> list[tuple[int, float]]:
        return [(0, 0.7), (2, 0.6), (1, 0.5)]

    floor = learned_floor(meaning)
    assert floor == 0.7
    found = search(index, "river", 5, meaning, lambda word: True, lambda: floor)
    assert [song.track for song in found] == [2, 3, 4, 0, 1]
    assert [song.score for song in found] == sorted((song.score for song in found), reverse=True)
    assert search(index, "qwertyuiop", 5, meaning, lambda word: False, lambda: floor) == []
    assert len(search(index, "calm", 5, meaning, lambda word: True, lambda: floor)) == 3  # the encoder knows it


@given(st.text())
def test_any_text_is_a_question_and_any_text_a_title(text: str) -> None:
    index = TextIndex.build(tracks([(text, None, None, None)]))
    found = index.names(text, 1)
    assert bool(found) == bool(words_of(text))
    index.texts(text, 1)
    index.unknown(text)
    assert plain(text) == plain(plain(text))
