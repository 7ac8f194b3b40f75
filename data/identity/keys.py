"""A table of tracks in the form in which identities are compared: a row per track, and a row per key of it."""

from functools import lru_cache

import polars as pl

from data.identity.codes import isrcs, recording_ids
from data.identity.normalise import Title, fold, guard, is_latin, joined, latin, names_of, read_title, whole_name

COLUMNS = {
    "track_id": pl.String,
    "title": pl.String,
    "artist": pl.String,
    "album": pl.String,
    "duration_s": pl.Float32,
    "mbid": pl.String,
    "isrc": pl.String,
}
"What is read of a table of tracks; a column that it lacks is null."
OF_ALBUMS = "intro outro interlude untitled skit prelude introduction prologue epilogue overture bonus"
GENERIC = frozenset(OF_ALBUMS.split())
"Titles that an artist gives to a song on every album."
FORMS: dict[str, pl.DataType | type[pl.DataType]] = {
    "titles": pl.List(pl.String),
    "foreign": pl.String,
    "short": pl.String,
    "source": pl.String,
    "text": pl.String,
    "guard": pl.String,
    "names": pl.List(pl.String),
    "lead": pl.String,
    "whole": pl.String,
    "others": pl.List(pl.String),
    "generic": pl.Boolean,
}


def forms(tracks: pl.DataFrame) -> pl.DataFrame:
    """One row per track, in order: `row`, its ids, title, length and album; then title and artist as they are compared.

    titles: keys of the whole title. foreign: the key in Latin letters of a title in another script. short: the key
    without a subtitle; source: the film it is from. text: words in Latin letters; guard: those that likeness must not
    overlook. names: artists and guests, the leading one first; whole: all in one; others: artists behind the first.
    """
    given = tracks.select(
        (pl.col(name) if name in tracks.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in COLUMNS.items()
    )
    read = lru_cache(100_000)(_form)
    rows = [read(title or "", artist or "") for title, artist in given.select("title", "artist").iter_rows()]
    columns = zip(*rows, strict=True) if rows else ((),) * len(FORMS)
    read_ = {name: pl.Series(values, dtype=kind) for (name, kind), values in zip(FORMS.items(), columns, strict=True)}
    return given.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        "track_id",
        "title",
        mbid=recording_ids(pl.col("mbid")),
        isrc=isrcs(pl.col("isrc")),
        length=pl.when(pl.col("duration_s") > 0).then("duration_s"),
        album=pl.col("album").str.to_lowercase().str.replace_all(r"[\W_]+", ""),
    ).with_columns(**read_)


def _form(title: str, artist: str) -> tuple[object, ...]:
    read = read_title(title, artist) if fold(title) else Title([], [], "", None, None, None)
    artist = read.artist or artist
    named = names_of(artist)
    guests = names_of(read.guests) if read.guests else ()
    names = list(dict.fromkeys((*named, *guests)))
    text = " ".join(read.words)
    foreign = None if is_latin(text) else joined(text)
    return (
        read.keys,
        foreign,
        read.short,
        read.source,
        latin(text),
        " ".join(guard(read.words)),
        names,
        names[0] if names else None,
        whole_name(artist) or None,
        list(named[1:]),
        not GENERIC.isdisjoint(read.words) and all(word in GENERIC or word.isdigit() for word in read.words),
    )
