"""The learned ranker: the first candidates of the weighted sum, ordered by how likely each is the song wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.learned.features import SongFacts, features, names
from recsys.ranking.learned.forest import Forest

TITLE = "title"
"""Playlists by their title alone, which are a case of their own."""


class RankerChoice(BaseModel):
    """What validation said of a ranker for one task: it answers where a paired test prefers it to the weighted sum."""

    learned_for: str
    "The task whose forest it is."
    sources: list[str]
    "Whose scores it reads, in the order of its columns."
    new_songs: float
    "What a song without plays gets on top, in log odds."
    answers: bool
    queries: int
    weighted_sum: float
    "NDCG@100 of the weighted sum on these queries of validation."
    ranker: float
    "And of the ranker, learned on the other listeners."
    deviations: float
    "The gain in standard errors over listeners (playlists)."
    columns: list[str] = []
    "What it looks at beside the sources, in order: one that looked at other things cannot be asked."

    @property
    def readable(self) -> bool:
        """Whether this version makes the columns that the forest was learned on."""
        return self.columns == names([])

    def in_words(self) -> str:
        """What answers, and what it rests on."""
        if self.answers and not self.readable:
            return "the weighted sum answers: the ranker was learned by another version (recsys.build_index learns it)"
        who = "the learned ranker answers" if self.answers else "the weighted sum answers, not the learned ranker"
        reached = f"NDCG@100 of {self.queries:,} validation queries {self.ranker:.3f} ranked, {self.weighted_sum:.3f}"
        return f"{who}: {reached} summed ({self.deviations:+.1f} standard errors)"


@dataclass(frozen=True)
class Ranker:
    """A forest, and what it needs to be asked. sources: the columns it reads, in their order."""

    forest: Forest
    sources: Sequence[str]
    new_songs: float

    @cached_property
    def asked(self) -> list[str]:
        """The sources of which any tree wants to know what they give."""
        looked_at = self.forest.looks_at(len(names(self.sources)))
        return [name for column, name in enumerate(self.sources) if column in looked_at]

    def ranked(
        self, queries: Sequence[Query], fused: Ranked, rankings: Mapping[str, Ranked], songs: SongFacts, first: int
    ) -> Ranked:
        """The same songs; the first so many of each row in another order, those behind them as they were.

        Scores are log odds; those behind count down from the lowest.
        """
        head = first_of(fused, first)
        found = self.forest.scores(features(queries, head, rankings, songs, self.sources))
        found += self.new_songs * (songs.plays[head.tracks] == 0)
        return reordered(fused, head, found)


def first_of(ranked: Ranked, most: int) -> Ranked:
    """The first so many entries of each row."""
    if len(ranked) == 1:
        return Ranked.from_rows([(ranked.tracks[:most], ranked.scores[:most])])
    kept = ranked.places < most
    offsets = np.concatenate([[0], np.cumsum(np.minimum(ranked.lengths, most))]).astype(np.int64)
    return Ranked(offsets, ranked.tracks[kept], ranked.scores[kept])


def reordered(fused: Ranked, head: Ranked, scores: NDArray[np.float64]) -> Ranked:
    """`fused` with the entries of `head`, which are its first, by falling scores; equal ones stay as they are."""
    order = np.lexsort((-scores, head.rows))
    scores, ends = scores[order], head.offsets[1:]
    lowest = np.zeros(len(head))
    lowest[head.lengths > 0] = scores[ends[head.lengths > 0] - 1]
    within = fused.places < head.lengths[fused.rows]
    tracks, found = fused.tracks.copy(), (lowest[fused.rows] - fused.places).astype(np.float32)
    tracks[within], found[within] = head.tracks[order], scores
    return Ranked(fused.offsets, tracks, found)
