"""Importer "music4all-onion": Last.fm listening with precomputed features, and the metadata of Music4All.

Listens come from userid_trackid_timestamp, times taken as UTC; only where that file is not there from
userid_trackid_count, which knows no times (play_counts.py). Titles and artists are no part of Onion: they
are Music4All's, which its authors give on request, and are read where they lie in the same folder.

A dataset has one kind of features. Of several feature files the first of FEATURES that is there is taken, then any
other by name; the run says which. To choose another, leave only that one in the folder.
"""

import ast
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import polars as pl

from data.importers.data_set import DataSet
from data.importers.formats.delimited import PACKED, blocks, find, named_records, nothing_found, refuse, rejected
from data.importers.own_tables.parsing import parse
from data.importers.public.play_counts import one_listen_each
from data.reporting import logger
from data.tables import STRINGS, TIME, TablePart

log = logger(__name__)

TIMES, COUNTS, TAGS = "userid_trackid_timestamp.tsv", "userid_trackid_count.tsv", "id_tags_dict.tsv"
MUSIC4ALL: dict[str, dict[str, str]] = {
    "id_information.csv": {"song": "title", "artist": "artist", "album_name": "album"},
    "id_genres.csv": {"genres": "genres"},
    "id_tags.csv": {"tags": "tags"},
    "id_metadata.csv": {"release": "release_date", "duration_ms": "duration_s"},
    "id_lang.csv": {"lang": "language"},
}
"Files of Music4All, tab-separated in spite of their names, and the columns of the contract that theirs become."
FEATURES = ("essentia", "maest", "jukebox", "musicnn", "ivec1024", "ivec512", "ivec256", "mfcc_stats", "mfcc_bow")
"What features are taken from, first choice first: of the sound before lyrics and pictures, named descriptors first."
MOST_TAGS = 20
"Of id_tags_dict, those with the most weight."


def read(path: Path) -> Iterator[TablePart]:
    """Listens, tracks as far as metadata is there, and features from one file."""
    times, counts = find(path, TIMES), find(path, COUNTS)
    features = _feature_files(path)
    metadata = [name for name in (*MUSIC4ALL, TAGS) if find(path, name)]
    if not (times or counts or features or metadata):
        raise nothing_found(path, [TIMES, COUNTS, "id_essentia.tsv", *MUSIC4ALL], f"--path is {DATA_SET.files}.")
    if times:
        yield from _timed(times)
    elif counts:
        for block, bad in named_records(counts, "listens", ("user_id", "track_id", "count")):
            listens, more = one_listen_each(block, counts)
            yield from (("rejects", bad), ("rejects", more), ("listens", listens))
    if metadata:
        yield from _tracks(path, metadata)
    if features:
        others = f" (also there: {', '.join(file.name for file in features[1:])})" if features[1:] else ""
        log.info(f"features: {features[0].name}{others}")
        yield from _features(features[0])


def _timed(file: Path) -> Iterator[TablePart]:
    at = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
    for block, bad in named_records(file, "listens", ("user_id", "track_id", "timestamp")):
        good, more = refuse(block, pl.when(at.is_null()).then(pl.lit("timestamp cannot be read")), "listens", file)
        yield from (("rejects", bad), ("rejects", more))
        yield "listens", good.select("user_id", "track_id", listened_at=at.cast(TIME))


def _tracks(folder: Path, names: Sequence[str]) -> Iterator[TablePart]:
    """One part: a catalogue of 109,269 tracks, of which each file tells something else."""
    said: list[pl.DataFrame] = []
    for name in names:
        file = find(folder, name)
        assert file is not None
        blocks_: list[pl.DataFrame] = []
        for block, bad in named_records(file, "tracks", ("id",)):
            yield "rejects", bad
            plain = block.with_columns(_unquoted(pl.all()))
            blocks_.append(_weighted(plain) if name == TAGS else _contract(plain, MUSIC4ALL[name]))
        told = pl.concat(blocks_).unique("track_id", keep="first", maintain_order=True)
        if name != TAGS or not any("tags" in frame.columns for frame in said):
            said.append(told)
    joined = reduce(lambda left, right: left.join(right, "track_id", "full", coalesce=True), said)
    yield "tracks", joined.sort("track_id")


def _contract(block: pl.DataFrame, columns: dict[str, str]) -> pl.DataFrame:
    found = {"track_id": block["id"]}
    for theirs, ours in columns.items():
        if theirs not in block.columns:
            continue
        values = block[theirs]
        if ours in ("genres", "tags"):
            found[ours] = pl.Series([_separated(text) for text in values], dtype=STRINGS)
        elif ours == "release_date":
            found[ours] = parse(values, pl.Date)
        elif ours == "duration_s":
            found[ours] = (parse(values, pl.Float64) / 1000).cast(pl.Float32)
        else:
            found[ours] = parse(values, pl.String)
    return pl.DataFrame(found)


def _separated(text: str | None) -> list[str] | None:
    return list(dict.fromkeys(item for part in (text or "").split(",") if (item := part.strip()))) or None


def _weighted(block: pl.DataFrame) -> pl.DataFrame:
    """Tags from a Python dictionary of tag and weight; null where it is none."""
    tags = [_heaviest(text) for text in block.to_series(1)]
    return pl.DataFrame({"track_id": block["id"], "tags": pl.Series(tags, dtype=STRINGS)})


def _heaviest(text: str | None) -> list[str] | None:
    try:
        weights = ast.literal_eval(text or "")
        ordered = sorted(weights, key=lambda tag: -float(weights[tag]))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return [str(tag) for tag in ordered[:MOST_TAGS]] or None


def _unquoted(field: pl.Expr) -> pl.Expr:
    """CSV's quotes around a field, and its doubled ones within, taken off; other quotes are the text's own."""
    quoted = field.str.contains(r'^"([^"]|"")*"$')
    inner = field.str.slice(1, field.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    return pl.when(quoted).then(inner).otherwise(field)


def _feature_files(folder: Path) -> list[Path]:
    """Feature files that are there, the one to take first."""
    names = {file.name.removesuffix(end): file for end in reversed(PACKED) for file in folder.glob(f"id_*.tsv{end}")}
    names = {name: file for name, file in names.items() if name != TAGS}
    preferred = [f"id_{kind}.tsv" for kind in FEATURES]
    order = sorted(names, key=lambda name: (preferred.index(name) if name in preferred else len(preferred), name))
    return [names[name] for name in order]


def _features(file: Path) -> Iterator[TablePart]:
    """A list a track. A field that is no number is a missing value, for which validation rejects the row."""
    width = 0
    for lines in blocks(file):
        if not width:
            width, lines = lines[0].count("\t"), lines[1:]
        kept = pl.Series("line", [line for line in lines if line.strip()], pl.String)
        wide = kept.str.count_matches("\t", literal=True)
        reasons = pl.format("{} values, the first line names {}", wide.filter(wide != width), pl.lit(width))
        yield "rejects", rejected("features", file, pl.select(reasons).to_series(), kept.filter(wide != width))
        fields = kept.filter(wide == width).str.split("\t")
        values = fields.list.slice(1).cast(pl.List(pl.Float32), strict=False)
        yield "features", pl.DataFrame({"track_id": fields.list.first(), "features": values})


DATA_SET = DataSet(
    name="music4all-onion",
    about="252,984,396 timed Last.fm listens of 119,140 listeners, 109,269 tracks with precomputed features",
    terms="Music4All-Onion: CC BY 4.0, as its record says; Music4All's metadata: on request, research only",
    source="https://zenodo.org/records/15394646 (Onion); https://sites.google.com/view/contact4music4all (Music4All)",
    files="a folder with userid_trackid_timestamp.tsv.bz2 (or userid_trackid_count.tsv.bz2), one or more of "
    "id_*.tsv.bz2 (id_essentia, ...), and id_information.csv, id_genres.csv, id_tags.csv, id_metadata.csv, id_lang.csv",
    read=read,
    ordered=lambda path: find(path, TIMES) is not None or find(path, COUNTS) is None,
)
