"""Session kNN: scores songs of the sessions most similar to the current one. VSKNN and VSTAN differ in weights."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_rows, runs
from recsys.candidates.sequential.sequences import Sequences, sequences
from recsys.candidates.sequential.session_index import (
    ENTRIES,
    CurrentSession,
    Rows,
    SessionIndex,
    SimilarSessions,
    current_sessions,
    held_by,
    neighbours,
    newest_first,
    positions,
    session_index,
)
from recsys.candidates.sparse_rows import summed_at
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked


@dataclass(frozen=True)
class Weights:
    """What counts how much. A session's song counts similarity * by_match * by_gap * (1 + idf * its idf)."""

    last: int
    "Plays that make the current session."
    by_age: NDArray[np.float64]
    "(last,) a song of the current session in the similarity, by its age in plays."
    by_session: NDArray[np.float64]
    "(S,) a session in the similarity."
    by_match: NDArray[np.float64]
    "(last,) a neighbour, by the age of the latest song it shares."
    by_gap: NDArray[np.float64] | None
    "(longest session,) a neighbour's song, by how far it stands from that one; None: all the same."
    idf: float
    sample: int
    nearest: int


class SessionKnn(ABC):
    """Sessions of listeners and playlists as neighbours. Nothing is learned but their index."""

    index: SessionIndex

    @abstractmethod
    def weights(self) -> Weights:
        """By the settings, for the sessions in the index."""

    def fit(self, dataset: Dataset) -> Self:
        return self._index(newest_first(sequences(dataset, of="session")), len(dataset.track_ids))

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return rank_rows(queries, k, self._scores(queries))

    def _scores(self, queries: Sequence[Query]) -> Iterator[NDArray[np.float32]]:
        weights, current = self._weights, current_sessions(queries, self._weights.last)
        for group in runs(held_by(self.index, current, len(queries), weights.sample), ENTRIES):
            found = self._neighbours(_part(current, group), weights)
            starts = np.searchsorted(found.rows, np.arange(group.stop - group.start + 1))
            for start, stop in pairwise(starts):
                _, songs, values = self._songs(found.between(start, stop), weights)
                # Many songs tie; in float32 the order of the sums would tell them apart.
                yield np.bincount(songs, values, self.index.catalogue).astype(np.float32)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        """The weight of the sessions through which a song was found, given to the latest song shared with each."""
        found = self._neighbours(current_sessions([query], self._weights.last), self._weights)
        if not len(found.rows):
            return Votes.none(len(tracks))
        matches, rows = np.unique(found.match, return_inverse=True)
        entry, songs, values = self._songs(found, self._weights)
        spoken = summed_at(rows[entry], len(matches), songs, values, tracks, self.index.catalogue)
        return Votes(matches.astype(np.int32), spoken)

    def state(self) -> State:
        return {"offsets": self.index.offsets, "tracks": self.index.tracks, "days": self.index.days}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self._index(Sequences(state["offsets"], state["tracks"], state["days"]), len(dataset.track_ids))

    def _index(self, sessions: Sequences, tracks: int) -> Self:
        self.index = session_index(sessions, tracks)
        self._weights = self.weights()
        return self

    def _songs(self, found: SimilarSessions, weights: Weights) -> tuple[Rows, NDArray[np.int32], NDArray[np.float64]]:
        """Of every song of the neighbours: which neighbour's it is, the song, and what it counts."""
        index, lengths = self.index, self.index.lengths[found.sessions]
        entry, place = np.repeat(np.arange(len(lengths)), lengths), positions(lengths)
        values = (found.similarity * weights.by_match[found.age])[entry]
        if weights.by_gap is not None:
            values = values * weights.by_gap[np.abs(place - found.place[entry])]
        songs = index.tracks[index.offsets[found.sessions][entry] + place]
        if weights.idf:
            values = values * (1 + weights.idf * index.idf[songs])
        return entry, songs, values

    def _neighbours(self, current: CurrentSession, weights: Weights) -> SimilarSessions:
        return neighbours(self.index, current, weights.by_age, weights.by_session, weights.sample, weights.nearest)


def decays(half_life: float | None, count: int) -> NDArray[np.float64]:
    """(count,) 1, then halved every `half_life`; None does not decay."""
    return np.ones(count) if half_life is None else 0.5 ** (np.arange(count) / half_life)


def _part(current: CurrentSession, group: slice) -> CurrentSession:
    """The queries of a group, numbered from 0."""
    start, stop = np.searchsorted(current.rows, [group.start, group.stop])
    return CurrentSession(current.rows[start:stop] - group.start, current.tracks[start:stop], current.ages[start:stop])
