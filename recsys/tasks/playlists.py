"""Playlist continuation: the first songs of a held-out playlist are given, the rest are the targets."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.split import Part, Split
from recsys.queries import Query
from recsys.tasks.names import Task
from recsys.tasks.targets import Targets
from recsys.tasks.task import HeldOut, sample


def playlists(
    dataset: Dataset,
    split: Split,
    part: Part,
    seeds: int | None,
    max_queries: int,
    seed: int,
    cold_only: bool = False,
    targets_from: int | None = None,
) -> HeldOut:
    """The first songs of each playlist with its title; the rest are the targets.

    seeds: None = the first half. targets_from: place of the first target; songs between the seeds and it may not be
    answered. cold_only: targets are the songs that are not in what models learn from.
    """
    queries, targets, rows = [], [], []
    for row, songs, title in songs_of(dataset, sample(split.playlists_of(part), max_queries, seed)):
        given = len(songs) // 2 if seeds is None else seeds
        hidden = given if targets_from is None else max(given, targets_from)
        rest = songs[hidden:]
        if cold_only:
            rest = rest[split.cold_before(part)[rest]]
        if len(songs) < 2 or not len(rest) or (given == 0 and not title):
            continue
        queries.append(Query(history=songs[:given], text=title, exclude=songs[:hidden]))
        targets.append(rest)
        rows.append(row)
    given_text = "the first half" if seeds is None else "the title alone" if seeds == 0 else f"the first {seeds}"
    return playlist_questions(
        "cold-start" if cold_only else "playlist",
        queries,
        targets,
        rows,
        f"whole held-out playlists of the {part} part, {given_text} given with the title; "
        + ("targets: the songs that are not in what the models learned from; " if cold_only else "targets: the rest; ")
        + "the whole catalogue but the given songs is ranked",
        seeds,
    )


def songs_of(dataset: Dataset, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int32], str | None]]:
    """Row, songs in order and title of each playlist."""
    titles, entries = dataset.playlists["title"], dataset.playlist_tracks
    tracks, playlist = entries["track"].to_numpy(), entries["playlist"].to_numpy()
    start = np.searchsorted(playlist, np.arange(dataset.playlists.height + 1))
    for row in rows:
        yield int(row), tracks[start[row] : start[row + 1]].astype(np.int32), titles[int(row)]


def playlist_questions(
    task: Task,
    queries: list[Query],
    targets: list[NDArray[np.int32]],
    rows: list[int],
    protocol: str,
    seeds: int | None,
) -> HeldOut:
    found = Targets.from_rows(targets)
    repeats = np.zeros(len(found.tracks), np.bool_)
    return HeldOut(task, queries, found, repeats, np.array(rows, np.int64), protocol, "seeds", seeds)
