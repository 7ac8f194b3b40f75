"""Repeat: the songs played most in the query's history, recent plays counting more, and no others.

Two thirds of what people play is what they have played before: who does not beat this has learned nothing about them.
Where heard songs must not be answered it has no answer.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import PositiveInt

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.resting import RestingSettings
from recsys.candidates.votes import Votes
from recsys.queries import EVIDENCE, Query, history_matrix
from recsys.ranked import Ranked


class RepeatSettings(RestingSettings):
    """How plays count."""

    half_life: Annotated[float | None, OneOf((*HALF_LIFE, 200.0, 500.0)), AtQuery] = 20.0
    "Plays after which one counts half."
    remembered: PositiveInt = 1000
    "Latest training plays kept of each listener."


class Repeat:
    """The listener's training plays, where training knows them, and then the query's history, as one row of plays."""

    name = "repeat"
    Settings = RepeatSettings
    reason = Reason("you play it often", about_songs="it is among these songs")

    def __init__(self, settings: RepeatSettings | None = None) -> None:
        self.settings = settings or RepeatSettings()

    def fit(self, dataset: Dataset) -> Self:
        kept = dataset.listens.select("user", "track", EVIDENCE.alias("evidence")).filter(
            pl.int_range(pl.len()).reverse().over("user") < self.settings.remembered
        )
        self.played, self.evidence = kept["track"].to_numpy(), kept["evidence"].to_numpy()
        self.offsets = np.searchsorted(kept["user"].to_numpy(), np.arange(len(dataset.user_ids) + 1)).astype(np.int64)
        self.tracks = len(dataset.track_ids)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            known = [self._with_training_plays(query) for query in block]
            scores = history_matrix(known, self.tracks, self.settings.half_life).toarray()
            return scores, scores > 0

        return rank_in_blocks(queries, k, self.tracks, score)

    def _with_training_plays(self, query: Query) -> Query:
        """The query with the listener's training plays before its history.

        A history may begin inside the training plays: as many plays as the end of one and the beginning of the other
        have in common count once.
        """
        if query.user is None:
            return query
        plays = slice(self.offsets[query.user], self.offsets[query.user + 1])
        before, evidence = self.played[plays], self.evidence[plays]
        fresh = len(before) - _overlap(before, query.history)
        own = np.ones(len(query.history), np.float32) if query.evidence is None else query.evidence
        return Query(np.concatenate([before[:fresh], query.history]), np.concatenate([evidence[:fresh], own]))

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        played = set(query.history.tolist())
        return Votes.for_pairs(((at, int(track)) for at, track in enumerate(tracks) if track in played), len(tracks))

    def state(self) -> State:
        return {"played": self.played, "evidence": self.evidence, "offsets": self.offsets}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.played, self.evidence, self.offsets = (state[name] for name in ("played", "evidence", "offsets"))
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
