"""Take imports into a workspace: refused where they would replace others unasked, then saved, listed and composed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from data.compose import MEMORY, Composed, compose
from data.dataset import summary
from data.imports.matching import SHOWN, UNMATCHED, Matches
from data.imports.saving import Saved
from data.imports.shelf import How, held, hold, names_after
from data.reporting import logger
from data.storage.manifest import read_manifest
from data.storage.parquet import read_parquet
from data.storage.workspace import Workspace

log = logger(__name__)


@dataclass(frozen=True)
class Coming:
    """An import that is to be brought in. save: reads, validates and publishes it, given the ids of tracks that other
    imports have, or None where there are no others."""

    name: str
    save: Callable[[pl.Series | None], Saved]


@dataclass(frozen=True)
class Taken:
    """What came in, and the dataset it made."""

    saved: Sequence[Saved]
    composed: Composed

    def summary(self) -> str:
        """What the dataset holds now, in a line."""
        facts = self.composed.manifest.facts
        return summary(facts["rows"], facts["listeners"])

    def report(self) -> None:
        """Log what is another than before, nothing of a first import, all of which is new; and what matched."""
        found = self.composed.changes
        if not found.first:
            log.info(f"  changes     {found.in_words()}")
        for name, matches in self.composed.matches.items():
            log.info(f"  matching    {name}: {matches.in_words()}")
            if any(saved.name == name for saved in self.saved):
                _report_unmatched(matches)

    def as_json(self) -> dict[str, Any]:
        """For programs: what became of the input (of the first import, if several came), and what changed."""
        first, *others = (each.closing.as_json() for each in self.saved)
        others_told = {saved.name: told for saved, told in zip(self.saved[1:], others, strict=True)}
        made = self.composed.manifest.facts
        return {
            **first,
            "changes": self.composed.changes.as_json(),
            "matching": {name: matches.as_json() for name, matches in self.composed.matches.items()},
            "dataset": {"rows": made["rows"], "listeners": made["listeners"], "imports": list(made["imports"])},
            **({"others": others_told} if others else {}),
        }


def check_room(workspace: Workspace, names: list[str], how: How) -> None:
    """Refuse before anything is read what `take` would refuse; no workspace is made for that."""
    if workspace.root.exists():
        with workspace.lock():
            names_after(workspace, names, how)


def take(workspace: Workspace, coming: Sequence[Coming], how: How, memory: str = MEMORY) -> Taken:
    """Bring imports in and compose the dataset, as the only process that writes into the workspace.

    memory: for merging. Raises UserError where the workspace holds other data and neither add nor replace is said.
    """
    names = [each.name for each in coming]
    with workspace.lock():
        after = names_after(workspace, names, how)
        known = _known(workspace) if set(after) - set(names) else None
        saved = [each.save(known) for each in coming]
        hold(workspace, after)
        return Taken(saved, compose(workspace, memory))


def holds(workspace: Workspace, name: str) -> bool:
    """Whether the import is one of those that make the dataset."""
    return name in held(workspace)


def _known(workspace: Workspace) -> pl.Series | None:
    if read_manifest(workspace.dataset) is None:
        return None
    return read_parquet(workspace.dataset / "tracks.parquet", columns=["track_id"])["track_id"]


def _report_unmatched(matches: Matches) -> None:
    left = matches.unmatched()
    told = left.filter(pl.col("new_title").is_not_null())
    for row in told.head(SHOWN).iter_rows(named=True):
        nearest = f"nearest: {_called(row['artist'], row['title'])}" if row["known_id"] else "nothing like it"
        log.info(f"    not matched  {_called(row['new_artist'], row['new_title'])}  ({nearest})")
    if left.height > min(SHOWN, told.height):
        log.info(f"    ... all {left.height:,} that did not match: {matches.folder / UNMATCHED}")


def _called(artist: str | None, title: str | None) -> str:
    return " - ".join(text for text in (artist, title) if text)
