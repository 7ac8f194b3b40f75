"""The tables of the data contract, and the one place where rows are validated.

A bad row never raises: it leaves its table and becomes a row of the rejects, with the reason and the original content.
Rows that say the same thing twice (the same track_id, the same track twice in a playlist) are merged, first one wins,
and counted.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Imported:
    """What an importer hands over. `tables` may hold any subset; rejects are rows of REJECT_SCHEMA."""

    tables: Mapping[str, pl.DataFrame]
    rejects: pl.DataFrame = field(default_factory=lambda: no_rejects())
    facts: Mapping[str, object] = field(default_factory=dict)
    "Goes into the manifest: where it came from, whether it is simulated, its terms."


@dataclass(frozen=True)
class Validated:
    """Clean tables in contract form, what was rejected, and how many rows were merged per table."""

    tables: dict[str, pl.DataFrame]
    rejects: pl.DataFrame
    merged: dict[str, int]


def no_rejects() -> pl.DataFrame:
    """An empty rejects frame."""
    return pl.DataFrame(schema=REJECT_SCHEMA)


def reject(table: str, source: str, reason: str, content: str = "") -> pl.DataFrame:
    """One reject, for importers that meet it before there is a row."""
    return pl.DataFrame({"table": [table], "source": [source], "reason": [reason], "content": [content]}, REJECT_SCHEMA)


def validate(imported: Imported) -> Validated:
    """Bring every table into contract form: schema, rules of each table, then references between tables.

    Tables that are missing come back empty. Tracks named only by listens, playlists or features become tracks with
    nothing but an id when no tracks table was given; otherwise such rows are rejected. Raises nothing for bad rows.
    """
    tables: dict[str, pl.DataFrame] = {}
    rejects = [imported.rejects]
    merged: dict[str, int] = {}
    for name in SCHEMAS:
        frame = to_schema(name, imported.tables.get(name))
        frame, bad = _apply_rules(name, frame)
        rejects.append(bad)
        if name in UNIQUE:
            unique = frame.unique(list(UNIQUE[name]), keep="first", maintain_order=True)
            merged[name] = frame.height - unique.height
            frame = unique
        tables[name] = frame
    rejects += _resolve_references(tables, given=set(imported.tables))
    return Validated(tables, pl.concat(rejects), {name: count for name, count in merged.items() if count})


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


def _apply_rules(name: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    rules = [
        (pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == ""), f"no {column}")
        for column in REQUIRED[name]
        if SCHEMAS[name][column] in (pl.String, pl.Int32)
    ]
    if name == "listens":
        frame = frame.with_columns(pl.col("played_ratio").fill_nan(None))
        rules += [
            (pl.col("listened_at").is_null() & pl.col("position").is_null(), "neither a time nor a position"),
            (~pl.col("played_ratio").is_between(0, 1), "played_ratio outside 0..1"),
            (~pl.col("feedback").is_in(FEEDBACK), f"feedback is none of {', '.join(FEEDBACK)}"),
        ]
    if name == "features":
        widths = Counter(length for length in frame["features"].list.len() if length)
        width = max(widths, key=lambda length: (widths[length], -length), default=0)
        values = pl.col("features").list
        not_finite = pl.element().is_null() | ~pl.element().is_finite()
        rules += [
            (values.len().is_null() | (values.len() == 0), "no features"),
            (values.len() != width, f"not {width} values wide"),
            (values.eval(not_finite).list.any(), "a value is missing or not finite"),
        ]
    if not rules or frame.is_empty():
        return frame, no_rejects()
    reason = pl.coalesce([pl.when(broken.fill_null(False)).then(pl.lit(why)) for broken, why in rules])
    frame = frame.with_columns(reason.alias("_reason"))
    good = frame.filter(pl.col("_reason").is_null()).drop("_reason")
    return good, _as_rejects(name, frame.filter(pl.col("_reason").is_not_null()))


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
        orphans = tables[name].filter(missing).with_columns(_reason=pl.lit(f"{column} not in {column[:-3]}s"))
        rejects.append(_as_rejects(name, orphans))
        tables[name] = tables[name].filter(~missing)
    return rejects


def _as_rejects(name: str, bad: pl.DataFrame) -> pl.DataFrame:
    if bad.is_empty():
        return no_rejects()
    content = pl.struct(pl.exclude("_reason")).map_elements(_row_json, return_dtype=pl.String)
    return bad.select(table=pl.lit(name), source=pl.lit(""), reason=pl.col("_reason"), content=content)


def _row_json(row: dict[str, object]) -> str:
    return json.dumps({key: value for key, value in row.items() if value is not None}, default=str, ensure_ascii=False)
