"""One recommended song, and a batch of them as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl


@dataclass(frozen=True)
class Recommendation:
    """One recommended song.

    score: what the list is ordered by, comparable within one list only. reason: one line of words. sources: the
    candidate sources that proposed it, by their share of the score, largest first. because: the track_id of a
    played (or given) song without which this one would stand farther down; None where no single song was found. year: of its release. duration_s: seconds.
    audio_path: as in the tracks table.
    """

    track_id: str
    title: str | None
    artist: str | None
    score: float
    reason: str
    sources: tuple[str, ...]
    because: str | None
    album: str | None = None
    year: int | None = None
    duration_s: float | None = None
    audio_path: str | None = None


SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "user_id": pl.String,
    "rank": pl.Int32,
    "track_id": pl.String,
    "title": pl.String,
    "artist": pl.String,
    "score": pl.Float32,
    "reason": pl.String,
    "sources": pl.List(pl.String),
    "because": pl.String,
    "album": pl.String,
    "year": pl.Int32,
    "duration_s": pl.Float32,
    "audio_path": pl.String,
}


def as_frame(users: Sequence[str], results: Sequence[Sequence[Recommendation]]) -> pl.DataFrame:
    """A row per recommended song: user_id, rank (from 1), and the fields of Recommendation."""
    rows = [
        {"user_id": user, "rank": rank, **asdict(song), "sources": list(song.sources)}
        for user, result in zip(users, results, strict=True)
        for rank, song in enumerate(result, start=1)
    ]
    return pl.DataFrame(rows, SCHEMA)
