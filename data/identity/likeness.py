"""Tracks whose title or artist is misspelt, and the nearest guess for those that nothing fits.

Only tracks of one artist, or of one title, are compared, so that a hundred thousand songs take seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl
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
"Comparisons within one artist or title; where there would be more, only what begins alike is compared."
LARGEST_SEARCH = 20_000_000
"Comparisons with the whole catalogue, for guesses."
LEAST_GUESS = 50.0


def alike(there: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Pairs (row, known_row, by "likeness", score) of tracks that one slip of the pen explains."""
    by_artist = _compare(there, left, "names", "text", LEAST_LIKE)
    by_title = _compare(there, left, "titles", "whole", LEAST_LIKE)
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
    found = [_best(_compare(there, left, "names", "text", LEAST_GUESS))]
    for of, text in (("titles", "whole"), (None, "text")):
        left = left.join(found[-1], "row", "anti", maintain_order="left")
        found.append(_best(_compare(there, left, of, text, LEAST_GUESS if of is None else 0.0)))
    return pl.concat(found).sort("row").select("row", "known_row", score=pl.col("like") / 100)


def _best(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.sort("row", -pl.col("like"), "known_row").unique("row", keep="first", maintain_order=True)


def _compare(there: pl.DataFrame, left: pl.DataFrame, of: str | None, text: str, least: float) -> pl.DataFrame:
    """Pairs (row, known_row, like) of tracks with a value of `of` in common whose texts are at least so much alike.

    Of each track the most alike alone where `of` is None and all tracks are compared.
    """
    known, asked = (dict(side.filter(pl.col(text) != "").select("row", text).iter_rows()) for side in (there, left))
    found: dict[tuple[int, int], float] = {}
    for new_rows, known_rows in _blocks(there, left, of, known, asked):
        likes = process.cdist(
            [asked[row] for row in new_rows],
            [known[row] for row in known_rows],
            scorer=fuzz.ratio,
            score_cutoff=least,
            dtype=np.float32,
        )
        for one, other in np.argwhere(likes > 0 if least else likes >= 0):
            found[new_rows[one], known_rows[other]] = float(likes[one, other])
    rows = [(row, known_row, like) for (row, known_row), like in found.items()]
    return pl.DataFrame(rows, {"row": pl.UInt32, "known_row": pl.UInt32, "like": pl.Float64}, orient="row")


def _blocks(
    there: pl.DataFrame, left: pl.DataFrame, of: str | None, known: dict[int, str], asked: dict[int, str]
) -> Iterator[tuple[list[int], list[int]]]:
    if of is None:
        if len(known) * len(asked) <= LARGEST_SEARCH and known and asked:
            step = max(1, LARGEST_BLOCK // len(known))
            rows = list(asked)
            yield from ((rows[at : at + step], list(known)) for at in range(0, len(rows), step))
        return
    wanted = _rows_of(left, of, asked)
    there_ = _rows_of(there, of, known)
    for value, new_rows in wanted.items():
        known_rows = there_.get(value)
        if known_rows is None:
            continue
        if len(new_rows) * len(known_rows) <= LARGEST_BLOCK:
            yield new_rows, known_rows
            continue
        beginnings = _by_beginning(known_rows, known)
        for beginning, some in _by_beginning(new_rows, asked).items():
            if beginning in beginnings and len(some) * len(beginnings[beginning]) <= LARGEST_BLOCK:
                yield some, beginnings[beginning]


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
