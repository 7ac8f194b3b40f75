"""Popularity: the songs that most listeners play, recent plays counting more; and random, the floor of comparisons."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from data.dataset import POSITIVE, Dataset
from recsys.candidates.collaborative.interactions import aged
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import OneOf, Reason
from recsys.candidates.votes import Votes
from recsys.queries import NOTHING, Query, excluded
from recsys.ranked import Ranked, Row, best_of_row

COUNTED = 3
"""Plays that a listener adds to a song's popularity at most. As good as all of them where nobody overdoes it: on the
demo and the radio plays the recall is the same within its noise."""
DAYS = (None, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 30.0, 60.0, 90.0, 180.0)


class PopularitySettings(BaseModel):
    """How plays count."""

    half_life_days: Annotated[float | None, OneOf(DAYS)] = None
    "A play counts half after so many days; None: all plays count the same."


class Popularity:
    """The songs with the most wanted plays, of one listener at most three, and playlist entries, whoever asks."""

    name = "popularity"
    Settings = PopularitySettings
    reason = Reason("popular")

    def __init__(self, settings: PopularitySettings | None = None) -> None:
        self.settings = settings or PopularitySettings()

    def fit(self, dataset: Dataset) -> Self:
        self.scores = play_counts(dataset, self.settings.half_life_days)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return Ranked.from_rows([self._first(query, k) for query in queries])

    def _first(self, query: Query, k: int) -> Row:
        songs = self._order
        out = excluded([query], len(self.scores))[0]
        looked_at, kept = k + len(query.exclude), NOTHING
        while len(kept) < k:
            kept = songs[:looked_at][~out[songs[:looked_at]]]
            if looked_at >= len(songs):
                break
            looked_at *= 4
        return kept[:k], self.scores[kept[:k]]

    @cached_property
    def _order(self) -> NDArray[np.int32]:
        """Every song that anybody plays, most played first."""
        return best_of_row(self.scores, self.scores > 0, len(self.scores))[0]

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return Votes.none(len(tracks))

    def state(self) -> State:
        return {"scores": self.scores}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.scores = state["scores"]
        return self


def play_counts(dataset: Dataset, half_life_days: float | None = None) -> NDArray[np.float32]:
    """(N,) wanted plays, a listener's last COUNTED of a song, plus playlist entries of each song.

    Plays are discounted by their age where times are known. One account that plays one song all day moves it by three.
    """
    counts = np.zeros(len(dataset.track_ids), np.float32)
    plays = dataset.listens.filter(POSITIVE)
    weights = aged(plays, half_life_days)
    tracks = plays["track"].to_numpy()
    counted = later_plays(plays["user"].to_numpy(), tracks, len(counts)) < COUNTED
    np.add.at(counts, tracks[counted], weights.to_numpy()[counted].astype(np.float32))
    np.add.at(counts, dataset.playlist_tracks["track"].to_numpy(), 1.0)
    return counts


def later_plays(users: NDArray[np.int32], tracks: NDArray[np.int32], catalogue: int) -> NDArray[np.int64]:
    """(plays,) how often the listener plays the song again after each play, where they come in order.

    By sorting: a window of Polars over listener and song took 16 s and a gigabyte of ten million plays, this takes 2.
    """
    pairs = users.astype(np.int64) * catalogue + tracks
    order = np.argsort(pairs, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(pairs[order]) != 0, np.ones(min(len(pairs), 1), np.bool_)))
    later = np.empty(len(pairs), np.int64)
    later[order] = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(pairs))
    return later


class RandomSettings(BaseModel):
    """Which order."""

    seed: int = 20260101


class Random:
    """A fresh random order of the catalogue for each query; the same query gets the same one."""

    name = "random"
    Settings = RandomSettings
    reason = Reason("drawn at random")

    def __init__(self, settings: RandomSettings | None = None) -> None:
        self.settings = settings or RandomSettings()

    def fit(self, dataset: Dataset) -> Self:
        self.tracks = len(dataset.track_ids)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            rows = [self._rng(query).random(self.tracks, np.float32) for query in block]
            return np.stack(rows), np.ones(self.tracks, np.bool_)

        return rank_in_blocks(queries, k, self.tracks, score)

    def _rng(self, query: Query) -> np.random.Generator:
        known = [query.user or 0, len(query.history), *query.history[-20:].tolist(), *query.exclude[-20:].tolist()]
        return np.random.default_rng([self.settings.seed, *known])

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return Votes.none(len(tracks))

    def state(self) -> State:
        return {"tracks": np.array(self.tracks)}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.tracks = int(state["tracks"])
        return self
