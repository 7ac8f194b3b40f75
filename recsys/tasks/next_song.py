"""Tasks about a listener's next plays: the next song, the next song new to them, and songs without any play yet."""

import numpy as np
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.split import LEAKS, PARTS, Part, Split
from recsys.queries import EVIDENCE, NOTHING, Query, days_before
from recsys.tasks.fast_membership import pair_keys
from recsys.tasks.names import HISTORY
from recsys.tasks.targets import Targets
from recsys.tasks.task import HeldOut, sample, without_excess


class Listening:
    """The listens as flat arrays by listener and time, and where each listener's begin."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        self.listens = listens = dataset.listens
        self.user = listens["user"].to_numpy()
        self.track = listens["track"].to_numpy()
        self.evidence = listens.select(EVIDENCE).to_series().to_numpy()
        self.positive = listens.select(POSITIVE).to_series().to_numpy()
        self.seconds = (listens["listened_at"].dt.epoch("ms") / 1000).fill_null(float("nan")).to_numpy()
        self.part = split.listens
        self.start = np.searchsorted(self.user, np.arange(len(dataset.user_ids) + 1))
        self.cold_before, self.moment = split.cold_before, split.moment
        self.repeat = np.ones(len(self.track), np.bool_)
        # Not by a window of Polars, which took minutes and gigabytes of ten million plays.
        self.repeat[np.unique(pair_keys(self.user, self.track, len(dataset.track_ids)), return_index=True)[1]] = False
        self.timed = listens["listened_at"].null_count() == 0
        self.order = "drawn" if split.order == "position" and not dataset.ordered else split.order

    def rows_of(self, user: int) -> NDArray[np.int64]:
        """A listener's rows, oldest first."""
        return np.arange(self.start[user], self.start[user + 1])

    def query(
        self,
        rows: slice | NDArray[np.int64],
        moment: float,
        user: int | None = None,
        exclude: NDArray[np.int32] = NOTHING,
    ) -> Query:
        """A question at a moment (seconds since 1970) about the plays of some rows."""
        return Query(
            history=self.track[rows].astype(np.int32),
            evidence=self.evidence[rows],
            ages_days=days_before(moment, self.seconds[rows]),
            asked_at=moment if np.isfinite(moment) else None,
            user=user,
            exclude=exclude,
        )

    def past(self, row: int, user: int) -> slice:
        """The rows of a listener's last plays before one."""
        return slice(max(int(self.start[user]), row - HISTORY), row)

    def begin(self, part: Part, row: int) -> float:
        """When a part begins, in seconds since 1970. row: a listener's first of the part, which begins at that play
        where no one moment divides everybody.
        """
        moment = self.moment(part) if self.order == "time" else None
        return float(self.seconds[row]) if moment is None else moment.timestamp()

    @property
    def clock(self) -> str:
        if self.order == "time":
            return "one moment divides past from future for everybody"
        if self.order == "leave-last-out":
            return LEAKS
        if self.order == "drawn":
            return (
                "nobody knows the order of plays: what counts as earlier, and what is held out, is drawn per listener"
            )
        why = "one moment would leave a part all but empty" if self.timed else "no times are known"
        return f"each listener's own order is divided, since {why}: others' later plays may be in training"


def next_song(listening: Listening, part: Part, max_queries: int, seed: int, new_only: bool = False) -> HeldOut:
    asked = (listening.part == PARTS.index(part)) & listening.positive
    rows = np.flatnonzero(asked & ~listening.repeat if new_only else asked)
    rows = rows[rows > listening.start[listening.user[rows]]]
    rows = sample(without_excess(rows, listening.user[rows], seed), max_queries, seed)
    queries = []
    for row in rows:
        user = int(listening.user[row])
        heard = np.unique(listening.track[listening.start[user] : row]).astype(np.int32) if new_only else NOTHING
        # Who asks knows what time it is: the moment of the wanted play.
        queries.append(listening.query(listening.past(int(row), user), float(listening.seconds[row]), user, heard))
    what = "play of a song new to the listener in" if new_only else "play of"
    answers = "heard songs are not answered" if new_only else "heard songs may be answered"
    return HeldOut(
        "discovery" if new_only else "next-song",
        queries,
        Targets.from_rows([listening.track[row : row + 1] for row in rows]),
        listening.repeat[rows],
        listening.user[rows].astype(np.int64),
        f"before each wanted {what} the {part} period, the listener's last {HISTORY} plays; {answers}; "
        f"{listening.clock}",
    )


def cold_start(listening: Listening, part: Part, max_queries: int, seed: int) -> HeldOut:
    wanted = (listening.part == PARTS.index(part)) & listening.positive
    wanted &= listening.cold_before(part)[listening.track]
    wanted &= ~listening.repeat
    queries, targets, users = [], [], []
    for user in sample(np.unique(listening.user[wanted]), max_queries, seed):
        rows = np.arange(listening.start[user], listening.start[user + 1])
        begins = int(rows[np.flatnonzero(listening.part[rows] >= PARTS.index(part))[0]])
        if begins == rows[0]:
            continue
        heard = np.unique(listening.track[rows[0] : begins]).astype(np.int32)
        past = listening.past(begins, int(user))
        queries.append(listening.query(past, listening.begin(part, begins), int(user), heard))
        targets.append(np.unique(listening.track[rows[wanted[rows]]]))
        users.append(int(user))
    found = Targets.from_rows(targets)
    return HeldOut(
        "cold-start",
        queries,
        found,
        np.zeros(len(found.tracks), np.bool_),
        np.array(users, np.int64),
        f"per listener, the last {HISTORY} plays before the {part} period; targets: songs that "
        "are not in what the models learned from and that the listener then plays; the whole catalogue but heard songs "
        f"is ranked; {listening.clock}",
    )
