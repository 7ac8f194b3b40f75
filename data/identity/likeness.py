"""Tracks whose title or artist is misspelt, and the nearest guess for those that nothing fits.

Only tracks of one artist, or of one title, are compared, so that a hundred thousand songs take seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from data.identity.agreement import lengths_agree, near, same_artists, told_apart, with_facts

LEAST_LIKE = 92.0
"Per cent that two titles of an artist, or two names of artists with a title, must have in common."
CERTAIN = 96.0
"The same where no length says it."
LEAST_WORD = 75.0
"What two words that stand in the same place must have in common."
SHORTEST_WORD, SHORTEST_NAME, LONG_TITLE = 4, 8, 20
"Letters: a shorter word or name is another one when a letter differs; in a long title an ending may be a slip."
OF_WORDS = "s es d ed er ers r ing in y ies n en a e i o u"
ENDINGS = frozenset({"", *OF_WORDS.split()})
"What makes another word of one, as a slip seldom does."
LARGEST_BLOCK = 4_000_000
"Comparisons within one artist or title; where there would be more, only what begins alike is, and of that the first."
LARGEST_SEARCH = 20_000_000
"Comparisons with the whole catalogue, for guesses."
LEAST_GUESS = 50.0
MOST_ALIKE = 20
"Tracks that one may be a misspelling of."
PAIRS: dict[str, pl.DataType | type[pl.DataType]] = {"row": pl.UInt32, "known_row": pl.UInt32, "like": pl.Float64}


def alike(there: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Pairs (row, known_row, by "likeness", score) of tracks that one slip of the pen explains."""
    by_artist = _pairs(there, left, "names", "text")
    by_title = _pairs(there, left, "titles", "whole")
    titles = with_facts(by_artist, there, left).filter(
        (pl.col("guard") == pl.col("guard_known"))
        & (pl.col("foreign").is_null() | pl.col("foreign_known").is_null())
        & same_artists()
        & lengths_agree()
        & told_apart()
        & (near() | (pl.col("like") >= CERTAIN))
    )
    slips = [
        _is_slip(one.split(), other.split(), certain)
        for one, other, certain in titles.select("text", "text_known", near()).iter_rows()
    ]
    titles = titles.filter(pl.Series(slips, dtype=pl.Boolean))
    names = with_facts(by_title, there, left).filter(
        near()
        & told_apart()
        & (pl.min_horizontal(pl.col("whole").str.len_chars(), pl.col("whole_known").str.len_chars()) >= SHORTEST_NAME)
        & (pl.col("whole").str.head(1) == pl.col("whole_known").str.head(1))
    )
    whole = names.select("whole", "whole_known").iter_rows()
    names = names.filter(pl.Series([_is_slip([one], [other], True) for one, other in whole], dtype=pl.Boolean))
    found = pl.concat(pairs.select("row", "known_row", "like", "apart") for pairs in (titles, names))
    best = found.sort("row", -pl.col("like"), "apart", "known_row", nulls_last=True)
    return best.unique("row", keep="first", maintain_order=True).select(
        "row", "known_row", by=pl.lit("likeness"), score=pl.col("like") / 100
    )


def nearest(there: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Per track (row, known_row, score) the most alike of its artist, else of its title, else of all if few are."""
    found = []
    for of, text, least in (("names", "text", LEAST_GUESS), ("titles", "whole", 0.0), (None, "text", LEAST_GUESS)):
        best: dict[int, tuple[float, int]] = {}
        for new_rows, known_rows, likes in _compare(there, left, of, text, least):
            first = likes.argmax(axis=1)
            for row, at, like in zip(new_rows, first, likes[np.arange(len(first)), first], strict=True):
                if like >= least and (row not in best or best[row] < (like, -known_rows[at])):
                    best[row] = (float(like), -known_rows[at])
        rows = [(row, -other, like) for row, (like, other) in best.items()]
        found.append(pl.DataFrame(rows, PAIRS, orient="row"))
        left = left.join(found[-1], "row", "anti", maintain_order="left")
    return pl.concat(found).sort("row").select("row", "known_row", score=pl.col("like") / 100)


def _pairs(there: pl.DataFrame, left: pl.DataFrame, of: str, text: str) -> pl.DataFrame:
    """Pairs (row, known_row, like) of tracks with a value of `of` in common whose texts are nearly alike.

    Of those that one track is like to the first MOST_ALIKE: with more it is no slip, but a way to number songs.
    """
    found: list[tuple[int, int, float]] = []
    for new_rows, known_rows, likes in _compare(there, left, of, text, LEAST_LIKE):
        hits = likes >= LEAST_LIKE
        hits &= np.cumsum(hits, axis=1) <= MOST_ALIKE
        found += [(new_rows[at], known_rows[to], float(likes[at, to])) for at, to in np.argwhere(hits)]
    return pl.DataFrame(found, PAIRS, orient="row").unique(["row", "known_row"])


def _compare(
    there: pl.DataFrame, left: pl.DataFrame, of: str | None, text: str, least: float
) -> Iterator[tuple[list[int], list[int], NDArray[np.float32]]]:
    """Rows asked, rows known, and (asked, known) how much their texts are alike, 0 below `least`; block by block.

    A block is what has a value of `of` in common, or all against all if that is None and they are few.
    """
    known, asked = (dict(side.filter(pl.col(text) != "").select("row", text).iter_rows()) for side in (there, left))
    blocks = _all(known, asked) if of is None else _blocks(there, left, of, known, asked)
    for new_rows, known_rows in blocks:
        likes = process.cdist(
            [asked[row] for row in new_rows],
            [known[row] for row in known_rows],
            scorer=fuzz.ratio,
            score_cutoff=least,
            dtype=np.float32,
        )
        yield new_rows, known_rows, likes


def _all(known: dict[int, str], asked: dict[int, str]) -> Iterator[tuple[list[int], list[int]]]:
    if known and len(known) * len(asked) <= LARGEST_SEARCH:
        step, rows = max(1, LARGEST_BLOCK // len(known)), list(asked)
        yield from ((rows[at : at + step], list(known)) for at in range(0, len(rows), step))


def _blocks(
    there: pl.DataFrame, left: pl.DataFrame, of: str, known: dict[int, str], asked: dict[int, str]
) -> Iterator[tuple[list[int], list[int]]]:
    by_value = _rows_of(there, of, known)
    for value, new_rows in _rows_of(left, of, asked).items():
        known_rows = by_value.get(value, [])
        if not known_rows or len(new_rows) * len(known_rows) <= LARGEST_BLOCK:
            yield from [(new_rows, known_rows)] if known_rows else []
            continue
        beginnings = _by_beginning(known_rows, known)
        for beginning, some in _by_beginning(new_rows, asked).items():
            others = beginnings.get(beginning, [])[: LARGEST_BLOCK // len(some)]
            if others:
                yield some, others


def _rows_of(side: pl.DataFrame, of: str, texts: dict[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row, value in side.select("row", of).explode(of).drop_nulls().unique(maintain_order=True).iter_rows():
        if row in texts:
            found[value].append(row)
    return found


def _by_beginning(rows: Iterable[int], texts: dict[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        found[texts[row][:4]].append(row)
    return found


def _is_slip(one: Sequence[str], other: Sequence[str], certain: bool) -> bool:
    """Whether a slip of the pen explains what differs; certain: the lengths are the same."""
    if len(one) != len(other):
        return False
    differing = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    long = sum(map(len, one)) >= LONG_TITLE and certain
    return 0 < len(differing) <= 2 and all(_is_slip_of_word(a, b, long) for a, b in differing)


def _is_slip_of_word(one: str, other: str, long: bool) -> bool:
    if min(len(one), len(other)) < SHORTEST_WORD or one[0] != other[0] or fuzz.ratio(one, other) < LEAST_WORD:
        return False
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return long or not (one[shared:] in ENDINGS and other[shared:] in ENDINGS)
