"""The dataset of a workspace, made of its imports and of the events since.

One import alone is the dataset as it is: its files get a second name there and are not written again. Several are
merged, songs that two of them have under different ids matched, and events put in. Where the result is what stands
there already nothing is published, so that nothing has to be built again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from data.errors import DamagedError, UserError
from data.events.store import EventStore
from data.imports.changes import COUNTED, Change, Changes, changes
from data.imports.folding import put_in
from data.imports.matching import Matches, matched
from data.imports.merging import Merged, Part, merge
from data.imports.shelf import held_manifests, hold, take_over, tidy
from data.reporting import logger
from data.storage.hashing import sha256
from data.storage.manifest import Manifest, is_current, read_manifest, verify
from data.storage.parquet import read_parquet, scan_parquet
from data.storage.publishing import place, publishing, restate
from data.storage.workspace import Workspace
from data.tables import SCHEMAS

log = logger(__name__)

IMPORTS, EVENTS = "imports", "events_upto"
"""The facts that say what a dataset was made of: import -> its fingerprint, and the number of the last event that is in
it."""
MEMORY = "1GB"


@dataclass(frozen=True)
class Composed:
    """The dataset's manifest, what is new, changed and gone in it, and how songs of imports were matched."""

    manifest: Manifest
    changes: Changes
    matches: Mapping[str, Matches]


def compose(workspace: Workspace, memory: str = MEMORY) -> Composed:
    """Bring the dataset up to date with the imports; the caller holds the workspace's lock.

    memory: for merging; beyond it the work spills to the workspace's disk. Raises UserError where there is nothing to
    make it of, DamagedError where an import is damaged.
    """
    take_over(workspace)
    parts = held_manifests(workspace)
    if not parts:
        raise UserError(
            f"no import in {workspace.root}", "Run python -m data.prepare demo (or folder, tables; see --help)."
        )
    hold(workspace, parts)
    store = EventStore(workspace.events) if workspace.events.exists() else None
    made_of: dict[str, Any] = {IMPORTS: {name: manifest.fingerprint for name, manifest in parts.items()}}
    made_of[EVENTS] = 0 if store is None else store.last
    before = _published(workspace)
    if before is not None and {name: before.facts.get(name) for name in made_of} == made_of:
        tidy(workspace)
        return Composed(before, Changes(), matched(workspace, parts))
    for name in parts:
        verify(workspace.imports / name)
    matches = matched(workspace, parts)
    workspace.discard_scratch("compose")
    draft = workspace.scratch("compose")
    try:
        facts = {**_fill(workspace, parts, matches, draft, memory), **made_of}
        if store is not None:
            facts |= put_in(draft, store)
        found = _compared(workspace.dataset, draft, before, memory)
        if found or before is None:
            _publish(workspace, draft, facts, parts)
        else:
            restate(workspace.dataset, facts)
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"{memory} of memory are not enough to merge the imports.", "Give more with --memory."
        ) from error
    finally:
        workspace.discard_scratch("compose")
    tidy(workspace)
    return Composed(verify(workspace.dataset, only=()), found or Changes(), matches)


def _published(workspace: Workspace) -> Manifest | None:
    """The manifest of the dataset; None where there is none, or it is not what was published."""
    try:
        manifest = read_manifest(workspace.dataset)
    except DamagedError:
        return None
    if manifest is None or not is_current(workspace.dataset, manifest.made_from, manifest.settings):
        return None
    return manifest


def _fill(
    workspace: Workspace, parts: Mapping[str, Manifest], matches: Mapping[str, Matches], folder: Path, memory: str
) -> dict[str, Any]:
    """Put the tables into the folder; returns the facts about them."""
    (first, alone), *others = parts.items()
    if not others and _in_form(workspace.imports / first):
        for table in SCHEMAS:
            place(workspace.imports / first / f"{table}.parquet", folder / f"{table}.parquet")
        return {**alone.facts}
    pairs = {name: each.pairs for name, each in matches.items()}
    merged = merge([Part(workspace.imports / name, pairs.get(name)) for name in parts], folder, memory)
    if merged.narrow:
        log.warning(f"features: {merged.narrow:,} rows left out, for they are not as wide as most")
    if merged.repeated[0]:
        count, example = merged.repeated
        log.warning(f"playlists: {count:,} stand in several imports, and the last one counts, e.g. {example}")
    return _facts(parts, merged)


def _in_form(folder: Path) -> bool:
    """Whether the tables have the columns of the contract: an import of an earlier version may lack some."""
    return all(
        scan_parquet(folder / f"{table}.parquet").collect_schema() == pl.Schema(schema)
        for table, schema in SCHEMAS.items()
    )


def _facts(parts: Mapping[str, Manifest], merged: Merged) -> dict[str, Any]:
    facts = [manifest.facts for manifest in parts.values()]
    merges = {table: sum(each.get("merged", {}).get(table, 0) for each in facts) for table in SCHEMAS}
    told = {
        name: "; ".join(dict.fromkeys(str(each[name]) for each in facts if each.get(name)))
        for name in ("importer", "terms", "source", "licence")
    }
    return {
        **{name: text for name, text in told.items() if text},
        "simulated": any(each.get("simulated") for each in facts),
        "ordered": all(each.get("ordered") is not False for each in facts),
        "rows": merged.rows,
        "listeners": merged.listeners,
        "rejected": sum(each.get("rejected", 0) for each in facts),
        "merged": {table: count for table, count in merges.items() if count},
    }


def _compared(dataset: Path, folder: Path, before: Manifest | None, memory: str) -> Changes | None:
    """What is another in the folder's tables than in the dataset's; None where they are the same, row by row."""
    if before is None:
        rows = {name: scan_parquet(folder / f"{name}.parquet").select(pl.len()).collect().item() for name in COUNTED}
        return Changes({name: Change(new=count) for name, count in rows.items()}, first=True)
    other = [
        name for name in SCHEMAS if sha256(folder / f"{name}.parquet") != before.files[f"{name}.parquet"]["sha256"]
    ]
    if not other:
        return None
    found = changes(dataset, folder, folder / "spill", memory)
    if any(found.tables.values()):
        return found
    # Another writer of the same rows. Those of listens have been compared, and their order is that of listening.
    same = all(
        read_parquet(dataset / f"{name}.parquet").equals(read_parquet(folder / f"{name}.parquet"), null_equal=True)
        for name in other
        if name != "listens"
    )
    return None if same else found


def _publish(workspace: Workspace, folder: Path, facts: Mapping[str, Any], parts: Mapping[str, Manifest]) -> None:
    settings = [manifest.settings for manifest in parts.values()]
    importers = " + ".join(dict.fromkeys(str(each.get("importer", "unknown")) for each in settings))
    told = settings[0] if len(settings) == 1 else {"importer": importers}
    with publishing(workspace.dataset, "dataset", settings=told) as draft:
        for table in SCHEMAS:
            place(folder / f"{table}.parquet", draft.folder / f"{table}.parquet")
        draft.facts |= facts
