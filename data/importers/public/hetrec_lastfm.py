"""Importer "hetrec-lastfm": HetRec 2011 Last.fm 2K. The artists are the items; tags describe artists.

`weight` counts a listener's plays of an artist, at no known time: play_counts.py turns it into listens.
Friends (user_friends.dat) and when a tag was given are left out; the contract has no place for them.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.importers.data_set import DataSet
from data.importers.formats.delimited import find, named_records, nothing_found, refuse
from data.importers.public.play_counts import one_listen_each
from data.tables import TablePart

MOST_TAGS = 20
"Of an artist, those given most often; the tail is jokes and misspellings."
TAGGED = ("user_taggedartists-timestamps.dat", "user_taggedartists.dat")


def read(path: Path) -> Iterator[TablePart]:
    """Listens from user_artists.dat, tracks from artists.dat with the tags given to them."""
    plays = find(path, "user_artists.dat")
    if plays is None:
        raise nothing_found(path, ["user_artists.dat"], f"--path is {DATA_SET.files}.")
    for block, bad in named_records(plays, "listens", ("userID", "artistID", "weight")):
        yield "rejects", bad
        counts = block.rename({"userID": "user_id", "artistID": "track_id", "weight": "count"})
        listens, bad = one_listen_each(counts, plays)
        yield "rejects", bad
        yield "listens", listens
    artists = find(path, "artists.dat")
    if artists is not None:
        yield from _artists(artists, path)


def _artists(artists: Path, folder: Path) -> Iterator[TablePart]:
    parts = list(named_records(artists, "tracks", ("id", "name")))
    names = pl.concat([block.select(track_id="id", title="name", artist="name") for block, _ in parts])
    yield from (("rejects", bad) for _, bad in parts)
    given, vocabulary = next((file for name in TAGGED if (file := find(folder, name))), None), find(folder, "tags.dat")
    if given is None or vocabulary is None:
        yield "tracks", names
        return
    tags: list[pl.DataFrame] = []
    for block, bad in named_records(vocabulary, "tracks", ("tagID", "tagValue")):
        yield "rejects", bad
        tags.append(block.select(tag="tagID", value="tagValue").drop_nulls().unique("tag", keep="first"))
    known = pl.concat(tags).unique("tag", keep="first").with_columns(known=True)
    times = pl.DataFrame(schema={"track_id": pl.String, "tag": pl.String, "value": pl.String, "times": pl.UInt32})
    for block, bad in named_records(given, "tracks", ("artistID", "tagID")):
        yield "rejects", bad
        said = block.join(names.select(artistID="track_id", artist="artist").unique("artistID"), "artistID", "left")
        said = said.join(known.rename({"tag": "tagID"}), "tagID", "left", maintain_order="left")
        good, bad = refuse(said, _unknown(), "tracks", given, shown=block.columns)
        yield "rejects", bad
        counted = good.group_by(track_id="artistID", tag="tagID", value="value").agg(times=pl.len().cast(pl.UInt32))
        times = pl.concat([times, counted]).group_by("track_id", "tag", "value").agg(pl.col("times").sum())
    yield "tracks", names.join(_most_given(times), "track_id", "left", maintain_order="left")


def _unknown() -> pl.Expr:
    return (
        pl.when(pl.col("artist").is_null())
        .then(pl.lit("a tag of an artist that artists.dat does not have"))
        .when(pl.col("known").is_null())
        .then(pl.lit("a tag that tags.dat does not have"))
    )


def _most_given(times: pl.DataFrame) -> pl.DataFrame:
    """Each artist's tags, the one given most often first; of equals the one that came into use first."""
    order = times.sort("times", pl.col("tag").cast(pl.Int64, strict=False), "tag", descending=[True, False, False])
    return order.group_by("track_id", maintain_order=True).agg(tags=pl.col("value").head(MOST_TAGS))


DATA_SET = DataSet(
    name="hetrec-lastfm",
    about="1,892 Last.fm listeners, 17,632 artists as items, 92,834 play counts without times, 186,479 tags",
    terms="non-commercial use only; cite Last.fm and HetRec 2011 (Cantador, Brusilovsky, Kuflik)",
    source="https://grouplens.org/datasets/hetrec-2011/",
    files="the folder of hetrec2011-lastfm-2k: user_artists.dat, artists.dat, tags.dat, "
    "user_taggedartists-timestamps.dat or user_taggedartists.dat",
    read=read,
    ordered=lambda path: False,
)
