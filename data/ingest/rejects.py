"""Counts rejected rows by table and reason, with a few examples of where they came from; and gathers remarks."""

from dataclasses import dataclass, field

import polars as pl

from data.tables import no_remarks

SHOWN_ROWS = 3
MOST_REASONS = 10_000
"Reasons may contain a value of the row; at most so many are counted separately, the rest together."


@dataclass
class Tally:
    """Counts rejects that come in parts. `reasons`: table -> reason -> (rows, what a few of them were)."""

    reasons: dict[str, dict[str, tuple[int, list[str]]]] = field(default_factory=dict)
    remarks: pl.DataFrame = field(default_factory=no_remarks)
    "Rows of REMARK_SCHEMA."

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

    def rejected(self, table: str) -> int:
        """Rejected rows of a table."""
        return sum(rows for rows, _ in self.reasons.get(table, {}).values())

    def remark(self, remarks: pl.DataFrame) -> None:
        """Some more rows of REMARK_SCHEMA."""
        self.remarks = pl.concat([self.remarks, remarks])
