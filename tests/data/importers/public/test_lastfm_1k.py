"""The importer of Last.fm's 1K users, on lines in its published format, and on its broken ones."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.importers.public.lastfm_1k import FILE, read
from data.tables import Imported, validate

ARTIST = "f1b1cf71-bd35-4e99-8624-24a6e15f133a"
TRACK = "b7ffd2af-418f-4be2-bdd1-22f8b48613da"
OTHER = "10d23b62-6b14-4c8b-8b2f-0a5d2bd1b4f1"
TIME = "2009-05-04T23:08:57Z"


def line(user: int = 1, time: str = TIME, artist: str = "Deep Dish", track: str = TRACK, title: str = "Fuck Me") -> str:
    return f"user_{user:06}\t{time}\t{ARTIST}\t{artist}\t{track}\t{title}\n"


def tables(folder: Path, content: str | bytes) -> dict[str, pl.DataFrame]:
    """Write the file, read it: all parts of each table, one below the other."""
    path = folder / "lastfm-dataset-1K" / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    parts: dict[str, list[pl.DataFrame]] = {}
    for name, frame in read(folder):
        parts.setdefault(name, []).append(frame)
    return {name: pl.concat(frames) for name, frames in parts.items()}


def names(found: dict[str, pl.DataFrame]) -> list[tuple[str, ...]]:
    return found["tracks"].select("track_id", "artist", "title").rows()


def rejects(found: dict[str, pl.DataFrame]) -> list[tuple[str, str]]:
    """Line and reason, in the order of lines."""
    rows = found["rejects"].select("source", "reason").rows()
    return sorted((source.removeprefix(f"{FILE}:"), reason) for source, reason in rows)


def test_published_lines(tmp_path):
    content = (
        f"user_000001\t2009-05-04T23:08:57Z\t{ARTIST}\tDeep Dish\t\tFuck Me Im Famous (Pacha Ibiza)-09-28-2007\n"
        "user_000001\t2009-05-04T13:54:10Z\ta7f7df4a-77d8-4f12-8acd-5c60c93f4de8\t坂本龍一\t\t"
        "Composition 0919 (Live_2009_4_15)\n"
        f"user_000002\t2006-08-13T14:59:59Z\t{ARTIST}\tDeep Dish\t{TRACK}\tFlashdance\n"
    )
    found = tables(tmp_path, content)
    assert names(found) == [
        (
            "Deep Dish :: Fuck Me Im Famous (Pacha Ibiza)-09-28-2007",
            "Deep Dish",
            "Fuck Me Im Famous (Pacha Ibiza)-09-28-2007",
        ),
        (
            "坂本龍一 :: Composition 0919 (Live_2009_4_15)",
            "坂本龍一",
            "Composition 0919 (Live_2009_4_15)",
        ),
        (TRACK, "Deep Dish", "Flashdance"),
    ]
    listens = found["listens"].select("user_id", "listened_at").rows()
    assert listens == [
        ("user_000001", datetime(2009, 5, 4, 23, 8, 57, tzinfo=UTC)),
        ("user_000001", datetime(2009, 5, 4, 13, 54, 10, tzinfo=UTC)),
        ("user_000002", datetime(2006, 8, 13, 14, 59, 59, tzinfo=UTC)),
    ]
    assert found["rejects"].is_empty()


def test_plays_of_the_same_second_were_written_last_one_first(tmp_path):
    found = tables(tmp_path, "".join(line(title=title, track="") for title in ("last", "second", "first")))
    assert found["listens"].sort("listened_at", "position")["track_id"].to_list() == [
        "Deep Dish :: first",
        "Deep Dish :: second",
        "Deep Dish :: last",
    ]


class TestBrokenLines:
    @pytest.mark.parametrize("title", ['"Heroes"', '"Weird Al', 'Al" Yankovic', '12" mix', "'", '""', "\\", "a,b;c|d"])
    def test_quotes_mean_nothing(self, tmp_path, title):
        found = tables(tmp_path, line(artist=title, title=title) + line(track=OTHER))
        assert names(found) == [(TRACK, title, title), (OTHER, "Deep Dish", "Fuck Me")]

    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_a_line_end_in_the_title(self, tmp_path, ending):
        found = tables(tmp_path, (line(title="one\ntwo\nthree") + line(track=OTHER)).replace("\n", ending))
        assert names(found) == [(TRACK, "Deep Dish", "one two three"), (OTHER, "Deep Dish", "Fuck Me")]
        assert found["rejects"].is_empty()

    def test_a_line_end_in_the_artist(self, tmp_path):
        found = tables(tmp_path, line(artist="Deep\nDish") + line(track=OTHER))
        assert [row[1] for row in names(found)] == ["Deep Dish", "Deep Dish"]

    def test_a_line_end_in_the_last_title_of_the_file_which_does_not_end(self, tmp_path):
        found = tables(tmp_path, (line() + line(track=OTHER, title="one\ntwo")).removesuffix("\n"))
        assert names(found)[1] == (OTHER, "Deep Dish", "one two")

    def test_tabs_in_names_are_told_by_the_id_between_them(self, tmp_path):
        found = tables(tmp_path, line(artist="Deep\tDish", title="Fuck\tMe\tnow"))
        assert names(found) == [(TRACK, "Deep Dish", "Fuck Me now")]

    def test_tabs_in_names_are_told_by_the_only_empty_field_if_there_is_no_id(self, tmp_path):
        found = tables(tmp_path, line(artist="Deep\tDish", track="", title="Fuck Me"))
        assert names(found) == [("Deep Dish :: Fuck Me", "Deep Dish", "Fuck Me")]

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            (line(artist=f"Deep\t{OTHER}\tDish"), "not 6 fields but 8"),
            (line(artist="Deep\t\tDish", track=""), "not 6 fields but 8"),
            (line(artist="Deep\tDish", track="no-id"), "not 6 fields but 7"),
            (line().replace("\t", " "), "not 6 fields but 1"),
            (f"user_000001\t{TIME}\t{ARTIST}\tDeep Dish\n", "not 6 fields but 4"),
            (line(time="2009-13-45T00:00:00Z"), "the time cannot be read"),
            (line(time=""), "the time cannot be read"),
            (line(time="2013-09-28T01:02:03Z"), "a time after the data set was published"),
            (line(track="", title=""), "neither a track id nor artist and title"),
            (line(track="", artist=""), "neither a track id nor artist and title"),
            (line().replace("user_000001", ""), "begins with no listener"),
        ],
    )
    def test_what_cannot_be_mended_is_rejected_with_its_line_and_its_neighbours_stay(self, tmp_path, broken, reason):
        found = tables(tmp_path, line() + broken + line(track=OTHER))
        assert [row[0] for row in names(found)] == [TRACK, OTHER]
        assert found["listens"].height == 2
        assert rejects(found) == [("2", reason)]
        assert found["rejects"]["content"].item() == broken.removesuffix("\n")

    def test_a_track_id_is_enough_without_names(self, tmp_path):
        assert names(tables(tmp_path, line(artist="", title=""))) == [(TRACK, None, None)]

    def test_blank_lines_are_nothing(self, tmp_path):
        found = tables(tmp_path, "\n" + line() + "\n \n" + line(track=OTHER, time="x"))
        assert found["listens"].height == 1
        assert rejects(found) == [("5", "the time cannot be read")]

    def test_bytes_that_are_no_text(self, tmp_path):
        found = tables(tmp_path, line().encode().replace(b"Fuck", b"F\xffck") + line(track=OTHER).encode())
        assert [row[2] for row in names(found)] == ["F\ufffdck Me", "Fuck Me"]

    def test_another_kind_of_file_is_rejected_line_by_line(self, tmp_path):
        found = tables(tmp_path, "a,b,c\n" * 200)
        assert found["listens"].is_empty()
        assert {reason for _, reason in rejects(found)} == {"begins with no listener"}
        assert found["rejects"].height == 200


# Without control characters: some of them are blanks to Python and not to Polars.
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


PLAYS = st.tuples(st.integers(1, 5), WORDS, st.sampled_from(["", TRACK, OTHER]), WORDS, st.booleans())


@settings(max_examples=25)
@given(st.lists(PLAYS, min_size=1, max_size=6), st.integers(1, 400))
def test_chunks_do_not_show(tmp_path_factory, plays, chunk):
    """Whatever the names and wherever a chunk ends, every play is there, and its line end inside the title too."""
    folder = tmp_path_factory.mktemp("lastfm")
    content = "".join(
        line(user, artist=artist, track=track, title=title + ("\nmore" if split else ""))
        for user, artist, track, title, split in plays
    )
    with patch("data.importers.public.lastfm_1k.CHUNK", chunk):
        found = tables(folder, content)
    wanted = [
        track or f"{artist.strip()} :: {(title + (' more' if split else '')).strip()}"
        for _, artist, track, title, split in plays
    ]
    assert found["listens"].sort("position", descending=True)["track_id"].to_list() == wanted
    assert set(found["tracks"]["track_id"]) == set(wanted)
    assert validate(Imported({"listens": found["listens"]})).rejects.is_empty()


def test_a_folder_without_the_file_is_a_mistake_that_names_it(tmp_path):
    (tmp_path / "userid-profile.tsv").write_text("user_000001\tm\t\tJapan\tAug 13, 2006\n")
    with pytest.raises(UserError, match=rf"no {FILE} in .*\n.*--path"):
        next(read(tmp_path))
