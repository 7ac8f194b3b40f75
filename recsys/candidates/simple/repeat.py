"""Repeat: the songs played most in the query's history, recent plays counting more, and no others.

Two thirds of what people play is what they have played before: who does not beat this has learned nothing about them.
Where heard songs must not be answered it has no answer.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.resting import RestingSettings
from recsys.candidates.votes import Votes
from recsys.queries import EVIDENCE, Query, days_before
from recsys.ranked import Ranked


class RepeatSettings(RestingSettings):
    """How plays count."""

    half_life: Annotated[float | None, OneOf((*HALF_LIFE, 200.0, 500.0)), AtQuery] = None
    """Plays after which one counts half; None: all count the same, as validation prefers on the demo (simulated) and
    the radio plays. No matter where `decay` is set."""
    decay: Annotated[PositiveFloat | None, OneOf((None, 0.2, 0.5, 0.8, 1.2)), AtQuery] = None
    """A play counts age ** -decay, the age in hours and at least 1; where times are unknown, in plays. Summed over a
    song's plays it is the odds that the song is needed now, base-level activation in ACT-R (Anderson and Schooler 1991)
    and in Deezer's PISA (Tran et al. 2024). On the demo's validation (simulated; what the running session played rests)
    0.2 is level with plays that all count the same, 0.127 NDCG@100, and 0.5 reaches 0.123."""
    remembered: PositiveInt = 1000
    "Latest training plays kept of each listener."


class Repeat:
    """The listener's training plays, where training knows them, and then the query's history, as one row of plays."""

    name = "repeat"
    Settings = RepeatSettings
    reason = Reason("you have played it", about_songs="it is among these songs")

    def __init__(self, settings: RepeatSettings | None = None) -> None:
        self.settings = settings or RepeatSettings()

    def fit(self, dataset: Dataset) -> Self:
        seconds = (pl.col("listened_at").dt.epoch("ms") / 1000).fill_null(float("nan")).alias("seconds")
        kept = dataset.listens.select("user", "track", EVIDENCE.alias("evidence"), seconds).filter(
            pl.int_range(pl.len()).reverse().over("user") < self.settings.remembered
        )
        self.played, self.evidence, self.seconds = (kept[name].to_numpy() for name in ("track", "evidence", "seconds"))
        self.offsets = np.searchsorted(kept["user"].to_numpy(), np.arange(len(dataset.user_ids) + 1)).astype(np.int64)
        self.tracks = len(dataset.track_ids)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        return rank_rows(queries, k, map(self._score, queries))

    def _score(self, query: Query) -> NDArray[np.float32]:
        scores = np.zeros(self.tracks, np.float32)
        known = self._with_training_plays(query)
        np.add.at(scores, known.history, self._worth(known))
        return scores

    def _worth(self, query: Query) -> NDArray[np.float32]:
        """What each play of a history adds to its song."""
        if self.settings.decay is None:
            return query.weights(self.settings.half_life)
        age = np.arange(len(query.history), 0, -1.0) if query.ages_days is None else np.maximum(query.ages_days * 24, 1)
        return np.asarray(query.weights(None) * age**-self.settings.decay, np.float32)

    def _with_training_plays(self, query: Query) -> Query:
        """The query with the listener's training plays before its history.

        A history may begin inside the training plays: as many plays as the end of one and the beginning of the other
        have in common count once.
        """
        if query.user is None:
            return query
        plays = slice(self.offsets[query.user], self.offsets[query.user + 1])
        before, evidence, seconds = self.played[plays], self.evidence[plays], self.seconds[plays]
        fresh = len(before) - _overlap(before, query.history)
        ages = None
        if query.ages_days is not None and query.asked_at is not None:
            older = days_before(query.asked_at, seconds[:fresh])
            ages = None if older is None else np.concatenate([older, query.ages_days])
        known = np.concatenate([before[:fresh], query.history])
        return Query(known, np.concatenate([evidence[:fresh], query.weights(None)]), ages)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        played = set(query.history.tolist())
        return Votes.for_pairs(((at, int(track)) for at, track in enumerate(tracks) if track in played), len(tracks))

    def state(self) -> State:
        plays = {"played": self.played, "evidence": self.evidence, "seconds": self.seconds}
        return plays | {"offsets": self.offsets}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.played, self.evidence, self.offsets = (state[name] for name in ("played", "evidence", "offsets"))
        # Fits made before times were kept have none.
        self.seconds = state["seconds"] if "seconds" in state else np.full(len(self.played), np.nan)
        self.tracks = len(dataset.track_ids)
        return self


def _overlap(before: NDArray[np.int32], after: NDArray[np.int32]) -> int:
    """The most songs that `before` ends and `after` begins with.

    >>> _overlap(np.array([4, 1, 2, 1, 2]), np.array([1, 2, 1, 2, 7]))
    4
    """
    if not len(before):
        return 0
    for length in np.flatnonzero(after[: len(before)] == before[-1])[::-1] + 1:
        if np.array_equal(before[len(before) - length :], after[:length]):
            return int(length)
    return 0
