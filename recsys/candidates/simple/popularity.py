"""Popularity: the most played songs, recent plays counting more; and random, the floor of every comparison."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from data.dataset import POSITIVE, Dataset
from recsys.candidates.collaborative.interactions import aged
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import OneOf, Reason
from recsys.queries import Query
from recsys.ranked import Ranked

DAYS = (None, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 21.0, 30.0, 60.0, 90.0, 180.0)


class PopularitySettings(BaseModel):
    """How plays count."""

    half_life_days: Annotated[float | None, OneOf(DAYS)] = None
    "A play counts half after so many days; None: all plays count the same."


class Popularity:
    """The songs with the most wanted plays and playlist entries, whoever asks."""

    name = "popularity"
    Settings = PopularitySettings
    reason = Reason("popular")

    def __init__(self, settings: PopularitySettings | None = None) -> None:
        self.settings = settings or PopularitySettings()

    def fit(self, dataset: Dataset) -> Self:
        self.scores = play_counts(dataset, self.settings.half_life_days)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            return np.broadcast_to(self.scores, (len(block), len(self.scores))), self.scores > 0

        return rank_in_blocks(queries, k, len(self.scores), score)

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        return [None] * len(tracks)

    def state(self) -> State:
        return {"scores": self.scores}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.scores = state["scores"]
        return self


def play_counts(dataset: Dataset, half_life_days: float | None = None) -> NDArray[np.float32]:
    """(N,) wanted plays plus playlist entries of each song; plays are discounted by their age where times are known."""
    counts = np.zeros(len(dataset.track_ids), np.float32)
    plays = dataset.listens.filter(POSITIVE)
    np.add.at(counts, plays["track"].to_numpy(), aged(plays, half_life_days).to_numpy().astype(np.float32))
    np.add.at(counts, dataset.playlist_tracks["track"].to_numpy(), 1.0)
    return counts


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

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        return [None] * len(tracks)

    def state(self) -> State:
        return {"tracks": np.array(self.tracks)}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.tracks = int(state["tracks"])
        return self
