"""Importer "lastfm-1k": every play of nearly 1,000 Last.fm listeners, 2005 to 2009.

A line is user, time, MusicBrainz id of the artist, artist, MusicBrainz id of the track, track, with tabs between them
and no quoting: quotes belong to the names. Some names hold tabs and line ends all the same. So a play goes on until a
line begins with a user, and tabs too many belong to the names if it is plain which field is the track's id.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import polars as pl

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.archives import TARS, Member, members
from data.tables import LONGEST_CONTENT, REJECT_SCHEMA, TIME, TablePart

FILE = "userid-timestamp-artid-artname-traid-traname.tsv"
COLUMNS = ("user_id", "time", "artist_id", "artist", "mbid", "title")
BEGINS = r"^user_\d+\s"
MBID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
PUBLISHED = pl.datetime(2010, 5, 1, time_zone="UTC")
"Version 1.0 is of May 2010. Plays after it come from players whose clocks were wrong."
BETWEEN_NAMES = " :: "
"Between artist and title where they are the track's id; in no MusicBrainz id, and hardly in a name."
CHUNK = 8 * 2**20
MOST_LINES = 50
"More lines are no single play, but another kind of file."


def read(path: Path) -> Iterator[TablePart]:
    """Plays, tracks and rejects, chunk by chunk. `path` is the file, or a folder or an archive that holds it."""
    alone = path.is_file() and not path.name.lower().endswith((".zip", ".gz", *TARS))
    found = False
    for member in members(path, lambda name: alone or PurePosixPath(name).name == FILE):
        found = True
        for lines in _chunks(member):
            yield from _parts(lines, PurePosixPath(member.name).name)
    if not found:
        raise UserError(f"no {FILE} in {path}.", f"--path is {DATA_SET.files}.")


def _chunks(member: Member) -> Iterator[pl.DataFrame]:
    """The file's lines that are not blank: line (number, from 1), text, begins. A chunk ends where a play ends."""
    number, carried = 1, ""
    with member.open() as stream:
        while block := stream.read(CHUNK):
            text = carried + (block + stream.readline()).decode("utf-8", "replace")
            lines = pl.DataFrame({"text": text.removesuffix("\n").split("\n")}).select(
                line=pl.int_range(number, number + pl.len(), dtype=pl.Int64),
                text=pl.col("text"),
                begins=pl.col("text").str.contains(BEGINS),
            )
            begins = lines["begins"].arg_true().to_list()
            whole = begins[-1] if begins and lines.height - begins[-1] <= MOST_LINES else lines.height
            carried = "".join(f"{line}\n" for line in lines["text"][whole:])
            number += whole
            yield lines.head(whole).filter(pl.col("text").str.strip_chars() != "")
    # Only the last play of the file is left: its text may hold several lines, each of them ended.
    if carried:
        rest = carried.removesuffix("\n").split("\n")
        numbers = range(number, number + len(rest))
        lines = pl.DataFrame({"line": numbers, "text": rest}, {"line": pl.Int64, "text": pl.String})
        lines = lines.with_columns(begins=pl.col("text").str.contains(BEGINS))
        yield lines.filter(pl.col("text").str.strip_chars() != "")


def _parts(lines: pl.DataFrame, source: str) -> Iterator[TablePart]:
    fields = lines["text"].str.split("\t")
    plain = lines["begins"] & lines["begins"].shift(-1, fill_value=True) & (fields.list.len() == len(COLUMNS))
    plays = pl.DataFrame({"line": lines["line"], "fields": fields}).filter(plain)
    mended, rejects = _mend(lines.filter(~plain))
    plays = pl.concat([plays, pl.DataFrame(mended, plays.schema, orient="row")])
    named = plays.select("line", *(_tidy(pl.col("fields").list.get(at)).alias(name) for at, name in enumerate(COLUMNS)))
    named = named.with_columns(
        listened_at=pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False).cast(TIME),
        # A null in the middle of a concatenation makes the whole of it null.
        track_id=pl.coalesce("mbid", pl.concat_str("artist", pl.lit(BETWEEN_NAMES), "title")),
        position=-pl.col("line"),
    ).with_columns(
        reason=pl.when(pl.col("listened_at").is_null())
        .then(pl.lit("the time cannot be read"))
        .when(pl.col("listened_at") >= PUBLISHED)
        .then(pl.lit("a time after the data set was published"))
        .when(pl.col("track_id").is_null())
        .then(pl.lit("neither a track id nor artist and title"))
    )
    good = named.filter(pl.col("reason").is_null())
    yield "tracks", good.unique("track_id", keep="first", maintain_order=True).select("track_id", "title", "artist")
    # The file has the newest play first; positions from last to first put plays of the same second in their order.
    yield "listens", good.select("user_id", "track_id", "listened_at", "position")
    bad = named.filter(pl.col("reason").is_not_null())
    content = pl.concat_str([pl.col(name).fill_null("") for name in COLUMNS], separator="\t")
    rejects += bad.select("line", "reason", content).rows()
    rows = [("listens", f"{source}:{line}", reason, text[:LONGEST_CONTENT]) for line, reason, text in rejects]
    yield "rejects", pl.DataFrame(rows, REJECT_SCHEMA, orient="row")


def _tidy(value: pl.Expr) -> pl.Expr:
    """One line without blanks around it; null where nothing is left."""
    value = value.str.replace_all(r"[\t\r\n]+", " ").str.strip_chars()
    return pl.when(value != "").then(value)


def _mend(lines: pl.DataFrame) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str, str]]]:
    """Plays that are not one line of six fields: first line and fields; and lines that are no play, with the reason."""
    plays: list[tuple[int, list[str]]] = []
    bad: list[tuple[int, str, str]] = []
    records: list[list[tuple[int, str]]] = []
    for line, text, begins in lines.iter_rows():
        if begins or not records:
            records.append([])
        records[-1].append((line, text))
    for record in records:
        first, text = record[0]
        fields = _six("\n".join(text for _, text in record))
        if fields is not None and re.match(BEGINS, text):
            plays.append((first, fields))
            continue
        if text.count("\t") == len(COLUMNS) - 1 and re.match(BEGINS, text):
            plays.append((first, text.split("\t")))
            record = record[1:]
        bad += [(line, _blame(text), text) for line, text in record]
    return plays, bad


def _six(text: str) -> list[str] | None:
    """Six fields, those too many added to the names they belong to; None where that is not plain."""
    fields = text.split("\t")
    places = range(4, len(fields) - 1)
    ids = [at for at in places if MBID.fullmatch(fields[at])] or [at for at in places if not fields[at].strip()]
    if len(fields) == len(COLUMNS):
        ids = [4]
    if len(ids) != 1:
        return None
    at = ids[0]
    return [*fields[:3], "\t".join(fields[3:at]), fields[at], "\t".join(fields[at + 1 :])]


def _blame(text: str) -> str:
    if not re.match(BEGINS, text):
        return "begins with no listener"
    count = text.count("\t") + 1
    return f"not {len(COLUMNS)} fields but {count}"


DATA_SET = DataSet(
    name="lastfm-1k",
    about="Last.fm Dataset - 1K users: 19,150,868 plays of 992 listeners, February 2005 to May 2009",
    terms="non-commercial use, with permission of Last.fm; commercial use: partners at last.fm",
    source="http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",
    files=f"the folder with {FILE}, or the lastfm-dataset-1K.tar.gz that was published",
    read=read,
)
