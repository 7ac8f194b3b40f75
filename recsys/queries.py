"""A query: everything known when songs are recommended. One type for every task; a single query is a batch of one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

NOTHING = np.zeros(0, np.int32)

EVIDENCE = (
    pl.when(pl.col("feedback") == "like")
    .then(2.0)
    .when(pl.col("feedback") == "dislike")
    .then(-1.0)
    .when(pl.col("feedback") == "skip")
    .then(-0.5)
    .when(pl.col("played_ratio") < 0.5)
    .then(0.0)
    .otherwise(1.0)
    .cast(pl.Float32)
)
"""What a listen says about liking: a like counts double, a skip counts against, a play broken off says nothing."""


@dataclass(frozen=True)
class Query:
    """What is known: a history (or seed songs), oldest first, with evidence per play; a listener; words; no-goes."""

    history: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    evidence: NDArray[np.float32] | None = None
    "EVIDENCE per play; None counts every play as 1."
    ages_days: NDArray[np.float32] | None = None
    "Days from each play to the moment of the question, at least 0; None where times are unknown (`days_before`)."
    asked_at: float | None = None
    "The moment of the question, seconds since 1970, where it is known."
    user: int | None = None
    "Row of a listener whom training may know."
    text: str | None = None
    "A playlist's title, or free text."
    exclude: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    "Songs that must not be answered: seeds, heard or blocked ones."
    allowed: NDArray[np.bool_] | None = None
    "(N,) True for the only songs that may be answered, less those excluded; None is all."
    disliked: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    "Songs of which the listener's last word was a dislike, however long ago."
    liked: NDArray[np.int32] = field(default_factory=lambda: NOTHING)
    "Songs they wanted; needed only beside `disliked`."

    @property
    def is_title_alone(self) -> bool:
        """Words without a song."""
        return bool(self.text) and not len(self.history)

    def without(self, songs: NDArray[np.bool_]) -> "Query":
        """The query as if nobody had played these songs, a mask over the tracks; what may not be answered stays."""
        kept = ~songs[self.history]
        return replace(
            self,
            history=self.history[kept],
            evidence=None if self.evidence is None else self.evidence[kept],
            ages_days=None if self.ages_days is None else self.ages_days[kept],
            disliked=self.disliked[~songs[self.disliked]],
            liked=self.liked[~songs[self.liked]],
        )

    def after(self, songs: NDArray[np.int32]) -> "Query":
        """The same question once these songs were played as well, just now; they are not answered."""
        evidence, ages = (
            None if of is None else np.concatenate([of, np.full(len(songs), value, np.float32)])
            for of, value in ((self.evidence, 1), (self.ages_days, 0))
        )
        history, exclude = np.concatenate([self.history, songs]), np.union1d(self.exclude, songs)
        return replace(self, history=history, evidence=evidence, ages_days=ages, exclude=exclude)

    def among(self, songs: NDArray[np.int32], tracks: int) -> "Query":
        """The same question, answered by none but these songs. tracks: size N of the catalogue."""
        allowed = np.zeros(tracks, np.bool_)
        allowed[songs] = True
        return self.only(allowed)

    def only(self, songs: NDArray[np.bool_]) -> "Query":
        """The same question, answered by none but these songs, a mask over the tracks that is not copied."""
        return replace(self, allowed=songs if self.allowed is None else songs & self.allowed)

    def never_played(self, song: int) -> "Query":
        """The same question of somebody who never played the song; it may be answered, unless it is disliked."""
        kept = self.history != song
        evidence, ages = (None if of is None else of[kept] for of in (self.evidence, self.ages_days))
        exclude = self.exclude if song in self.disliked else self.exclude[self.exclude != song]
        return replace(self, history=self.history[kept], evidence=evidence, ages_days=ages, exclude=exclude)

    def weights(self, half_life: float | None) -> NDArray[np.float32]:
        """Evidence per play, halved every `half_life` plays back from the latest one; None does not decay."""
        evidence = np.ones(len(self.history), np.float32) if self.evidence is None else self.evidence
        if half_life is None:
            return evidence
        age = np.arange(len(self.history) - 1, -1, -1, dtype=np.float32)
        return (evidence * 0.5 ** (age / half_life)).astype(np.float32)

    def song_weights(self, half_life: float | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The distinct songs of the history and their summed weights, each (H,)."""
        songs, rows = self._distinct
        return songs, np.bincount(rows, self.weights(half_life), len(songs)).astype(np.float32)

    @property
    def songs(self) -> NDArray[np.int32]:
        """The distinct songs of the history, ascending."""
        return self._distinct[0]

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """`songs`, and which of them each play is; every source asks for it."""
        return np.unique(self.history, return_inverse=True)


def days_before(moment: float, played: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Days from each play to the moment, 0 for plays after it; None where the time of any of them is unknown.

    moment, played: seconds since 1970, NaN or infinite where unknown.
    """
    days = (moment - played) / 86_400
    return np.maximum(days, 0).astype(np.float32) if np.isfinite(days).all() else None


def history_matrix(queries: Sequence[Query], tracks: int, half_life: float | None) -> csr_matrix:
    """(Q, N) float32: each query's summed weights per song."""
    lengths = [len(query.history) for query in queries]
    columns = np.concatenate([NOTHING, *(query.history for query in queries)])
    values = np.concatenate([np.zeros(0, np.float32), *(query.weights(half_life) for query in queries)])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    matrix = csr_matrix((values, columns, offsets), shape=(len(queries), tracks), dtype=np.float32)
    matrix.sum_duplicates()
    return matrix


def excluded(queries: Sequence[Query], tracks: int) -> NDArray[np.bool_]:
    """(Q, N) True where a song must not be answered."""
    mask = np.zeros((len(queries), tracks), np.bool_)
    for row, query in enumerate(queries):
        if query.allowed is not None:
            mask[row] = ~query.allowed
        mask[row, query.exclude] = True
    return mask
