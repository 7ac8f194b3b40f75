"""Songs are found again, and songs that look alike are not."""

import re
from pathlib import Path

import polars as pl
import pytest

from data.identity.matching import Matching, match

PRECISION = 0.99
TEXTS = dict.fromkeys(("a_title", "a_artist", "b_title", "b_artist"), pl.String)


def track(title: str | None, artist: str | None, seconds: float | None = None, **more: object) -> dict[str, object]:
    return {"track_id": f"{artist}/{title}", "title": title, "artist": artist, "duration_s": seconds, **more}


def tracks(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema_overrides={"duration_s": pl.Float32}, infer_schema_length=None)


def found(known: dict[str, object], new: dict[str, object]) -> bool:
    return match(tracks(known), tracks(new)).pairs.height == 1


def read_pairs(name: str) -> pl.DataFrame:
    pairs = pl.read_csv(Path(__file__).with_name(name), schema_overrides=TEXTS).with_row_index("track_id")
    return pairs.with_columns(pl.col("track_id").cast(pl.String))


def side(pairs: pl.DataFrame, of: str) -> pl.DataFrame:
    return pairs.select("track_id", title=f"{of}_title", artist=f"{of}_artist", duration_s=f"{of}_s")


def apart(pairs: pl.DataFrame) -> list[pl.DataFrame]:
    """Batches in which no pair shares an artist or a longer word with another, so that each is judged by itself."""
    batches: list[tuple[set[str], list[str]]] = []
    for row in pairs.iter_rows(named=True):
        texts = [row[name].casefold() for name in TEXTS]
        words = {
            texts[1],
            texts[3],
            *(word for text in texts for word in re.findall(r"\w{4,}|[^\W\x00-\u02ff]+", text)),
        }
        seen, rows = next((batch for batch in batches if not words & batch[0]), (set[str](), list[str]()))
        if not rows:
            batches.append((seen, rows))
        seen |= words
        rows.append(row["track_id"])
    return [pairs.filter(pl.col("track_id").is_in(rows)) for _, rows in batches]


@pytest.mark.parametrize(("file", "at_least", "recall"), [("pairs.csv", 500, 0.88), ("later_pairs.csv", 100, 0.9)])
def test_of_labelled_pairs_hardly_any_is_matched_falsely_and_most_are_found(
    file: str, at_least: int, recall: float
) -> None:
    """`pairs.csv` was written before the matching, `later_pairs.csv` after it; when it was asked about the latter for
    the first time, it found 53 of 56 and no false one."""
    pairs = read_pairs(file)
    matched = pairs["track_id"].is_in(
        [
            new
            for batch in apart(pairs)
            for new, known in match(side(batch, "a"), side(batch, "b")).pairs.select("new_id", "known_id").iter_rows()
            if new == known
        ]
    )
    same = pairs["same"] == 1
    right, all_matched, all_same = (int((matched & same).sum()), int(matched.sum()), int(same.sum()))
    print(f"{file}: {pairs.height} pairs, precision {right / all_matched:.3f}, recall {right / all_same:.3f}")
    assert pairs.height >= at_least
    assert 0.4 < all_same / pairs.height < 0.6
    assert right / all_matched >= PRECISION, pairs.filter(matched & ~same).rows()
    assert right / all_same >= recall, pairs.filter(~matched & same).rows()


def test_among_all_songs_of_the_pairs_each_finds_its_own_or_one_that_is_written_alike() -> None:
    pairs = read_pairs("pairs.csv")
    own = match(side(pairs, "a"), side(pairs, "b")).pairs.filter(pl.col("new_id") == pl.col("known_id"))
    assert own.height > 150
    assert own.join(pairs, left_on="new_id", right_on="track_id")["same"].min() == 1


def test_the_recording_s_id_counts_most_then_the_isrc_then_the_name() -> None:
    mbid = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
    known = tracks(
        track("Rain", "Ann", 200, isrc="GBAYE0601498"),
        track("Snow", "Ann", 200, mbid=mbid),
        track("Hail", "Ann", 200),
    )
    new = tracks(
        track("Hail", "Ann", 200, mbid=mbid.upper(), isrc="GBAYE0601498") | {"track_id": "by recording"},
        track("Hail", "Ann", 200, isrc="GB-AYE-06-01498") | {"track_id": "by isrc"},
        track("hail", "ann", 200, isrc="unknown") | {"track_id": "by name"},
    )
    pairs = match(known, new).pairs
    assert pairs["known_id"].to_list() == ["Ann/Snow", "Ann/Rain", "Ann/Hail"]
    assert pairs["by"].to_list() == ["mbid", "isrc", "name"]
    assert pairs["score"].is_sorted(descending=True)


def test_of_several_recordings_the_one_of_this_length_is_meant_then_the_one_of_this_album() -> None:
    known = tracks(
        track("Rain", "Ann", 205, album="Weather") | {"track_id": "long"},
        track("Rain", "Ann", 200, album="Weather") | {"track_id": "short"},
        track("Rain", "Ann", 200, album="Hits") | {"track_id": "hit"},
    )
    new = tracks(
        track("Rain", "Ann", 205) | {"track_id": "a"},
        track("Rain", "Ann", 200, album="hits") | {"track_id": "b"},
        track("Rain", "Ann", 200) | {"track_id": "c"},
        track("Rain", "Ann", None, album="Hits") | {"track_id": "d"},
        track("Rain", "Ann", 290) | {"track_id": "e"},
    )
    matching = match(known, new)
    assert dict(matching.pairs.select("new_id", "known_id").iter_rows()) == {
        "a": "long",
        "b": "hit",
        "c": "short",
        "d": "hit",
    }
    assert matching.unmatched["new_id"].to_list() == ["e"]


def test_intros_of_an_artist_are_told_apart_by_length_or_album_or_not_matched() -> None:
    known = track("Intro", "Ann", 60, album="One")
    assert not found(known, track("Intro", "Ann"))
    assert not found(known, track("Intro", "Ann", None, album="Two"))
    assert found(known, track("Intro", "Ann", None, album="One"))
    assert found(known, track("Intro", "Ann", 61))


def test_what_is_not_matched_comes_with_the_nearest_guess() -> None:
    known = tracks(track("Summer Rain", "Ann", 200), track("Winter", "Ann", 180), track("Thunder", "Bob", 210))
    new = tracks(
        track("Summer Pain", "Ann", 230),
        track("Thunder", "Carl", 100),
        track("Ten Thousand Birds", "Dora"),
        track(None, None),
    )
    matching = match(known, new)
    assert matching.pairs.is_empty()
    guesses = matching.unmatched
    assert guesses["new_id"].to_list() == new["track_id"].to_list()
    assert guesses["known_id"].to_list() == ["Ann/Summer Rain", "Bob/Thunder", None, None]
    assert guesses["title"].to_list() == ["Summer Rain", "Thunder", None, None]
    assert guesses["artist"].to_list() == ["Ann", "Bob", None, None]
    assert 0.9 < guesses["score"][0] < 1


def test_every_new_track_is_either_matched_once_or_unmatched() -> None:
    pairs = read_pairs("pairs.csv")
    known, new = side(pairs, "a").drop("duration_s"), side(pairs, "b")
    matching = match(known, new)
    told = [*matching.pairs["new_id"], *matching.unmatched["new_id"]]
    assert sorted(told) == sorted(new["track_id"])
    assert set(matching.pairs["known_id"]) <= set(known["track_id"])


@pytest.mark.parametrize("empty", ["known", "new", "both"])
def test_empty_tables_and_tables_of_nothing_but_ids_match_nothing(empty: str) -> None:
    none = pl.DataFrame(schema={"track_id": pl.String})
    some = pl.DataFrame({"track_id": ["a", "b"]})
    known, new = none if empty != "new" else some, none if empty != "known" else some
    assert_nothing(match(known, new), new.height)
    assert_nothing(match(some, some), 2)


def assert_nothing(matching: Matching, rows: int) -> None:
    assert matching.pairs.is_empty()
    assert matching.unmatched.height == rows
    assert matching.unmatched["known_id"].null_count() == rows


def test_a_table_matches_itself_and_its_order_changes_nothing() -> None:
    known = side(read_pairs("later_pairs.csv"), "a").unique(["title", "artist"], keep="first", maintain_order=True)
    known = known.filter(pl.col("artist") != "Various Artists")
    pairs = match(known, known).pairs
    assert pairs["new_id"].to_list() == pairs["known_id"].to_list() == known["track_id"].to_list()
    turned = match(known.reverse(), known.sort("title")).pairs
    assert turned.sort("new_id").equals(pairs.sort("new_id"))


def test_of_many_equal_songs_the_first_few_are_looked_at_and_the_rest_is_told() -> None:
    songs = tracks(*(track("Rain", "Ann", 20.0 * number + 10) | {"track_id": str(number)} for number in range(300)))
    matching = match(songs, songs)
    assert matching.pairs["new_id"].to_list() == matching.pairs["known_id"].to_list() == [str(n) for n in range(30)]
    assert matching.unmatched.height == 270
    assert matching.unmatched["known_id"].null_count() == 0
