"""Session kNN: scores songs of the sessions most similar to the current one. VSKNN and VSTAN differ in weights."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks, runs
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
        weights, tracks = self.weights(), len(self.index.starts) - 1
        worth = 1 + weights.idf * self.index.idf()

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            current = current_sessions(block, weights.last)
            scores = np.zeros((len(block), tracks), np.float32)
            for group in runs(held_by(self.index, current, len(block), weights.sample), ENTRIES):
                found = self._neighbours(_part(current, group), weights)
                _add_songs(scores[group], self.index, found, found.rows, weights)
            scores *= worth.astype(np.float32)
            return scores, scores > 0

        return rank_in_blocks(queries, k, tracks, score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        """The weight of the sessions through which a song was found, given to the latest song shared with each."""
        weights = self.weights()
        found = self._neighbours(current_sessions([query], weights.last), weights)
        if not len(found.rows):
            return Votes.none(len(tracks))
        songs, rows = np.unique(found.match, return_inverse=True)
        spoken = np.zeros((len(songs), len(self.index.starts) - 1), np.float32)
        order = np.argsort(rows, kind="stable")
        matched = SimilarSessions(**{name: values[order] for name, values in vars(found).items()})
        _add_songs(spoken, self.index, matched, rows[order].astype(np.int64), weights)
        return Votes(songs.astype(np.int32), spoken[:, tracks])

    def state(self) -> State:
        return {"offsets": self.index.offsets, "tracks": self.index.tracks, "days": self.index.days}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self._index(Sequences(state["offsets"], state["tracks"], state["days"]), len(dataset.track_ids))

    def _index(self, sessions: Sequences, tracks: int) -> Self:
        self.index = session_index(sessions, tracks)
        return self

    def _neighbours(self, current: CurrentSession, weights: Weights) -> SimilarSessions:
        return neighbours(self.index, current, weights.by_age, weights.by_session, weights.sample, weights.nearest)


def decays(half_life: float | None, count: int) -> NDArray[np.float64]:
    """(count,) 1, then halved every `half_life`; None does not decay."""
    return np.ones(count) if half_life is None else 0.5 ** (np.arange(count) / half_life)


def _part(current: CurrentSession, group: slice) -> CurrentSession:
    """The queries of a group, numbered from 0."""
    start, stop = np.searchsorted(current.rows, [group.start, group.stop])
    return CurrentSession(current.rows[start:stop] - group.start, current.tracks[start:stop], current.ages[start:stop])


def _add_songs(
    scores: NDArray[np.float32], index: SessionIndex, found: SimilarSessions, rows: Rows, weights: Weights
) -> None:
    """Add the neighbours' songs to the scores (R, N). rows: row of each neighbour, in order."""
    lengths = index.lengths[found.sessions]
    per_row = np.bincount(rows, weights=lengths, minlength=len(scores)).astype(np.int64)
    values = found.similarity * weights.by_match[found.age]
    for group in runs(per_row, ENTRIES):
        start, stop = np.searchsorted(rows, [group.start, group.stop])
        counts = lengths[start:stop]
        entry, place = np.repeat(np.arange(start, stop), counts), positions(counts)
        added = values[entry]
        if weights.by_gap is not None:
            added = added * weights.by_gap[np.abs(place - found.place[entry])]
        songs = index.tracks[index.offsets[found.sessions[entry]] + place]
        cells = coo_array((added, (rows[entry] - group.start, songs)), shape=scores[group].shape)
        scores[group] += cells.toarray().astype(np.float32)
