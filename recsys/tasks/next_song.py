"""Tasks about a listener's next plays: the next song, the next song new to them, and songs without any play yet."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.split import LEAKS, PARTS, Part, Split
from recsys.queries import EVIDENCE, NOTHING, Query
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
        self.part = split.listens
        self.start = np.searchsorted(self.user, np.arange(len(dataset.user_ids) + 1))
        self.cold_before = split.cold_before
        place = listens.select(pl.int_range(pl.len()).over("user", "track")).to_series().to_numpy()
        self.repeat = place > 0
        self.timed = listens["listened_at"].null_count() == 0
        self.order = "drawn" if split.order == "position" and not dataset.ordered else split.order

    def rows_of(self, user: int) -> NDArray[np.int64]:
        """A listener's rows, oldest first."""
        return np.arange(self.start[user], self.start[user + 1])

    def past(self, row: int, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        first = max(int(self.start[user]), row - HISTORY)
        return self.track[first:row].astype(np.int32), self.evidence[first:row]

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
        history, evidence = listening.past(int(row), user)
        heard = np.unique(listening.track[listening.start[user] : row]).astype(np.int32) if new_only else NOTHING
        queries.append(Query(history=history, evidence=evidence, user=user, exclude=heard))
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
        history, evidence = listening.past(begins, int(user))
        heard = np.unique(listening.track[rows[0] : begins]).astype(np.int32)
        queries.append(Query(history=history, evidence=evidence, user=int(user), exclude=heard))
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
