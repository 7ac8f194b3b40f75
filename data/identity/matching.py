"""Which new tracks are tracks that are known already?

In order, and what one step has settled no later one asks: the MusicBrainz recording, the ISRC, artist and title as
`normalise` spells them, the same through a table of letters (Кино is Kino), without a subtitle or a cut's name where
the lengths agree, and at last likeness (`likeness.py`). A wrong match gives a listener songs he never played, a missed
one is only told; so live is not studio, Part I not Part II, and where lengths are known they must agree.
"""

from dataclasses import dataclass

import polars as pl

from data.identity.agreement import lengths_agree, near, same_album, same_artists, told_apart, with_facts
from data.identity.keys import forms
from data.identity.likeness import alike, nearest

MOST_EQUAL = 30
"Tracks of one artist with one title that are looked at."
SCORES = {"mbid": 1.0, "isrc": 1.0, "name": 0.99, "letters": 0.97, "short": 0.95}
"Per step; less by .02 where a length is unknown. By likeness the score is the likeness."

UNMATCHED = ("new_id", "known_id", "title", "artist", "score")


@dataclass(frozen=True)
class Matching:
    """pairs: new_id, known_id, by, score; a new track once, a known one as often as it comes.

    unmatched: new_id of every other new track, and the known one nearest to it with its title, artist and likeness
    0..1; null where nothing is near.
    """

    pairs: pl.DataFrame
    unmatched: pl.DataFrame


def match(known: pl.DataFrame, new: pl.DataFrame) -> Matching:
    """Tables of tracks; of the columns of the contract any but track_id may be missing.

    Of several known tracks that fit, the one nearest in length, then of the same album, then with the same letters,
    then the first.
    """
    there, asked = forms(known), forms(new)
    found = [_none()]
    left = asked
    for by in ("mbid", "isrc"):
        pairs = _by_id(there, left, by)
        found.append(pairs)
        left = left.join(pairs, "row", "anti", maintain_order="left")
    for step in ("name", "letters", "short"):
        pairs = _by_name(there, left, step)
        found.append(pairs)
        left = left.join(pairs, "row", "anti", maintain_order="left")
    found.append(alike(there, left))
    pairs = pl.concat(found)
    left = left.join(pairs, "row", "anti", maintain_order="left")
    near = nearest(there, left)
    return Matching(_named(pairs, there, asked), _guessed(left, near, there, known))


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={"row": pl.UInt32, "known_row": pl.UInt32, "by": pl.String, "score": pl.Float64})


def _by_id(there: pl.DataFrame, left: pl.DataFrame, by: str) -> pl.DataFrame:
    first = there.select(by, known_row="row").drop_nulls().unique(by, keep="first", maintain_order=True)
    pairs = left.select("row", by).drop_nulls().join(first, by, maintain_order="left")
    return pairs.select("row", "known_row", by=pl.lit(by), score=pl.lit(SCORES[by]))


def _by_name(there: pl.DataFrame, left: pl.DataFrame, step: str) -> pl.DataFrame:
    """Pairs that share a key of their title and a name, and whose artists and lengths do not contradict each other."""
    whole, known = _keys(left, "name"), _known_keys(there, "name")
    sides = [(whole, known)]
    if step != "name":  # two titles in another script have been compared in it; two other subtitles are two songs
        sides = [(_keys(left, step), known), (whole, _known_keys(there, step))]
    rows = pl.concat([one.join(other, ["key", "name"]).select("row", "known_row") for one, other in sides]).unique()
    pairs = with_facts(rows, there, left)
    fits = same_artists() & told_apart() & (near() if step == "short" else lengths_agree())
    written = (pl.col("title") != pl.col("title_known")).fill_null(True)
    best = pairs.filter(fits).sort("row", "apart", ~same_album(), written, "known_row", nulls_last=True)
    score = SCORES[step] - pl.when(pl.col("apart").is_null()).then(0.02).otherwise(0.0)
    return best.unique("row", keep="first", maintain_order=True).select(
        "row", "known_row", by=pl.lit(step), score=score
    )


def _known_keys(there: pl.DataFrame, step: str) -> pl.DataFrame:
    """The keys of known tracks, of equal ones the first MOST_EQUAL: else 10,000 untitled songs were 10^8 pairs."""
    keys = _keys(there, step).sort("row", "key", "name")
    return keys.filter(pl.int_range(pl.len()).over("key", "name") < MOST_EQUAL).rename({"row": "known_row"})


def _keys(side: pl.DataFrame, step: str) -> pl.DataFrame:
    """row, key, name: a row for each key of a track's title and each name of its artist."""
    titles = side.select("row", key={"name": "titles", "letters": "foreign", "short": "short"}[step])
    titles = (titles.explode("key") if step == "name" else titles).drop_nulls()
    names = side.select("row", name=pl.concat_list("names", "whole")).explode("name").drop_nulls()
    return titles.join(names, "row").unique()


def _named(pairs: pl.DataFrame, there: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Pairs of rows as pairs of ids, in the order of the new tracks."""
    new = asked.select("row", new_id="track_id")
    known = there.select(known_row="row", known_id="track_id")
    named = pairs.join(new, "row").join(known, "known_row").sort("row")
    return named.select("new_id", "known_id", "by", "score")


def _guessed(left: pl.DataFrame, near: pl.DataFrame, there: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Tracks without a partner and their guesses, in order."""
    texts = {name: known[name] if name in known.columns else pl.lit(None, pl.String) for name in ("title", "artist")}
    shown = there.select(known_row="row", known_id="track_id").with_columns(**texts)
    guesses = left.select("row", new_id="track_id").join(near, "row", "left").join(shown, "known_row", "left")
    return guesses.sort("row").select(UNMATCHED)
