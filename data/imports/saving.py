"""Publish what an importer brought as an import: validated tables, rejects, and what became of the input."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import polars as pl

from data.errors import UserError
from data.imports.names import import_name
from data.ingest.assemble import Assembled, assemble
from data.ingest.closing import Closing
from data.ingest.rejects import Tally
from data.ingest.spool import Spool
from data.reporting import meter
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from data.tables import SCHEMAS, Imported, TablePart, to_schema, validate

REJECTS = "rejects.parquet"


@dataclass(frozen=True)
class Saved:
    """An import that was published: its name, what it holds, and what became of the input."""

    name: str
    made: Assembled
    closing: Closing


def save_import(
    workspace: Workspace,
    imported: Imported,
    settings: Mapping[str, object],
    beside: Mapping[str, pl.DataFrame] | None = None,
    known: pl.Series | None = None,
) -> Saved:
    """Validate what an importer brought, report and keep the rejects, and publish the tables.

    beside: more files of the import, by name. known: track ids of other imports, which listens and playlists may name.
    Raises UserError where not a single track is left.
    """
    valid = validate(imported if known is None else _with_known(imported, known))
    counts = {name: frame.height for name, frame in valid.tables.items()}
    tally = Tally()
    tally.add(valid.rejects)
    tally.remark(imported.remarks)
    tally.remark(valid.remarks)
    if not counts["tracks"]:
        Closing(tally, counts, valid.merged).report()
        raise no_track_left()
    name = import_name(settings)
    listeners = valid.tables["listens"]["user_id"].n_unique()
    with publishing(workspace.imports / name, "import", settings=settings) as draft:
        for table, frame in valid.tables.items():
            frame.write_parquet(draft.folder / f"{table}.parquet")
        for file, frame in (beside or {}).items():
            frame.write_parquet(draft.folder / f"{file}.parquet")
        valid.rejects.write_parquet(draft.folder / REJECTS)
        told = {"rows": counts, "listeners": listeners, "rejected": tally.total, "merged": valid.merged}
        draft.facts |= {**imported.facts, **told}
    closing = Closing(tally, counts, valid.merged, workspace.imports / name / REJECTS)
    closing.report()
    return Saved(name, Assembled(counts, valid.merged, listeners), closing)


def save_import_parts(
    workspace: Workspace,
    parts: Iterable[TablePart],
    facts: Mapping[str, object],
    settings: Mapping[str, object],
    memory: str,
) -> Saved:
    """What `save_import` does, for tables that come in parts and need not fit in memory.

    facts: go into the manifest. memory: e.g. "1GB"; what takes more spills to the workspace's disk. Tracks that only
    other tables name become tracks. Raises UserError where not a single track is left.
    """
    workspace.discard_scratch("prepare")
    spool, name = Spool(workspace.scratch("prepare")), import_name(settings)
    target = workspace.imports / name
    try:
        with meter("reading", None) as bar:
            for part in parts:
                spool.add(part)
                bar.to(sum(spool.rows.values()), "rows")
        with publishing(target, "import", settings=settings) as draft, meter("tables", len(SCHEMAS)) as bar:
            made = assemble(spool, draft.folder, memory, bar.advance)
            if not made.rows["tracks"]:
                Closing(spool.tally, made.rows, made.merged).report()
                raise no_track_left()
            told = {
                "rows": made.rows,
                "listeners": made.listeners,
                "rejected": spool.tally.total,
                "merged": made.merged,
            }
            draft.facts |= {**facts, **told}
    except duckdb.OutOfMemoryException as error:
        raise UserError(f"{memory} of memory are not enough for this data set.", "Give more with --memory.") from error
    finally:
        workspace.discard_scratch("prepare")
    closing = Closing(spool.tally, made.rows, made.merged, target / REJECTS)
    closing.report()
    return Saved(name, made, closing)


def no_track_left() -> UserError:
    """Everything was rejected."""
    return UserError("no track is left after validation", "The rejected rows and their reasons stand above.")


def _with_known(imported: Imported, known: pl.Series) -> Imported:
    """With a row of nothing but its id for each track of other imports that this one names and does not describe.

    A file of new plays would otherwise lose all of songs that are not new.
    """
    if "tracks" not in imported.tables:
        return imported
    tracks = to_schema("tracks", imported.tables["tracks"])
    used = [
        imported.tables[name]["track_id"]
        for name in ("listens", "playlist_tracks", "features")
        if name in imported.tables
    ]
    if not used:
        return imported
    named = pl.DataFrame({"track_id": pl.concat(used).cast(pl.String)}).unique(maintain_order=True)
    more = named.join(known.rename("track_id").to_frame(), "track_id", "semi").join(tracks, "track_id", "anti")
    return Imported(
        {**imported.tables, "tracks": pl.concat([tracks, to_schema("tracks", more)])},
        imported.rejects,
        imported.facts,
        imported.remarks,
    )
