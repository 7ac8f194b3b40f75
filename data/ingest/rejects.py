"""Summary of rejected rows: counts by table and reason, with a few examples of where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from data.reporting import logger
from data.tables import SCHEMAS

log = logger(__name__)

SHOWN_REASONS = 8
SHOWN_ROWS = 3
MOST_REASONS = 10_000
"Reasons may contain a value of the row; at most so many are counted separately, the rest together."


@dataclass
class Tally:
    """Counts rejects that come in parts. `reasons`: table -> reason -> (rows, what a few of them were)."""

    reasons: dict[str, dict[str, tuple[int, list[str]]]] = field(default_factory=dict)

    def add(self, rejects: pl.DataFrame) -> None:
        """Some more rows of REJECT_SCHEMA."""
        content = pl.col("content").fill_null("").str.slice(0, 60)
        origin = pl.when(pl.col("source") != "").then("source").otherwise(content)
        counts = rejects.group_by("table", "reason", maintain_order=True).agg(
            rows=pl.len(), shown=origin.head(SHOWN_ROWS)
        )
        for table, reason, rows, shown in counts.iter_rows():
            known = self.reasons.setdefault(table, {})
            said = reason if reason in known or len(known) < MOST_REASONS else "other reasons"
            before, examples = known.get(said, (0, []))
            known[said] = (before + rows, (examples + shown)[:SHOWN_ROWS])

    @property
    def total(self) -> int:
        """All rejected rows."""
        return sum(rows for reasons in self.reasons.values() for rows, _ in reasons.values())

    def report(self, kept: Mapping[str, int], path: Path | None = None) -> None:
        """Say it. kept: rows that are left, by table. path: where the rejected rows lie."""
        for table in SCHEMAS:
            reasons = self.reasons.get(table, {})
            if not reasons:
                continue
            rejected = sum(rows for rows, _ in reasons.values())
            log.warning(f"{table}: {kept.get(table, 0):,} kept, {rejected:,} rejected" + (f" ({path})" if path else ""))
            most = sorted(reasons.items(), key=lambda item: -item[1][0])
            for reason, (rows, shown) in most[:SHOWN_REASONS]:
                log.warning(f"  {rows:>6,}  {reason:<40} {', '.join(dict.fromkeys(shown))}")
