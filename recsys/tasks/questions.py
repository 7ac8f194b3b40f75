"""The held-out queries of any task in a part of the split, with their targets."""

import weakref

from data.dataset import Dataset
from data.split import Part, Split
from recsys.tasks.names import Task
from recsys.tasks.new_listeners import cold_users, new_users, session_continuations
from recsys.tasks.next_song import Listening, cold_start, next_song
from recsys.tasks.playlists import playlists
from recsys.tasks.task import HeldOut

_latest: tuple[weakref.ref[Dataset], weakref.ref[Split], Listening] | None = None


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
        return playlists(dataset, split, part, seeds, max_queries, seed, targets_from=targets_from)
    if task == "cold-start" and dataset.listens.is_empty():
        return playlists(dataset, split, part, seeds, max_queries, seed, cold_only=True)
    listening = _listening(dataset, split)
    if task == "cold-start":
        return cold_start(listening, part, max_queries, seed)
    if task == "session":
        return session_continuations(listening, part, max_queries, seed)
    if task == "cold-user":
        return cold_users(listening, part, max_queries, seed)
    if task == "new-user":
        return new_users(listening, part, max_queries, seed)
    return next_song(listening, part, max_queries, seed, new_only=task == "discovery")


def _listening(dataset: Dataset, split: Split) -> Listening:
    """The listens of a dataset as questions need them. The last ones are kept while dataset and split are: tuning asks
    a dozen questions, and of millions of plays each would take seconds."""
    global _latest
    if _latest is None or _latest[0]() is not dataset or _latest[1]() is not split:
        _latest = weakref.ref(dataset), weakref.ref(split), Listening(dataset, split)
    return _latest[2]
