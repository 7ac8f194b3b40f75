"""Events become rows of the tables, when a dataset is made: what listeners did, what is new, what was taken down."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

from data.events.store import EventStore
from data.ids import IdMap
from data.tables import AFTER_IMPORT, CLOCKS, SCHEMAS, no_remarks, remark, to_schema

PLAYS = {
    "number": pl.Int64,
    "kind": pl.String,
    "user_id": pl.String,
    "track_id": pl.String,
    "at": pl.Int64,
    "played_ratio": pl.Float32,
    "feedback": pl.String,
}
WORD = pl.col("feedback").fill_null("").is_in(["like", "dislike"])
SECOND = pl.col("listened_at").dt.epoch("s").alias("second")
NOT_YET = "songs that are not in the tracks; kept among the events, for they may come later"


class Folded(NamedTuple):
    """tables: the five, in contract form. last: the number of the latest event that is in them. remarks: rows of
    REMARK_SCHEMA on what could not be put in."""

    tables: dict[str, pl.DataFrame]
    last: int
    remarks: pl.DataFrame


def folded(tables: Mapping[str, pl.DataFrame], store: EventStore) -> Folded:
    """Valid tables, as imports give them, with all events of a store put in.

    Added tracks come by id, and what they know wins. Listens and feedback become rows of `listens`; a listen that the
    table has already (the same listener, song and second) is not counted again. Songs that are taken down are gone from
    all tables, until they are restored. Blocks belong to no table: answers look them up.
    """
    last = store.last
    found = {name: to_schema(name, tables.get(name)) for name in SCHEMAS}
    found["tracks"] = with_added(found["tracks"], added_tracks(store, last))
    plays, remarks = _events_as_listens(store, last, found)
    found["listens"] = pl.concat([found["listens"], _new(plays, found["listens"])])
    removed = _as_known(pl.Series(sorted(taken_down(store, last)), dtype=pl.String), found["tracks"]["track_id"])
    gone = found["tracks"]["track_id"].is_in(removed.implode())
    if gone.any():
        remarks.append(
            remark("passed over", "tracks", "taken down", int(gone.sum()), found["tracks"]["track_id"].filter(gone)[0])
        )
        for name in ("tracks", "listens", "playlist_tracks", "features"):
            found[name] = found[name].filter(~pl.col("track_id").is_in(removed.implode()))
    return Folded(found, last, pl.concat([no_remarks(), *remarks]))


def taken_down(store: EventStore, upto: int) -> set[str]:
    """Track ids whose last word is a removal."""
    state = {event.track_id: event.kind for event in store.takedowns() if event.number <= upto}
    return {track for track, kind in state.items() if kind == "remove" and track is not None}


def added_tracks(store: EventStore, upto: int) -> pl.DataFrame:
    """Rows of tracks as events tell them, one for each id, by when it first came; of each column the last value."""
    rows: dict[str, dict[str, Any]] = {}
    for event in store.since(0, upto, kinds=("add",)):
        told = json.loads(event.detail or "{}")
        rows.setdefault(told["track_id"], {}).update(told)
    text = SCHEMAS["tracks"] | {"release_date": pl.String}
    frame = pl.DataFrame(list(rows.values()), text)
    return to_schema("tracks", frame.with_columns(pl.col("release_date").str.to_date("%Y-%m-%d")))


def with_added(tracks: pl.DataFrame, added: pl.DataFrame) -> pl.DataFrame:
    """The tracks table with rows put in by id: their values win where there are any; songs of no known id come last."""
    if added.is_empty():
        return tracks
    added = added.with_columns(_as_known(added["track_id"], tracks["track_id"])).unique("track_id", maintain_order=True)
    columns = [name for name in SCHEMAS["tracks"] if name != "track_id"]
    known = tracks.join(added, "track_id", "left", suffix="_new", maintain_order="left").select(
        "track_id", *(pl.coalesce(f"{name}_new", name).alias(name) for name in columns)
    )
    return pl.concat([known, added.join(tracks, "track_id", "anti", maintain_order="left")])


def _events_as_listens(
    store: EventStore, upto: int, tables: Mapping[str, pl.DataFrame]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Listens and feedback as rows of `listens` with their `kind`, in order, and remarks on those left out."""
    parts = [pl.DataFrame(schema=PLAYS)]
    for rows in store.chunks(0, upto, kinds=("listen", "feedback")):
        number, _, kind, user, track, at, ratio, feedback = zip(*rows, strict=True)
        columns = (number, kind, user, track, at, ratio, feedback)
        parts.append(pl.DataFrame(dict(zip(PLAYS, columns, strict=True)), PLAYS))
    plays, remarks = pl.concat(parts), []
    plays = plays.with_columns(
        _as_known(plays["track_id"], tables["tracks"]["track_id"]),
        _as_known(plays["user_id"], tables["listens"]["user_id"]),
    )
    now = int(datetime.now(UTC).timestamp() * 1e6)
    # What was said last counts last, though a clock was set back meanwhile: after all events before, and the tables.
    there = tables["listens"].filter(WORD).group_by("user_id", "track_id")
    plays = plays.join(
        there.agg(before=pl.col("listened_at").max().dt.epoch("us")),
        ["user_id", "track_id"],
        "left",
        maintain_order="left",
    )
    said = pl.min_horizontal("at", pl.lit(now)).cum_max().over("user_id", "track_id", WORD)
    said = pl.max_horizontal(said, "before")
    plays = plays.with_columns(pl.when(WORD).then(said).otherwise("at").alias("at"))
    unknown = ~pl.col("track_id").is_in(tables["tracks"]["track_id"].implode())
    ahead = pl.col("at") > now + CLOCKS.total_seconds() * 1e6
    for rule, reason in ((unknown, NOT_YET), (ahead, AFTER_IMPORT)):
        out = plays.filter(rule)
        if out.height:
            example = " played ".join(out.row(0, named=True)[name] for name in ("user_id", "track_id"))
            remarks.append(remark("passed over", "listens", reason, out.height, example))
        plays = plays.filter(~rule)
    return plays.with_columns(
        pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("listened_at")
    ).drop("before"), remarks


def _new(plays: pl.DataFrame, listens: pl.DataFrame) -> pl.DataFrame:
    """Rows for `listens` that it does not have: a song is played once a second, and every word counts."""
    plays, there = plays.with_columns(SECOND), listens.with_columns(SECOND).drop_nulls("second")
    second = ["user_id", "track_id", "second"]
    heard = plays.filter((pl.col("number") == pl.col("number").min().over(second)) & (pl.col("kind") == "listen"))
    heard = heard.join(there, second, "anti")
    return to_schema("listens", pl.concat([heard, plays.filter(kind="feedback")]).sort("number"))


def _as_known(names: pl.Series, known: pl.Series) -> pl.Series:
    """Ids as the tables write them: others may differ by blanks around them and the form of their accents."""
    new = names.unique().filter(~names.unique().is_in(known.implode()))
    if new.is_empty() or known.is_empty():
        return names
    ids = IdMap(tuple(known.unique()))
    same = {name: ids.names[row] for name in new if (row := ids.find(name)) is not None}
    return names.replace(same) if same else names
