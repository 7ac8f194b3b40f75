"""What an importer of a public data set hands over, put together as the contract of parts says."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data.tables import REJECT_SCHEMA, REMARK_SCHEMA, SCHEMAS, Imported, TablePart, Validated, validate

MOST_ROWS = 100_000


def gathered(parts: Iterable[TablePart]) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Tables and rejects; tracks that are only named in other tables get a row. Checks each part's form."""
    tables: dict[str, list[pl.DataFrame]] = {}
    rejects = [pl.DataFrame(schema=REJECT_SCHEMA)]
    for name, rows in parts:
        assert rows.height <= MOST_ROWS
        if name == "remarks":
            assert dict(rows.schema) == REMARK_SCHEMA
        elif name == "rejects":
            assert dict(rows.schema) == dict(rejects[0].schema)
            rejects.append(rows)
        else:
            assert set(rows.columns) <= set(SCHEMAS[name])
            tables.setdefault(name, []).append(rows)
    joined = {name: pl.concat(some, how="diagonal_relaxed") for name, some in tables.items()}
    if "tracks" in joined:
        named = [joined[name].select("track_id").drop_nulls() for name in ("listens", "features") if name in joined]
        bare = pl.concat(named).unique(maintain_order=True).join(joined["tracks"], "track_id", "anti")
        joined["tracks"] = pl.concat([joined["tracks"], bare], how="diagonal_relaxed")
    return joined, pl.concat(rejects)


def checked(parts: Iterable[TablePart]) -> Validated:
    """The same after validation."""
    tables, rejects = gathered(parts)
    return validate(Imported(tables, rejects))


def reasons(valid: Validated, table: str) -> list[tuple[str, str]]:
    """Reason and content of a table's rejects."""
    return valid.rejects.filter(table=table).select("reason", "content").rows()


def rows(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return frame.select(columns).rows()


def write(folder: Path, files: dict[str, str], encoding: str = "utf-8") -> Path:
    """Text files by their published names, their ends of lines as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding=encoding, newline="")
    return folder
