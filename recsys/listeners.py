"""What is known of each listener of a dataset, as the queries that candidate sources are asked."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.listening.clock import robust_now
from recsys.queries import EVIDENCE, NOTHING, Query, days_before
from recsys.tasks import HISTORY
from recsys.wishes import Wishes


class Listeners:
    """Histories and dislikes by listener, read from the dataset once."""

    def __init__(self, dataset: Dataset) -> None:
        self._ids, listens = dataset.user_ids, dataset.listens
        self._starts = np.searchsorted(listens["user"].to_numpy(), np.arange(len(dataset.user_ids) + 1))
        self._played = listens["track"].to_numpy().astype(np.int32)
        self._evidence = listens.select(EVIDENCE).to_series().to_numpy()
        self._wanted = listens.select(POSITIVE).to_series().to_numpy()
        seconds = listens["listened_at"].dt.epoch("s").cast(pl.Float64)
        self._seconds = seconds.fill_null(float("-inf")).to_numpy()
        self._now = robust_now(known) if len(known := seconds.drop_nulls().to_numpy()) else 0.0
        self._disliked = disliked(dataset)

    def query(self, user: str, wishes: Wishes) -> Query:
        """The listener's latest plays, and what may not be answered; an empty query for one nobody knows."""
        row = self._ids.find(user)
        if row is None:
            return Query()
        start, stop = self._starts[row : row + 2]
        first = max(start, stop - HISTORY)
        never = self._disliked.get(row, NOTHING)
        moment = self._moment(wishes)
        ages = days_before(moment, self._seconds[first:stop])
        return Query(
            history=self._played[first:stop],
            evidence=self._evidence[first:stop],
            ages_days=ages,
            asked_at=None if ages is None else moment,
            user=row,
            exclude=np.union1d(never, self._just_played(start, stop, wishes)),
            disliked=never,
            liked=np.setdiff1d(self._played[start:stop][self._wanted[start:stop]], never) if len(never) else NOTHING,
        )

    def heard(self, user: str) -> NDArray[np.int32]:
        """Songs that the listener has played, ascending; none for one nobody knows."""
        row = self._ids.find(user)
        return NOTHING if row is None else np.unique(self._played[self._starts[row] : self._starts[row + 1]])

    def _just_played(self, start: int, stop: int, wishes: Wishes) -> NDArray[np.int32]:
        """Songs of the plays between two rows that must not come now: all, those played of late, or none."""
        played = self._played[start:stop]
        if not wishes.heard:
            return np.unique(played)
        if wishes.not_again_days is None:
            return NOTHING
        since = self._moment(wishes) - timedelta(days=wishes.not_again_days).total_seconds()
        return np.unique(played[self._seconds[start:stop] >= since])

    def _moment(self, wishes: Wishes) -> float:
        """When the question is put, in seconds since 1970: the wished day, or the dataset's now."""
        return self._now if wishes.day is None else datetime(*wishes.day.timetuple()[:3], tzinfo=UTC).timestamp()


def disliked(dataset: Dataset) -> dict[int, NDArray[np.int32]]:
    """By listener the songs of which the last word was a dislike; listens lie oldest first."""
    said = dataset.listens.filter(pl.col("feedback").is_in(["like", "dislike"]))
    last = said.group_by("user", "track", maintain_order=True).agg(pl.col("feedback").last())
    by_user = last.filter(feedback="dislike").group_by("user").agg("track")
    return {int(user): np.array(tracks, np.int32) for user, tracks in by_user.iter_rows()}
