"""The closing table of an import: what was read, and what of it was rejected, merged, made null, passed over or read
another way, each with a count and an example."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from data.ingest.rejects import Tally
from data.reporting import logger
from data.tables import SCHEMAS

log = logger(__name__)

MOST_LINES = 40
"Lines of the table; --json has all."
WHATS = ("rejected", "merged", "made null", "passed over", "read as")


class Line(NamedTuple):
    """Something that happened to so many rows, files or columns."""

    what: str
    where: str
    rows: int
    reason: str
    example: str


@dataclass
class Closing:
    """What an import made of its input. rejects: where the rejected rows lie."""

    tally: Tally = field(default_factory=Tally)
    kept: Mapping[str, int] = field(default_factory=dict)
    merged: Mapping[str, int] = field(default_factory=dict)
    rejects: Path | None = None

    def counts(self) -> dict[str, dict[str, int]]:
        """By table: rows read, and what became of them. Tracks that only other tables name are kept, and were read
        there."""
        found = {}
        for table in SCHEMAS:
            kept, merged, rejected = self.kept.get(table, 0), self.merged.get(table, 0), self.tally.rejected(table)
            merged += int(self.tally.remarks.filter(what="merged", where=table)["rows"].sum())
            if kept + merged + rejected:
                found[table] = {"read": kept + merged + rejected, "kept": kept, "merged": merged, "rejected": rejected}
        return found

    def lines(self) -> list[Line]:
        """By what happened, most rows first."""
        found = [
            Line("rejected", table, rows, reason, ", ".join(dict.fromkeys(shown)))
            for table, reasons in self.tally.reasons.items()
            for reason, (rows, shown) in reasons.items()
        ]
        found += [Line("merged", table, rows, "the same again", "") for table, rows in self.merged.items() if rows]
        found += [Line(what, where, *told) for (what, where, reason), told in _told(self.tally.remarks).items()]
        return sorted(found, key=lambda line: (WHATS.index(line.what), -line.rows))

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        lines = [line._asdict() for line in self.lines()]
        return {"tables": self.counts(), "notes": lines, "rejects": None if self.rejects is None else str(self.rejects)}

    def report(self) -> None:
        """Log it; nothing where all of the input was kept as it is."""
        lines = self.lines()
        if not lines:
            return
        for table, count in self.counts().items():
            parts = [f"{count[name]:,} {name}" for name in ("kept", "merged", "rejected") if count[name]]
            log.warning(f"{table}: {count['read']:,} read, {', '.join(parts)}")
        for text in _columns(lines[:MOST_LINES]):
            log.warning(text)
        if len(lines) > MOST_LINES:
            log.warning(f"  ... and {len(lines) - MOST_LINES:,} lines more; --json has all")
        if self.rejects is not None and self.tally.total:
            log.warning(f"  rejected rows: {self.rejects}")


def _told(remarks: pl.DataFrame) -> dict[tuple[str, str, str], tuple[int, str, str]]:
    """Remarks of one kind together: (what, where, reason) -> rows, reason, the first example."""
    grouped = remarks.group_by("what", "where", "reason", maintain_order=True).agg(
        pl.col("rows").sum(), pl.col("example").first()
    )
    return {(row[0], row[1], row[2]): (row[3], row[2], row[4]) for row in grouped.iter_rows()}


def _columns(lines: list[Line]) -> Iterator[str]:
    width = max(len(line.where) for line in lines)
    reasons = min(60, max(len(line.reason) for line in lines))
    for line in lines:
        example = line.example if len(line.example) <= 80 else f"{line.example[:79]}…"
        yield f"  {line.what:<11} {line.where:<{width}} {line.rows:>9,}  {line.reason:<{reasons}}  {example}".rstrip()
