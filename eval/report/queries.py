"""Real queries of the test part with each model's recommendations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.split import Split
from eval.models import Model
from recsys.tasks import HeldOut

QUERIES = 10
TOP = 10
GIVEN = 8
"Songs of the history that are shown, the latest ones."
WANTED = 20
"Targets that are shown."
SEED = 20260101


class ShownSong(NamedTuple):
    """cold: nobody played it before the test. hit: it is a target of the query."""

    title: str
    artist: str
    cold: bool
    hit: bool


class ExampleQuery(NamedTuple):
    """A query as a person reads it: whose, what is known, what was really chosen, and each model's first ten."""

    who: str
    words: str
    given: tuple[ShownSong, ...]
    given_in_all: int
    wanted: tuple[ShownSong, ...]
    wanted_in_all: int
    answers: dict[str, tuple[ShownSong, ...]]


def draw(question: HeldOut, count: int = QUERIES, seed: int = SEED) -> NDArray[np.int64]:
    """Rows of queries drawn at random, one a listener (playlist) as long as there are enough; fewer where there are."""
    order = np.random.default_rng(seed).permutation(len(question.queries))
    _, firsts = np.unique(question.groups[order], return_index=True)
    chosen = order[np.sort(firsts)]
    others = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, others])[:count].astype(np.int64)


def ask(dataset: Dataset, split: Split, question: HeldOut, models: Mapping[str, Model]) -> list[ExampleQuery]:
    """Ten queries of the question, answered by every model."""
    rows = draw(question)
    queries = [question.queries[int(row)] for row in rows]
    ranked = {name: model(queries, TOP) for name, model in models.items()} if queries else {}
    offsets = question.targets.offsets
    asked = []
    for at, (row, query) in enumerate(zip(rows, queries, strict=True)):
        targets = question.targets.tracks[offsets[row] : offsets[row + 1]]
        asked.append(
            ExampleQuery(
                who=_who(dataset, question, int(row)),
                words=query.text or "",
                given=_songs(dataset, split, query.history[-GIVEN:], ()),
                given_in_all=len(query.history),
                wanted=_songs(dataset, split, targets[:WANTED], ()),
                wanted_in_all=len(targets),
                answers={
                    name: _songs(dataset, split, found[at][0][:TOP], targets.tolist()) for name, found in ranked.items()
                },
            )
        )
    return asked


def _who(dataset: Dataset, question: HeldOut, row: int) -> str:
    user = question.queries[row].user
    if user is not None:
        return f"listener {dataset.user_ids.names[user]}"
    return f"playlist {dataset.playlist_ids.names[int(question.groups[row])]}"


def _songs(dataset: Dataset, split: Split, tracks: NDArray[np.int32], targets: Sequence[int]) -> tuple[ShownSong, ...]:
    titles, artists, ids = dataset.tracks["title"], dataset.tracks["artist"], dataset.track_ids.names
    wanted = set(targets)
    return tuple(
        ShownSong(
            titles[track] or ids[track], artists[track] or "", bool(split.cold_before("test")[track]), track in wanted
        )
        for track in tracks.tolist()
    )
