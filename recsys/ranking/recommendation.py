"""One recommended song, and a batch of them as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from recsys.queries import Query
from recsys.ranking.explain import Explanation
from recsys.ranking.reasons import HowNear, Known, Question, reason_in_words

EMPTY = Query()


@dataclass(frozen=True)
class Recommendation:
    """One recommended song.

    score: what the list is ordered by, comparable within one list only. reason: one line of words. sources: the
    candidate sources that proposed it, by their share of the score, largest first; `shares` add up to 1. because: the
    track_id of a played (or given) song without which this one would stand farther down; None where no single song was
    found. year: of its release. duration_s: seconds. audio_path: as in the tracks table.
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
    shares: tuple[float, ...] = ()


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
    "shares": pl.List(pl.Float64),
}


class Naming:
    """Rows of a dataset as Recommendations."""

    def __init__(self, dataset: Dataset, artists: NDArray[np.int32], how_near: HowNear) -> None:
        """artists: (N,) a number each, -1 unknown. how_near: in words."""
        self._dataset, self._artists, self._how_near = dataset, artists, how_near

    @cached_property
    def _played(self) -> NDArray[np.bool_]:
        """(N,) songs that anybody has played or put into a playlist; all where most have no play, which then says
        nothing."""
        played = np.zeros(len(self._dataset.track_ids), np.bool_)
        for table in (self._dataset.listens, self._dataset.playlist_tracks):
            played[table["track"].to_numpy()] = True
        return played if played.mean() > 1 / 2 else np.ones_like(played)

    def __call__(
        self,
        tracks: NDArray[np.int32],
        scores: NDArray[np.float32],
        explanations: Sequence[Explanation] = (),
        question: Question = "listener",
        reasons: Sequence[str] | None = None,
        query: Query = EMPTY,
    ) -> list[Recommendation]:
        """explanations: one each; none leave sources and reasons empty. reasons: one each; else each explanation in
        words. query: what was asked."""
        ids = self._dataset.track_ids.names
        if not explanations:
            explanations, reasons = [Explanation(())] * len(tracks), [""] * len(tracks)
        return [
            Recommendation(
                track_id=ids[track],
                score=float(scores[at]),
                reason=reasons[at]
                if reasons
                else reason_in_words(
                    self._dataset,
                    track,
                    explanations[at],
                    question,
                    Known.of(query, track, self._artists, self._played),
                    self._how_near,
                ),
                sources=explanations[at].sources,
                because=None if (row := explanations[at].because) is None else ids[row],
                shares=explanations[at].shares,
                title=song.title,
                artist=song.artist,
                album=song.album,
                year=song.year,
                duration_s=song.duration_s,
                audio_path=song.audio_path,
            )
            for at, track in enumerate(tracks.tolist())
            if (song := self._dataset.song(track))
        ]


def as_frame(users: Sequence[str], results: Sequence[Sequence[Recommendation]]) -> pl.DataFrame:
    """A row per recommended song: user_id, rank (from 1), and the fields of Recommendation."""
    rows = [
        {"user_id": user, "rank": rank, **asdict(song), "sources": list(song.sources), "shares": list(song.shares)}
        for user, result in zip(users, results, strict=True)
        for rank, song in enumerate(result, start=1)
    ]
    return pl.DataFrame(rows, SCHEMA)
