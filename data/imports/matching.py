"""Which songs of an import are songs that earlier imports have under other ids.

Asked of imports by different importers alone: those of one share their ids, and two of its ids are two songs. What was
found is kept in `workspace/matches/NAME` and holds as long as neither side's tracks change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data.identity.matching import match
from data.reporting import meter
from data.storage.manifest import Manifest, is_current, read_manifest
from data.storage.parquet import read_parquet
from data.storage.publishing import publishing
from data.storage.workspace import Workspace

PAIRS, UNMATCHED = "pairs.parquet", "unmatched.parquet"
RULES = "1"
"Another one when the rules of matching change: what older ones found is found anew."
SHOWN = 10


@dataclass(frozen=True)
class Matches:
    """What became of an import's songs. folder: holds `pairs.parquet` and `unmatched.parquet`."""

    name: str
    folder: Path
    songs: int
    "Songs whose ids no earlier import has."
    by: Mapping[str, int]
    "How many were matched by what."

    @property
    def pairs(self) -> Path:
        """new_id, known_id, by, score."""
        return self.folder / PAIRS

    def unmatched(self) -> pl.DataFrame:
        """new_id, new_title, new_artist; and the nearest known song: known_id, title, artist, score, or null."""
        return read_parquet(self.folder / UNMATCHED)

    def in_words(self) -> str:
        """`812 of 1,000 songs matched: 600 by name, 212 by mbid`."""
        count = sum(self.by.values())
        told = ", ".join(f"{each:,} by {by}" for by, each in self.by.items())
        return f"{count:,} of {self.songs:,} songs matched{f': {told}' if told else ''}"

    def as_json(self) -> dict[str, Any]:
        """For programs: with all that did not match."""
        return {"songs": self.songs, "matched": dict(self.by), "unmatched": self.unmatched().to_dicts()}


def matched(workspace: Workspace, parts: Mapping[str, Manifest]) -> dict[str, Matches]:
    """The matches of every import whose songs earlier ones may have, by its name. parts: in the order they came."""
    found: dict[str, Matches] = {}
    for number, (name, manifest) in enumerate(parts.items()):
        earlier = dict(list(parts.items())[:number])
        others = {other: made for other, made in earlier.items() if _importer(made) != _importer(manifest)}
        if others:
            found[name] = _ensure(workspace, name, manifest, earlier, list(others), found)
    return found


def _ensure(
    workspace: Workspace,
    name: str,
    manifest: Manifest,
    earlier: Mapping[str, Manifest],
    others: list[str],
    found: Mapping[str, Matches],
) -> Matches:
    folder = workspace.matches / name
    made_from = {other: _tracks_of(made) for other, made in earlier.items()} | {"tracks": _tracks_of(manifest)}
    if not is_current(folder, made_from, {"rules": RULES}):
        known = _known(workspace, others, found)
        new = read_parquet(workspace.imports / name / "tracks.parquet").join(known, "track_id", "anti")
        with publishing(folder, "matches", made_from, {"rules": RULES}) as draft, meter("matching", None):
            told = match(known, new)
            told.pairs.write_parquet(draft.folder / PAIRS)
            called = new.select(new_id="track_id", new_title="title", new_artist="artist")
            told.unmatched.join(called, "new_id", "left", maintain_order="left").select(
                "new_id", "new_title", "new_artist", pl.exclude("new_id", "new_title", "new_artist")
            ).write_parquet(draft.folder / UNMATCHED)
            by = told.pairs.group_by("by", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
            draft.facts |= {"songs": new.height, "by": dict(by.iter_rows())}
    made = read_manifest(folder)
    assert made is not None
    return Matches(name, folder, made.facts["songs"], made.facts["by"])


def _known(workspace: Workspace, names: list[str], found: Mapping[str, Matches]) -> pl.DataFrame:
    """The tracks of these imports under the ids they have in the dataset, each once, with the first value of each
    column."""
    parts = []
    for name in names:
        tracks = read_parquet(workspace.imports / name / "tracks.parquet")
        if name in found:
            ids = read_parquet(found[name].pairs).select(track_id="new_id", other="known_id")
            tracks = (
                tracks.join(ids, "track_id", "left", maintain_order="left")
                .with_columns(pl.coalesce("other", "track_id").alias("track_id"))
                .drop("other")
            )
        parts.append(tracks)
    every = pl.concat(parts, how="diagonal")
    if not every["track_id"].is_duplicated().any():
        return every
    return every.group_by("track_id", maintain_order=True).agg(pl.all().drop_nulls().first())


def _importer(manifest: Manifest) -> object:
    return manifest.settings.get("importer")


def _tracks_of(manifest: Manifest) -> str:
    return str(manifest.files["tracks.parquet"]["sha256"])
