"""The tables of the data contract, and the one place where rows are validated.

A bad row never raises: it leaves its table and becomes a row of the rejects, with the reason and the original content.
Rows that say the same thing twice (the same track_id, the same track twice in a playlist) are merged, first one wins,
and counted.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

STRINGS = pl.List(pl.String)
TIME = pl.Datetime("us", "UTC")
FEEDBACK = ("like", "dislike", "skip")

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "tracks": {
        "track_id": pl.String,
        "title": pl.String,
        "artist": pl.String,
        "album": pl.String,
        "genres": STRINGS,
        "tags": STRINGS,
        "language": pl.String,
        "description": pl.String,
        "release_date": pl.Date,
        "duration_s": pl.Float32,
        "audio_path": pl.String,
        "mbid": pl.String,
        "isrc": pl.String,
    },
    "listens": {
        "user_id": pl.String,
        "track_id": pl.String,
        "listened_at": TIME,
        "position": pl.Int64,
        "played_ratio": pl.Float32,
        "feedback": pl.String,
    },
    "playlists": {
        "playlist_id": pl.String,
        "title": pl.String,
        "description": pl.String,
        "user_id": pl.String,
        "modified_at": TIME,
    },
    "playlist_tracks": {
        "playlist_id": pl.String,
        "position": pl.Int32,
        "track_id": pl.String,
        "added_at": TIME,
    },
    "features": {"track_id": pl.String, "features": pl.List(pl.Float32)},
}
"""`listens.position` orders a listener's plays where no time is known; a row has a time, a position, or both."""

REQUIRED = {
    "tracks": ("track_id",),
    "listens": ("user_id", "track_id"),
    "playlists": ("playlist_id",),
    "playlist_tracks": ("playlist_id", "track_id", "position"),
    "features": ("track_id", "features"),
}
UNIQUE = {
    "tracks": ("track_id",),
    "playlists": ("playlist_id",),
    "playlist_tracks": ("playlist_id", "track_id"),
    "features": ("track_id",),
}
REJECT_SCHEMA = {"table": pl.String, "source": pl.String, "reason": pl.String, "content": pl.String}
REMARK_SCHEMA = {"what": pl.String, "where": pl.String, "reason": pl.String, "rows": pl.Int64, "example": pl.String}
"""What happened to input that is neither kept as it is nor rejected. what: "made null", "passed over",
"read as", or "merged" where an importer itself meets the same again.
where: a table, `table.column`, or a folder."""
LONGEST_CONTENT = 2_000
"Characters of a rejected row that are kept, where it is a line or a record."


CLOCKS = timedelta(days=1)
"What clocks and time zones may be ahead."
ANNOUNCED = timedelta(days=366)
"How long before its release a song may be known."
AFTER_IMPORT = "later than this import: a wrong clock"


TablePart = tuple[str, pl.DataFrame]
"""A table of the contract, `rejects` (REJECT_SCHEMA) or `remarks` (REMARK_SCHEMA), and some of its rows. A part has at
most some 100,000 rows; columns of the contract that the data set does not know may be missing. The same track, playlist
or row of features may come more than once: the first one counts. Tracks that are only named in other tables need no
row."""


@dataclass(frozen=True)
class Imported:
    """What an importer hands over. `tables` may hold any subset; rejects are rows of REJECT_SCHEMA."""

    tables: Mapping[str, pl.DataFrame]
    rejects: pl.DataFrame = field(default_factory=lambda: no_rejects())
    facts: Mapping[str, object] = field(default_factory=dict)
    "Goes into the manifest: where it came from, whether it is simulated, its terms."
    remarks: pl.DataFrame = field(default_factory=lambda: no_remarks())
    "Rows of REMARK_SCHEMA."


@dataclass(frozen=True)
class Validated:
    """Clean tables in contract form, what was rejected, how many rows were merged per table, and what was made null."""

    tables: dict[str, pl.DataFrame]
    rejects: pl.DataFrame
    merged: dict[str, int]
    remarks: pl.DataFrame


def no_rejects() -> pl.DataFrame:
    """An empty rejects frame."""
    return pl.DataFrame(schema=REJECT_SCHEMA)


def no_remarks() -> pl.DataFrame:
    """An empty frame of remarks."""
    return pl.DataFrame(schema=REMARK_SCHEMA)


def remark(what: str, where: str, reason: str, rows: int, example: object = "") -> pl.DataFrame:
    """One remark, on so many rows or files."""
    return pl.DataFrame([(what, where, reason, rows, str(example))], REMARK_SCHEMA, orient="row")


def reject(table: str, source: str, reason: str, content: str = "") -> pl.DataFrame:
    """One reject, for importers that meet it before there is a row."""
    return pl.DataFrame({"table": [table], "source": [source], "reason": [reason], "content": [content]}, REJECT_SCHEMA)


def validate(imported: Imported) -> Validated:
    """Bring every table into contract form: schema, rules of each table, then references between tables.

    Tables that are missing come back empty. Tracks named only by listens, playlists or features become tracks with
    nothing but an id when no tracks table was given; otherwise such rows are rejected. Raises nothing for bad rows.
    `data.ingest.assemble` does the same with tables that do not fit in memory.
    """
    tables: dict[str, pl.DataFrame] = {}
    rejects, remarks = [imported.rejects], [no_remarks()]
    merged: dict[str, int] = {}
    for name in SCHEMAS:
        dated, told = without_wrong_clocks(name, to_schema(name, imported.tables.get(name)))
        remarks += told
        frame, bad = check_rows(name, dated)
        rejects.append(bad)
        if name == "features":
            lengths = frame["features"].list.len()
            width = usual_width(Counter(lengths))
            rejects.append(as_rejects(name, frame.filter(lengths != width), width_reason(width)))
            frame = frame.filter(lengths == width)
        if name in UNIQUE:
            unique = frame.unique(list(UNIQUE[name]), keep="first", maintain_order=True)
            merged[name] = frame.height - unique.height
            frame = unique
        tables[name] = frame
    rejects += _resolve_references(tables, given=set(imported.tables))
    counted = {name: count for name, count in merged.items() if count}
    return Validated(tables, pl.concat(rejects), counted, pl.concat(remarks))


def to_schema(name: str, frame: pl.DataFrame | None) -> pl.DataFrame:
    """Columns of the contract in order; those that are missing become null. Raises where a type cannot be cast."""
    schema = SCHEMAS[name]
    if frame is None:
        return pl.DataFrame(schema=schema)
    columns = [
        (pl.col(column) if column in frame.columns else pl.lit(None)).cast(dtype).alias(column)
        for column, dtype in schema.items()
    ]
    return frame.select(columns)


def check_rows(name: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows, in contract form, that keep the rules a row keeps or breaks by itself; and rejects of the others."""
    if name == "listens":
        frame = frame.with_columns(pl.col("played_ratio").fill_nan(None))
    reason = pl.coalesce([pl.when(broken.fill_null(False)).then(pl.lit(why)) for broken, why in _row_rules(name)])
    judged = frame.with_columns(reason.alias("_reason"))
    good = judged.filter(pl.col("_reason").is_null()).drop("_reason")
    bad = judged.filter(pl.col("_reason").is_not_null())
    return good, as_rejects(name, bad.drop("_reason"), bad["_reason"])


def _row_rules(name: str) -> list[tuple[pl.Expr, str]]:
    rules = [
        (pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == ""), f"no {column}")
        for column in REQUIRED[name]
        if SCHEMAS[name][column] in (pl.String, pl.Int32)
    ]
    if name == "listens":
        rules += [
            (pl.col("listened_at").is_null() & pl.col("position").is_null(), "neither a time nor a position"),
            (pl.col("listened_at") > datetime.now(UTC) + CLOCKS, AFTER_IMPORT),
            (~pl.col("played_ratio").is_between(0, 1), "played_ratio outside 0..1"),
            (~pl.col("feedback").is_in(FEEDBACK), f"feedback is none of {', '.join(FEEDBACK)}"),
        ]
    if name == "features":
        values = pl.col("features").list
        not_finite = pl.element().is_null() | ~pl.element().is_finite()
        rules += [
            (values.len().is_null() | (values.len() == 0), "no features"),
            (values.eval(not_finite).list.any(), "a value is missing or not finite"),
        ]
    return rules


def without_wrong_clocks(name: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """A table in contract form with dates of songs and playlists that lie ahead made null, and remarks on them.

    A release date of 9999 would be new for ever. What listens say of the future makes them rejects.
    """
    told = []
    for column, ahead in DATES.get(name, {}).items():
        wrong = (frame[column] > (datetime.now(UTC) + ahead)).fill_null(False)
        if wrong.any():
            where, example = f"{name}.{column}", frame[column].filter(wrong)[0]
            told.append(remark("made null", where, f"{_in_days(ahead)} after this import", int(wrong.sum()), example))
            frame = frame.with_columns(pl.when(~wrong).then(pl.col(column)).alias(column))
    return frame, told


DATES = {
    "tracks": {"release_date": ANNOUNCED},
    "playlists": {"modified_at": CLOCKS},
    "playlist_tracks": {"added_at": CLOCKS},
}


def _in_days(ahead: timedelta) -> str:
    return "more than a day" if ahead.days == 1 else f"more than {ahead.days} days"


def usual_width(rows: Mapping[int, int]) -> int:
    """How many values most rows of features have, the fewer of two that are equally frequent; 0 without rows.

    rows: number of values -> rows that have so many.
    """
    return max(rows, key=lambda length: (rows[length], -length), default=0)


def width_reason(width: int) -> str:
    """Why features of another width are rejected: rows of one table must be comparable."""
    return f"not {width} values wide"


def missing_reason(column: str) -> str:
    """Why a row is rejected that names a track or playlist which is not there."""
    return f"{column} not in {column[:-3]}s"


def _resolve_references(tables: dict[str, pl.DataFrame], given: set[str]) -> list[pl.DataFrame]:
    rejects = []
    used = pl.concat([tables[name]["track_id"] for name in ("listens", "playlist_tracks", "features")])
    if "tracks" not in given:
        tables["tracks"] = to_schema("tracks", pl.DataFrame({"track_id": used.unique(maintain_order=True)}))
    if "playlists" not in given:
        named = tables["playlist_tracks"]["playlist_id"].unique(maintain_order=True)
        tables["playlists"] = to_schema("playlists", pl.DataFrame({"playlist_id": named}))
    known = {"track_id": tables["tracks"], "playlist_id": tables["playlists"]}
    for name, column in (
        ("listens", "track_id"),
        ("playlist_tracks", "track_id"),
        ("playlist_tracks", "playlist_id"),
        ("features", "track_id"),
    ):
        missing = ~pl.col(column).is_in(known[column][column].implode())
        rejects.append(as_rejects(name, tables[name].filter(missing), missing_reason(column)))
        tables[name] = tables[name].filter(~missing)
    return rejects


def as_rejects(name: str, bad: pl.DataFrame, reason: str | pl.Series) -> pl.DataFrame:
    """Rows of a table as rejects: one reason for all of them, or one for each."""
    if bad.is_empty():
        return no_rejects()
    content = pl.Series([_row_json(row) for row in bad.iter_rows(named=True)], dtype=pl.String)
    return bad.select(table=pl.lit(name), source=pl.lit(""), reason=pl.lit(reason), content=content)


def _row_json(row: dict[str, object]) -> str:
    return json.dumps({key: value for key, value in row.items() if value is not None}, default=str, ensure_ascii=False)
