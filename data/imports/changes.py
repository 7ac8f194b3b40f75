"""What is new, changed and gone between two versions of the tables."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from data.storage.duckdb_query import connect, parquet

COUNTED = ("tracks", "listens", "playlists")


@dataclass(frozen=True)
class Change:
    """Rows of a table. A listen has no id: another one is a new one."""

    new: int = 0
    changed: int = 0
    gone: int = 0

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


@dataclass(frozen=True)
class Changes:
    """By table; `first` where there was nothing before."""

    tables: dict[str, Change] = field(default_factory=lambda: {name: Change() for name in COUNTED})
    first: bool = False

    def as_json(self) -> dict[str, dict[str, int]]:
        """For programs."""
        return {name: asdict(change) for name, change in self.tables.items()}

    def in_words(self) -> str:
        """`tracks 1 new, 2 gone; listens 40 new`, or that nothing changed."""
        told = [f"{name} {', '.join(_said(change))}" for name, change in self.tables.items() if change]
        return "; ".join(told) or "nothing changed"


def changes(old: Path, new: Path, spill: Path, memory: str) -> Changes:
    """Count them; both folders hold Parquet files of the contract. spill: where what exceeds `memory` goes."""
    with connect(spill, memory) as database:
        return Changes(
            {
                "tracks": _by_id(database, _rows(database, old, "tracks"), _rows(database, new, "tracks")),
                "listens": _alike(database, _rows(database, old, "listens"), _rows(database, new, "listens")),
                "playlists": _by_id(database, _lists(database, old), _lists(database, new)),
            }
        )


def _said(change: Change) -> Iterator[str]:
    for what, count in asdict(change).items():
        if count:
            yield f"{count:,} {what}"


def _rows(database: duckdb.DuckDBPyConnection, folder: Path, table: str) -> str:
    """SQL: every row's id, where it has one, and a hash of what it says. A column of nulls says what none says."""
    source = parquet(folder, f"{table}.parquet")
    columns = [row[0] for row in database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    told = (f"""CASE WHEN "{name}" IS NULL THEN 0 ELSE hash('{name}', "{name}")::HUGEINT END""" for name in columns)
    identity = f"{table[:-1]}_id" if f"{table[:-1]}_id" in columns else "NULL"
    return f"SELECT {identity} AS id, {' + '.join(told)} AS said FROM {source}"


def _lists(database: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """SQL: every playlist, with its songs in order among what it says."""
    entries = f"""
        SELECT playlist_id AS id, hash(list(track_id ORDER BY position))::HUGEINT AS songs
        FROM {parquet(folder, "playlist_tracks.parquet")} GROUP BY playlist_id
    """
    lists = _rows(database, folder, "playlists")
    return f"SELECT id, said + coalesce(songs, 0) AS said FROM ({lists}) LEFT JOIN ({entries}) USING (id)"


def _by_id(database: duckdb.DuckDBPyConnection, old: str, new: str) -> Change:
    row = database.execute(
        f"""
        SELECT count(*) FILTER (old.said IS NULL), count(*) FILTER (old.said <> new.said),
            count(*) FILTER (new.said IS NULL)
        FROM ({old}) old FULL JOIN ({new}) new USING (id)
        """
    ).fetchone()
    return Change(*map(int, row or (0, 0, 0)))


def _alike(database: duckdb.DuckDBPyConnection, old: str, new: str) -> Change:
    """Rows without an id, as often as they stand there."""
    row = database.execute(
        f"""
        SELECT coalesce(sum(more) FILTER (more > 0), 0), coalesce(-sum(more) FILTER (more < 0), 0) FROM (
            SELECT said, sum(one) AS more FROM (
                SELECT said, 1 AS one FROM ({new}) UNION ALL SELECT said, -1 FROM ({old})
            ) GROUP BY said
        )
        """
    ).fetchone()
    came, gone = row or (0, 0)
    return Change(new=int(came), gone=int(gone))
