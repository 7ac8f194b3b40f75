"""A listener's plays as arrays, and how events are put among them, as the tables would hold them."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.events.store import Stored
from recsys.queries import NOTHING

LIKED, DISLIKED = 1, -1
SAID = {"like": LIKED, "dislike": DISLIKED}
EVIDENCE = {"like": 2.0, "dislike": -1.0, "skip": -0.5}
"As `recsys.queries.EVIDENCE`, for single values: Polars has threads, which a fork has not."


class Plays(NamedTuple):
    """Oldest first, each (P,). evidence: `recsys.queries.EVIDENCE`. wanted: `data.dataset.POSITIVE`. seconds: since
    1970, -inf where unknown. said: 1 liked, -1 disliked, 0 neither."""

    tracks: NDArray[np.int32]
    evidence: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    said: NDArray[np.int8]

    def take(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> "Plays":
        """Some of them."""
        return Plays(
            self.tracks[places], self.evidence[places], self.wanted[places], self.seconds[places], self.said[places]
        )

    def without(self, songs: NDArray[np.int32]) -> "Plays":
        """Those of other songs."""
        return self.take(~np.isin(self.tracks, songs)) if len(songs) else self

    @property
    def disliked(self) -> NDArray[np.int32]:
        """Songs of which the last word was a dislike, ascending."""
        spoken = np.flatnonzero(self.said)[::-1]
        if not len(spoken):
            return NOTHING
        songs, last = np.unique(self.tracks[spoken], return_index=True)
        return np.asarray(songs[self.said[spoken[last]] == DISLIKED])


NO_PLAYS = Plays(NOTHING, np.zeros(0, np.float32), np.zeros(0, np.bool_), np.zeros(0, np.float64), np.zeros(0, np.int8))


def with_events(plays: Plays, events: Sequence[Stored], rows: Sequence[int]) -> Plays:
    """Plays and the events that came since, by time. rows: the song of each event.

    At least one. A listen that is among the plays already (the same song and second) is not counted again. What was
    said of a song last counts last, though a clock was set back meanwhile; `data.events.folding` does so with tables.
    """
    now = time.time()
    times = [event.at // 1_000_000 for event in events]
    spoken = plays.said != 0
    near = plays.take((plays.seconds >= min(times)) & (plays.seconds <= max(times)))
    there = set(zip(near.tracks.tolist(), near.seconds.tolist(), strict=True))
    by_time = np.argsort(plays.seconds[spoken], kind="stable")
    latest = dict(zip(plays.tracks[spoken][by_time].tolist(), plays.seconds[spoken][by_time].tolist(), strict=True))
    told: list[tuple[int, float, bool, float, int]] = []
    for event, row in zip(events, rows, strict=True):
        moment, feedback = event.at / 1e6, event.detail
        if feedback in SAID:
            moment = latest[row] = max(min(moment, now), latest.get(row, -np.inf))
        if event.kind == "listen" and (row, moment // 1) in there:
            continue
        there.add((row, moment // 1))
        half = event.played_ratio is None or event.played_ratio >= 0.5
        weight = EVIDENCE[feedback] if feedback in EVIDENCE else float(half)
        wanted = half and feedback not in ("skip", "dislike")
        told.append((row, weight, wanted, moment, SAID.get(feedback or "", 0)))
    if not told:
        return plays
    new = zip(*told, strict=True)
    both = Plays(
        *(np.concatenate([old, np.array(each, old.dtype)]) for old, each in zip(_columns(plays), new, strict=True))
    )
    return both.take(np.argsort(both.seconds, kind="stable"))


def _columns(plays: Plays) -> list[NDArray[Any]]:
    return list(plays)
