"""What held-out listening asks: queries with the songs that were really chosen. Validation tunes, test measures.

- next-song: before each wanted play of the period, what the listener had played until then; the play is the target.
- discovery: the same before each play of a song that is new to the listener; heard songs are not answered.
- playlist: the first songs (and the title) of a held-out playlist; the rest are the targets.
- cold-start: what a listener had played before the period; the targets are the songs without a single play or playlist
  entry in training that the listener then plays for the first time. Without listeners: a playlist's cold songs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from data.split import PARTS, Part, Split
from recsys.quality import Targets
from recsys.queries import EVIDENCE, NOTHING, Query

Task = Literal["next-song", "playlist", "cold-start", "discovery"]
TASKS: tuple[Task, ...] = ("next-song", "playlist", "cold-start", "discovery")
HISTORY = 100
"""Plays of the past that a query brings along."""


@dataclass(frozen=True)
class HeldOut:
    """Queries of one task. repeats: (targets,) bool, songs the listener had already played; groups: (Q,) who asks."""

    task: Task
    queries: list[Query]
    targets: Targets
    repeats: NDArray[np.bool_]
    groups: NDArray[np.int64]
    protocol: str
    given: Literal["history", "seeds"] = "history"
    "What a query's songs are: plays of a listener, or the first songs of a playlist."

    @property
    def has_repeats(self) -> bool:
        """Whether repeats and discoveries are both asked for."""
        return bool(self.repeats.any()) and not self.repeats.all()


def held_out(
    dataset: Dataset,
    split: Split,
    task: Task,
    part: Part,
    seeds: int | None = None,
    max_queries: int = 5000,
    seed: int = 20260101,
    targets_from: int | None = None,
) -> HeldOut:
    """The queries of a task in a part of the data. Empty where the dataset has nothing of the kind.

    seeds: songs given of each playlist, 0 = title only; None = the first half. max_queries: a random sample of the
    queries beyond it, the same for every model. targets_from: place of a playlist's first target, the songs between the
    seeds and it may not be answered; None = right after the seeds.
    """
    if task == "playlist":
        return _playlists(dataset, split, part, seeds, max_queries, seed, targets_from=targets_from)
    if task == "cold-start" and dataset.listens.is_empty():
        return _playlists(dataset, split, part, seeds, max_queries, seed, cold_only=True)
    listening = _Listening(dataset, split)
    if task == "cold-start":
        return _cold_start(listening, part, max_queries, seed)
    return _next_song(listening, part, max_queries, seed, new_only=task == "discovery")


class _Listening:
    """The listens as flat arrays by listener and time, and where each listener's begin."""

    def __init__(self, dataset: Dataset, split: Split) -> None:
        listens = dataset.listens
        self.user = listens["user"].to_numpy()
        self.track = listens["track"].to_numpy()
        self.evidence = listens.select(EVIDENCE).to_series().to_numpy()
        self.positive = listens.select(POSITIVE).to_series().to_numpy()
        self.part = split.listens
        self.start = np.searchsorted(self.user, np.arange(len(dataset.user_ids) + 1))
        self.cold = split.cold
        place = listens.select(pl.int_range(pl.len()).over("user", "track")).to_series().to_numpy()
        self.repeat = place > 0
        self.order = split.order

    def past(self, row: int, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        first = max(int(self.start[user]), row - HISTORY)
        return self.track[first:row].astype(np.int32), self.evidence[first:row]

    @property
    def clock(self) -> str:
        if self.order == "time":
            return "one moment divides past from future for everybody"
        return "each listener's own order is divided, since no times are known: others' later plays may be in training"


def _next_song(listening: _Listening, part: Part, max_queries: int, seed: int, new_only: bool = False) -> HeldOut:
    asked = (listening.part == PARTS.index(part)) & listening.positive
    rows = np.flatnonzero(asked & ~listening.repeat if new_only else asked)
    rows = rows[rows > listening.start[listening.user[rows]]]
    rows = _sample(rows, max_queries, seed)
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


def _cold_start(listening: _Listening, part: Part, max_queries: int, seed: int) -> HeldOut:
    wanted = (listening.part == PARTS.index(part)) & listening.positive & listening.cold[listening.track]
    wanted &= ~listening.repeat
    queries, targets, users = [], [], []
    for user in _sample(np.unique(listening.user[wanted]), max_queries, seed):
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
        f"per listener, the last {HISTORY} plays before the {part} period; targets: songs nobody played in training "
        f"that the listener then plays; the whole catalogue but heard songs is ranked; {listening.clock}",
    )


def _playlists(
    dataset: Dataset,
    split: Split,
    part: Part,
    seeds: int | None,
    max_queries: int,
    seed: int,
    cold_only: bool = False,
    targets_from: int | None = None,
) -> HeldOut:
    titles = dataset.playlists["title"]
    entries = dataset.playlist_tracks
    tracks, playlist = entries["track"].to_numpy(), entries["playlist"].to_numpy()
    start = np.searchsorted(playlist, np.arange(dataset.playlists.height + 1))
    queries, targets, rows = [], [], []
    for row in _sample(split.playlists_of(part), max_queries, seed):
        songs = tracks[start[row] : start[row + 1]].astype(np.int32)
        given = len(songs) // 2 if seeds is None else seeds
        hidden = given if targets_from is None else max(given, targets_from)
        rest = songs[hidden:]
        if cold_only:
            rest = rest[split.cold[rest]]
        if len(songs) < 2 or not len(rest) or (given == 0 and not titles[int(row)]):
            continue
        queries.append(Query(history=songs[:given], text=titles[int(row)], exclude=songs[:hidden]))
        targets.append(rest)
        rows.append(int(row))
    found = Targets.from_rows(targets)
    given_text = "the first half" if seeds is None else "the title alone" if seeds == 0 else f"the first {seeds}"
    return HeldOut(
        "cold-start" if cold_only else "playlist",
        queries,
        found,
        np.zeros(len(found.tracks), np.bool_),
        np.array(rows, np.int64),
        f"whole held-out playlists of the {part} part, {given_text} given with the title; "
        + ("targets: the songs that no training playlist has; " if cold_only else "targets: the rest; ")
        + "the whole catalogue but the given songs is ranked",
        given="seeds",
    )


def _sample(rows: NDArray[np.generic], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return rows.astype(np.int64)
