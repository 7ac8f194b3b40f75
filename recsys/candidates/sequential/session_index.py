"""Index of training sessions and playlists: finds those most similar to the current session, for VSKNN and VSTAN.

Everything is flat arrays over a group of queries: an entry per song of a query and session that holds it, sorted by
query and session. Groups are cut so that no such array outgrows `ENTRIES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.candidates.sequential.sequences import Sequences
from recsys.queries import NOTHING, Query

ENTRIES = 2_000_000
"""Entries worked on at once: 16 MB an array, about ten of them. One query alone may need more."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class SessionIndex:
    """Sessions newest first, each song of one once, at its last place; and for every song the sessions that hold it.

    offsets (S + 1,), tracks: the sessions' songs by place. days: (S,). starts (N + 1,): song t is held by sessions
    `holders[starts[t]:starts[t + 1]]`, newest first, at `places` of them.
    """

    offsets: NDArray[np.int64]
    tracks: NDArray[np.int32]
    days: NDArray[np.float64]
    starts: NDArray[np.int64]
    holders: NDArray[np.int64]
    places: NDArray[np.int64]

    @property
    def catalogue(self) -> int:
        """N, how many songs there are."""
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(S,) songs in each session."""
        return np.diff(self.offsets)

    @cached_property
    def idf(self) -> NDArray[np.float64]:
        """(N,) log of sessions by sessions that hold the song; 0 for a song in none."""
        held = np.diff(self.starts)
        return np.where(held > 0, np.log(max(len(self.days), 1) / np.maximum(held, 1)), 0.0)


@dataclass(frozen=True)
class CurrentSession:
    """Songs played last: their query, track, and age in plays (0 = the last one). By query, latest first."""

    rows: Rows
    tracks: NDArray[np.int32]
    ages: Rows


@dataclass(frozen=True)
class SimilarSessions:
    """Sessions like the queries' current ones, by query and session.

    match: the latest song that both have; age: how many plays ago that was; place: where it stands in the session.
    """

    rows: Rows
    sessions: Rows
    similarity: NDArray[np.float64]
    match: NDArray[np.int32]
    age: Rows
    place: Rows

    def between(self, start: int, stop: int) -> "SimilarSessions":
        """Some of them, not copied."""
        return SimilarSessions(**{name: values[start:stop] for name, values in vars(self).items()})


def newest_first(sequences: Sequences) -> Sequences:
    """Sessions by age, each song of one once, where it stands last."""
    order = np.argsort(sequences.days, kind="stable")
    session = np.repeat(np.argsort(order), sequences.lengths())
    place = np.arange(len(session))
    by_song = np.lexsort((place, sequences.tracks, session))
    last = np.append(
        (np.diff(session[by_song]) != 0) | (np.diff(sequences.tracks[by_song]) != 0), np.ones(min(len(place), 1), bool)
    )
    kept = by_song[last]
    kept = kept[np.lexsort((place[kept], session[kept]))]
    lengths = np.bincount(session[kept], minlength=len(sequences))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(offsets, sequences.tracks[kept], sequences.days[order])


def session_index(sessions: Sequences, tracks: int) -> SessionIndex:
    """Index what `newest_first` gives over a catalogue of so many songs."""
    session = np.repeat(np.arange(len(sessions)), sessions.lengths())
    place = np.arange(len(session)) - sessions.offsets[session]
    by_song = np.argsort(sessions.tracks, kind="stable")
    starts = np.searchsorted(sessions.tracks[by_song], np.arange(tracks + 1)).astype(np.int64)
    return SessionIndex(sessions.offsets, sessions.tracks, sessions.days, starts, session[by_song], place[by_song])


def current_sessions(queries: Sequence[Query], last: int) -> CurrentSession:
    """The last `last` wanted plays of each history, each song once, where it stands last.

    A query holds no times, so nothing says where the session began; the age in plays stands for it.
    """
    tracks, ages = [NOTHING], [np.zeros(0, np.int64)]
    for query in queries:
        played = query.history if query.evidence is None else query.history[query.evidence > 0]
        songs, age = np.unique(played[::-1][:last], return_index=True)
        order = np.argsort(age)
        tracks.append(songs[order])
        ages.append(age[order])
    rows = np.repeat(np.arange(len(queries)), [len(songs) for songs in tracks[1:]])
    return CurrentSession(rows, np.concatenate(tracks), np.concatenate(ages))


def held_by(index: SessionIndex, current: CurrentSession, queries: int, sample: int) -> NDArray[np.int64]:
    """(Q,) entries that `neighbours` will work on."""
    held = np.minimum(index.starts[current.tracks + 1] - index.starts[current.tracks], sample)
    return np.bincount(current.rows, weights=held, minlength=queries).astype(np.int64)


def neighbours(
    index: SessionIndex,
    current: CurrentSession,
    by_age: NDArray[np.float64],
    by_session: NDArray[np.float64],
    sample: int,
    nearest: int,
) -> SimilarSessions:
    """The `nearest` most similar of the `sample` newest sessions that share a song with the current one.

    similarity = by_session[s] * the sum of by_age[age] over the songs shared; of equal ones the newer session.
    """
    # The newest sessions with any of the songs are among the newest with each of them.
    held = np.minimum(index.starts[current.tracks + 1] - index.starts[current.tracks], sample)
    entry = np.repeat(np.arange(len(held)), held)
    at = index.starts[current.tracks][entry] + positions(held)
    rows, sessions = current.rows[entry], index.holders[at]
    pairs = rows * len(index.days) + sessions
    # Stable: the latest song stays first within a session. Each song's sessions stand in order, so runs are merged.
    order = np.argsort(pairs, kind="stable")
    begins = np.flatnonzero(_changes(pairs[order]))
    first = order[begins]
    shared = by_age[current.ages[entry]][order]
    similarity = np.add.reduceat(shared, begins) if len(begins) else np.zeros(0)
    similarity = similarity * by_session[sessions[first]]
    found = np.flatnonzero((place_in_run(rows[first]) < sample) & (similarity > 0))
    best = found[np.lexsort((found, -similarity[found], rows[first[found]]))]
    chosen = np.sort(best[place_in_run(rows[first[best]]) < nearest])
    first = first[chosen]
    return SimilarSessions(
        rows[first],
        sessions[first],
        similarity[chosen],
        current.tracks[entry[first]],
        current.ages[entry[first]],
        index.places[at[first]],
    )


def positions(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... for each of the counts.

    >>> positions(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    return np.asarray(np.arange(int(counts.sum())) - np.repeat(ends - counts, counts), dtype=np.int64)


def place_in_run(values: Rows) -> NDArray[np.int64]:
    """How many equal values stand directly before each.

    >>> place_in_run(np.array([4, 4, 7, 7, 7])).tolist()
    [0, 1, 0, 1, 2]
    """
    return positions(np.diff(np.append(np.flatnonzero(_changes(values)), len(values))))


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a row differs from the one before; the first does."""
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[:1] = True
    for values in columns:
        changed[1:] |= np.diff(values) != 0
    return changed
