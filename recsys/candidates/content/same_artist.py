"""Same artist: other songs by the artists of the history. It beats most models on playlists."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.simple.popularity import play_counts
from recsys.candidates.sparse_rows import add_rows
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked


class SameArtistSettings(BaseModel):
    """How the history counts."""

    half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = 20.0
    "Plays after which one counts half."


class SameArtist:
    """Songs by the artists of the history, by weight of the artist, then by popularity. Knows songs nobody played."""

    name = "same-artist"
    Settings = SameArtistSettings
    reason = Reason("by the artist of {song}")

    def __init__(self, settings: SameArtistSettings | None = None) -> None:
        self.settings = settings or SameArtistSettings()

    def fit(self, dataset: Dataset) -> Self:
        self.artists = dataset.artists
        counts = play_counts(dataset)
        # Below the smallest difference that a play can make, so that popularity only breaks ties within an artist.
        self.tie_break = (1e-3 * counts / max(float(counts.max(initial=0)), 1.0)).astype(np.float32)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        return rank_rows(queries, k, map(self._score, queries))

    def _score(self, query: Query) -> NDArray[np.float32]:
        scores = np.zeros(len(self.artists), np.float32)
        songs, weights = query.song_weights(self.settings.half_life)
        by = self.artists[songs]
        artists, rows = np.unique(by[by >= 0], return_inverse=True)
        given = np.bincount(rows, weights[by >= 0], len(artists)).astype(np.float32)
        add_rows(scores, self._songs_by, artists[given > 0], given[given > 0])
        liked = np.flatnonzero(scores)
        scores[liked] += self.tie_break[liked]
        return scores

    @cached_property
    def _songs_by(self) -> csr_matrix:
        """(artists, N), 1 for each song of an artist."""
        known = np.flatnonzero(self.artists >= 0)
        shape = (int(self.artists.max(initial=-1)) + 1, len(self.artists))
        return csr_matrix((np.ones(len(known), np.float32), (self.artists[known], known)), shape=shape)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        songs, given = query.song_weights(self.settings.half_life)
        by = self.artists[songs]
        same = (by[:, None] == self.artists[tracks][None, :]) & (by >= 0)[:, None] & (songs[:, None] != tracks[None, :])
        return Votes(songs, np.asarray(same * given[:, None], np.float32))

    def state(self) -> State:
        return {"artists": self.artists, "tie_break": self.tie_break}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.artists, self.tie_break = state["artists"], state["tie_break"]
        return self
