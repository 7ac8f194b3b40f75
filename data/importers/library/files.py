"""What is remembered of each file of a music folder, so that a scan opens only those that are new or changed.

A row for every file that was ever read, gone ones too: a song that comes back, or comes back elsewhere, is known by its
sound and has its id again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

import polars as pl

from data.audio.reading import AudioFacts
from data.importers.library.tags import MusicTags
from data.storage.parquet import read_parquet
from data.tables import SCHEMAS

FILES = "files"
"The Parquet file of an import that has these rows."
TAGS = {each.name: SCHEMAS["tracks"][each.name] for each in fields(MusicTags)}
SOUND = {
    "duration_s": pl.Float64,
    "sample_rate": pl.Int64,
    "channels": pl.Int64,
    "decoder": pl.String,
    "note": pl.String,
}
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "path": pl.String,
    "size": pl.Int64,
    "mtime_ns": pl.Int64,
    "track_id": pl.String,
    "fingerprint": pl.String,
    "reason": pl.String,
    "gone": pl.Boolean,
    **SOUND,
    **TAGS,
}
UNREAD = -1
"A size that no file has: it is read again."


@dataclass(frozen=True)
class FileRecord:
    """One file. reason: why it is no song; then `facts` is None. gone: it was not there when last looked for."""

    path: PurePosixPath
    size: int
    mtime_ns: int
    fingerprint: str = ""
    "Of the sound, without the tags; empty where that cannot be read."
    facts: AudioFacts | None = None
    reason: str | None = None
    tags: MusicTags = field(default_factory=MusicTags)
    track_id: str = ""
    gone: bool = False

    @property
    def is_song(self) -> bool:
        """Whether it makes a track."""
        return self.facts is not None and not self.gone

    def as_gone(self) -> Self:
        """The same, no longer there."""
        return replace(self, gone=True)


def as_frame(records: Iterable[FileRecord]) -> pl.DataFrame:
    """Rows of SCHEMA."""
    rows = [
        {
            "path": str(each.path),
            "size": each.size,
            "mtime_ns": each.mtime_ns,
            "track_id": each.track_id,
            "fingerprint": each.fingerprint,
            "reason": each.reason,
            "gone": each.gone,
            **(asdict(each.facts) if each.facts is not None else dict.fromkeys(SOUND)),
            **asdict(each.tags),
        }
        for each in records
    ]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def read_records(folder: Path) -> dict[PurePosixPath, FileRecord]:
    """The files that an import knows, by their path; none where it keeps no such table.

    A table of an earlier version, without the columns of today, gives ids alone: every file is read again.
    """
    file = folder / f"{FILES}.parquet"
    if not file.exists():
        return {}
    frame = read_parquet(file)
    if dict(frame.schema) != dict(pl.Schema(SCHEMA)):
        known = [name for name in ("path", "track_id", "fingerprint", "gone") if name in frame.columns]
        rows = frame.select(known).iter_rows(named=True)
        records = [_record({**dict.fromkeys(SCHEMA), **row, "size": UNREAD, "mtime_ns": 0}) for row in rows]
    else:
        records = [_record(row) for row in frame.iter_rows(named=True)]
    return {each.path: each for each in records}


def _record(row: Mapping[str, Any]) -> FileRecord:
    heard = row["duration_s"] is not None
    tags = {name: row[name] if row[name] is not None else [] for name in ("genres", "tags")}
    return FileRecord(
        PurePosixPath(row["path"]),
        row["size"],
        row["mtime_ns"],
        row["fingerprint"] or "",
        AudioFacts(**{name: row[name] for name in SOUND}) if heard else None,
        row["reason"],
        MusicTags(**{**{name: row[name] for name in TAGS}, **tags}),
        row["track_id"] or "",
        bool(row["gone"]),
    )
