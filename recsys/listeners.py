"""What is known of each listener, as the queries that candidate sources are asked: what the dataset holds of them, and
what has come since."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.listening.clock import robust_now
from recsys.live.changes import Changes, Seen
from recsys.live.plays import DISLIKED, LIKED, NO_PLAYS, Plays, with_events
from recsys.queries import EVIDENCE, NOTHING, Query, days_before
from recsys.tasks import HISTORY
from recsys.wishes import Wishes

KEPT = 1000
"Listeners whose plays are kept at hand until anything comes: to put 10,000 plays since the build in order takes 70 ms."


class Listeners:
    """Histories and dislikes by listener, read from the dataset once."""

    def __init__(
        self,
        dataset: Dataset,
        changes: Changes | None = None,
        songs_by: Callable[[str], NDArray[np.int32]] = lambda artist: NOTHING,
    ) -> None:
        """changes: what has come since the dataset was made; None asks nobody. songs_by: rows of an artist's songs."""
        self._ids, listens = dataset.user_ids, dataset.listens
        self._changes, self._songs_by = changes, songs_by
        self._kept: tuple[Seen | None, dict[str, tuple[Plays, float]]] = (None, {})
        self._starts = np.searchsorted(listens["user"].to_numpy(), np.arange(len(dataset.user_ids) + 1))
        self._played = listens["track"].to_numpy().astype(np.int32)
        self._evidence = listens.select(EVIDENCE).to_series().to_numpy()
        self._wanted = listens.select(POSITIVE).to_series().to_numpy()
        seconds = listens["listened_at"].dt.epoch("s").cast(pl.Float64)
        self._seconds = seconds.fill_null(float("-inf")).to_numpy()
        self._now = robust_now(known) if len(known := seconds.drop_nulls().to_numpy()) else 0.0
        self._said = listens.select(SAID).to_series().to_numpy()

    def query(self, user: str, wishes: Wishes) -> Query:
        """The listener's latest plays, and what may not be answered; an empty query for one nobody knows."""
        row, (plays, now) = self._ids.find(user), self._plays(user)
        blocked = self._blocked(user)
        if not len(plays.tracks):
            return Query(user=row, exclude=blocked)
        never, last = plays.disliked, plays.take(np.arange(len(plays.tracks))[-HISTORY:])
        moment = now if wishes.day is None else _beginning(wishes)
        ages = days_before(moment, last.seconds)
        return Query(
            history=last.tracks,
            evidence=last.evidence,
            ages_days=ages,
            asked_at=None if ages is None else moment,
            user=row,
            exclude=np.union1d(np.union1d(never, blocked), _just_played(plays, moment, wishes)),
            disliked=never,
            liked=np.setdiff1d(plays.tracks[plays.wanted], never) if len(never) else NOTHING,
        )

    def heard(self, user: str) -> NDArray[np.int32]:
        """Songs that the listener has played, ascending; none for one nobody knows."""
        return np.unique(self._plays(user)[0].tracks)

    def _plays(self, user: str) -> tuple[Plays, float]:
        """All of the listener's, and the dataset's now, or theirs where they have played since."""
        row = self._ids.find(user)
        plays = NO_PLAYS if row is None else self._in_dataset(slice(*self._starts[row : row + 2]))
        if self._changes is None:
            return plays, self._now
        seen, kept = self._kept
        if seen is not self._changes.seen:
            seen, kept = self._kept = self._changes.seen, {}
        if user in kept:
            return kept[user]
        events = self._changes.plays(user)
        if not events:
            return plays.without(seen.gone), self._now
        plays = with_events(plays, [event for event, _ in events], [row for _, row in events]).without(seen.gone)
        latest = max(event.at for event, _ in events) / 1e6
        found = plays, max(self._now, min(latest, datetime.now(UTC).timestamp()))
        if len(kept) < KEPT:
            kept[user] = found
        return found

    def _in_dataset(self, rows: slice) -> Plays:
        return Plays(
            self._played[rows], self._evidence[rows], self._wanted[rows], self._seconds[rows], self._said[rows]
        )

    def _blocked(self, user: str) -> NDArray[np.int32]:
        if self._changes is None:
            return NOTHING
        songs, artists = self._changes.blocked(user)
        if not songs and not artists:
            return NOTHING
        return np.unique(np.concatenate([np.array(songs, np.int32), *map(self._songs_by, artists)]))


SAID = (
    pl.when(pl.col("feedback") == "like")
    .then(LIKED)
    .when(pl.col("feedback") == "dislike")
    .then(DISLIKED)
    .otherwise(0)
    .cast(pl.Int8)
)


def _just_played(plays: Plays, moment: float, wishes: Wishes) -> NDArray[np.int32]:
    """Songs that must not come now: all that were played, those played of late, or none."""
    if not wishes.heard:
        return np.unique(plays.tracks)
    if wishes.not_again_days is None:
        return NOTHING
    since = moment - timedelta(days=wishes.not_again_days).total_seconds()
    return np.unique(plays.tracks[plays.seconds >= since])


def _beginning(wishes: Wishes) -> float:
    """Of the wished day, in seconds since 1970."""
    assert wishes.day is not None
    return datetime(*wishes.day.timetuple()[:3], tzinfo=UTC).timestamp()
