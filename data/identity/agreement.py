"""What two tracks that may be one must agree in: who plays, and how long.

Everything here is a Polars expression over pairs of tracks, the known one's columns with `_known` behind their names.
"""

import polars as pl

NEAR_S = 2.0
"Seconds that two lengths differ by where only they say that it is the same."
LEAST_S, MOST_S, SHARE = 4.0, 15.0, 0.04
"""Where title and artist agree, lengths may differ by a twenty-fifth, by 4 seconds at least and 15 at most: silence at
the end, a fade, a film's opening."""


def with_facts(pairs: pl.DataFrame, there: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Pairs (row, known_row) with the columns of both tracks, and `apart`, the seconds between their lengths."""
    known = there.rename({name: f"{name}_known" for name in there.columns}).rename({"row_known": "known_row"})
    joined = pairs.join(asked, "row", maintain_order="left").join(known, "known_row", maintain_order="left")
    return joined.with_columns(apart=(pl.col("length") - pl.col("length_known")).abs())


def near() -> pl.Expr:
    """Both lengths are known and as good as the same."""
    return (pl.col("apart") <= NEAR_S).fill_null(False)


def lengths_agree() -> pl.Expr:
    """No two known lengths are too far apart."""
    longer = pl.max_horizontal("length", "length_known")
    return (pl.col("apart") <= (SHARE * longer).clip(LEAST_S, MOST_S)).fill_null(True)


def same_artists() -> pl.Expr:
    """The same names, or the same leading artist and not two sets of others; any name in common, if lengths say so.

    Karajan's Beethoven is not Kleiber's, though Beethoven leads both.
    """
    names, known = pl.col("names").list, pl.col("names_known")
    others, others_known = pl.col("others").list, pl.col("others_known")
    common = names.set_intersection(known).list.len() > 0
    equal = names.set_symmetric_difference(known).list.len() == 0
    apart = (others.len() > 0) & (others_known.list.len() > 0) & (others.set_intersection(others_known).list.len() == 0)
    lead = (pl.col("lead") == pl.col("lead_known")) & ~apart
    whole = pl.col("whole") == pl.col("whole_known")
    return (whole | (common & equal) | lead | (common & near())).fill_null(False)


def told_apart() -> pl.Expr:
    """Not from two films; and of an artist's intros the one of this length or album."""
    same_film = (pl.col("source") == pl.col("source_known")).fill_null(True)
    return same_film & (~(pl.col("generic") | pl.col("generic_known")) | near() | same_album())


def same_album() -> pl.Expr:
    """Both albums are known and have the same name."""
    return (pl.col("album") == pl.col("album_known")).fill_null(False)
