"""Writings of one title have one key, and nothing that tells songs apart is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.identity.normalise import names_of, read_title, whole_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Another Brick, Pt. II", "another brick part 2"),
        ("Don’t Go (2011 Remaster)", "Dont Go"),
        ("Rain (feat. Nina) [Official Video]", "Rain"),
        ("Group: I. Allegro", "Group - 1. Allegro"),
        ("Rain - Live / Remastered 2009", "Rain (Live)"),
        ("Rain (Kygo Remix)", "Rain - Kygo Mix"),
        ("Symphony in A Major", "Symphony in A"),
        ("Rock 'n' Roll", "Rock & Roll"),
    ],
)
def test_writings_of_one_title_are_one(one: str, other: str) -> None:
    assert read_title(one, "Ann").keys[0] == read_title(other, "Ann").keys[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Rain", "Rain (Live)"),
        ("Rain (Live in Rome)", "Rain (Live in Paris)"),
        ("Theme 1 1", "Theme 11"),
        ("T.N.T.", "T and T"),
        ("Symphony in A Major", "Symphony in A Minor"),
        ("+", "÷"),
    ],
)
def test_what_tells_two_songs_apart_stays(one: str, other: str) -> None:
    assert not set(read_title(one, "Ann").keys) & set(read_title(other, "Ann").keys)


def test_an_artist_s_text_gives_its_names() -> None:
    assert names_of("Nina Sol & Bo, Ann") == ("ninasol", "bo", "ann")
    assert names_of("周杰倫 (Jay Chou)") == ("zhoujielun", "jaychou")
    assert names_of("AC/DC")[0] == "ac"
    assert whole_name("AC/DC") == whole_name("ACDC") == "acdc"
    assert whole_name("Florence + The Machine") == whole_name("Florence and the Machine")
    for nobody in ("", "Various Artists", "VA", "<unknown>"):
        assert names_of(nobody) == ()
        assert whole_name(nobody) == ""


def test_artist_and_title_in_one_text_are_parted_where_the_artist_is_nobody_or_the_same() -> None:
    assert read_title("Kaoma - Lambada", "Various Artists").artist == "kaoma"
    assert read_title("Kaoma - Lambada", "Kaoma").keys == ["lambada"]
    assert read_title("Kaoma - Lambada", "Ann").keys == ["kaomalambada"]


@given(st.text(), st.text())
def test_no_text_is_refused_and_case_and_blanks_make_no_other_title(title: str, artist: str) -> None:
    names_of(artist)
    assert read_title(f"  {title} ", artist).keys == read_title(title, artist).keys
    assert all(read_title(title, artist).keys)
