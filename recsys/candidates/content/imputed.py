"""Imputed item-kNN: a song that few have played borrows the neighbours of songs that sound and read like it.

Item-kNN knows nothing of a song without plays and little of one with few. Here such a song's score is the mean of the
scores of its nearest songs in HTCL space, weighed against its own by how many listeners vouch for that. New songs so
stand on the scale of the others, and find their place among them without a weight for being new.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_knn import ItemKnn, ItemKnnSettings
from recsys.candidates.collaborative.item_similarity import Neighbours
from recsys.candidates.content.likeness import Likeness, Nearest
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.declaration import AtQuery, OneOf, Range, Reason
from recsys.candidates.history import HistorySettings, add_repeats, history_shares, votes
from recsys.candidates.sparse_rows import add_rows, at_columns, rows_of
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

ALIKE = 20
"""Songs that one borrows from."""
MANY = 20
"""One song in so many with a score, from which all are looked at when scores are lent."""
WELL_KNOWN = 300
"""Listeners and playlists from which a song needs nobody's neighbours."""


class ImputedSettings(HistorySettings):
    """How much is borrowed, and how the history counts."""

    half_life_days: Annotated[PositiveFloat | None, OneOf((None, 10.0, 30.0, 90.0))] = None
    "A training play counts half after so many days; None: all plays count the same."
    doubt: Annotated[NonNegativeFloat, OneOf((0.0, 1.0, 3.0, 10.0, 30.0, 100.0)), AtQuery] = 10.0
    "Listeners and playlists at which a song's own score counts as much as the borrowed one."
    temperature: Annotated[PositiveFloat, Range(0.05, 0.5, log=True), AtQuery] = 0.2
    "Of two songs that one borrows from, the one nearer by a cosine of so much counts e times as much."
    lift: Annotated[PositiveFloat, Range(1.0, 2.5), AtQuery] = 1.3
    "What the borrowed score is multiplied by: a mean over songs is flatter than each of them."


class Imputed:
    """Item-kNN (cosine, 200 neighbours) whose scores are smoothed over songs that are alike."""

    name = "htcl-imputed"
    Settings = ImputedSettings
    reason = Reason("played with {song}", of_likes="resembles songs played with {song}")

    def __init__(self, settings: ImputedSettings | None = None, likeness: Likeness | None = None) -> None:
        """likeness: where songs lie; None borrows nothing. Only `fit` needs it."""
        self.settings, self.likeness = settings or ImputedSettings(), likeness

    def fit(self, dataset: Dataset) -> Self:
        self.songs = ItemKnn(ItemKnnSettings(half_life_days=self.settings.half_life_days)).fit(dataset).songs
        self.having = interactions(dataset).getnnz(axis=0).astype(np.int32)
        if self.likeness is None:
            tracks = len(dataset.track_ids)
            self.alike = Nearest(np.full((tracks, 0), -1, np.int32), np.zeros((tracks, 0), np.float32))
        else:
            self.alike = self.likeness.nearest(self.having < WELL_KNOWN, self.songs.known, ALIKE)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        return rank_rows(queries, k, map(self._score, queries))

    def _score(self, query: Query) -> NDArray[np.float32]:
        scores = np.zeros(len(self.having), np.float32)
        songs, shares = history_shares(query, self.settings.half_life)
        self.songs.sums.add(scores, songs, shares / np.float32(self.songs.unit))
        scores = self._smoothed(scores)
        add_repeats(scores, query, self.settings, self.songs.known)
        return scores

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        own, borrowing = self._shares
        counts, lenders, shares = rows_of(borrowing, tracks)
        heard = np.union1d(tracks, lenders)
        taken = np.zeros((len(tracks), len(heard)), np.float32)
        taken[np.repeat(np.arange(len(tracks)), counts), np.searchsorted(heard, lenders)] = shares
        similar = at_columns(*rows_of(self.songs.similarity, query.songs), heard, len(self.having))
        itself = similar[:, np.searchsorted(heard, tracks)] * own[tracks]
        spoken = similar @ taken.T + itself
        given = np.asarray(spoken / np.float32(self.songs.unit), np.float32)
        return votes(query, tracks, given, self.settings, self.songs.known, spoken > 2 * itself)

    def state(self) -> State:
        alike = {"alike": self.alike.tracks, "cosines": self.alike.cosines, "having": self.having}
        return self.songs.to_state() | alike

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.songs, self.having = Neighbours.from_state(state), state["having"]
        self.alike = Nearest(state["alike"], state["cosines"])
        return self

    def _smoothed(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) scores of item-kNN -> those in which songs borrow."""
        smoothed = scores * self._shares[0]
        lent = scores.nonzero()[0]
        if len(lent) * MANY > len(scores):
            smoothed += self._shares[1] @ scores  # all rows, of which each entry takes a fraction of the time
        else:
            add_rows(smoothed, self._lending, lent, scores[lent])
        return smoothed

    @cached_property
    def _lending(self) -> csr_matrix:
        """(N, N) a row for each song that others borrow from: what counts of its score for them."""
        return self._shares[1].T.tocsr()

    @cached_property
    def _shares(self) -> tuple[NDArray[np.float32], csr_matrix]:
        """What counts of a song's own score (N,), and of every other's (N, N)."""
        weights = self.alike.weights(self.settings.temperature)
        total = self.having + self.settings.doubt
        doubted = np.divide(self.settings.doubt, total, out=np.ones(len(total)), where=total > 0)
        doubted[weights.getnnz(axis=1) == 0] = 0  # who can borrow from nobody keeps its own
        lifted = (self.settings.lift * doubted).astype(np.float32)
        return (1 - doubted).astype(np.float32), csr_matrix(weights.multiply(lifted[:, None]))
