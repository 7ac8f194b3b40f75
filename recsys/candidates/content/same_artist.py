"""Same artist: other songs by the artists of the history. It beats most models on playlists."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.simple.popularity import play_counts
from recsys.candidates.votes import Votes
from recsys.queries import Query, history_matrix
from recsys.ranked import Ranked


class SameArtistSettings(BaseModel):
    """How the history counts."""

    half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = 20.0
    "Plays after which one counts half."


class SameArtist:
    """Songs by the artists of the history, by weight of the artist, then by popularity. Knows songs nobody played."""

    name = "same-artist"
    Settings = SameArtistSettings
    reason = Reason("same artist as {song}")

    def __init__(self, settings: SameArtistSettings | None = None) -> None:
        self.settings = settings or SameArtistSettings()

    def fit(self, dataset: Dataset) -> Self:
        self.artists = dataset.artists
        counts = play_counts(dataset)
        # Below the smallest difference that a play can make, so that popularity only breaks ties within an artist.
        self.tie_break = (1e-3 * counts / max(float(counts.max(initial=0)), 1.0)).astype(np.float32)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        known = np.flatnonzero(self.artists >= 0)
        shape = (len(self.artists), int(self.artists.max(initial=-1)) + 1)
        by_artist = csr_matrix((np.ones(len(known), np.float32), (known, self.artists[known])), shape=shape)

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            weights = history_matrix(block, len(self.artists), self.settings.half_life) @ by_artist
            scores = np.zeros((len(block), len(self.artists)), np.float32)
            scores[:, known] = weights.toarray()[:, self.artists[known]]
            return scores + self.tie_break, scores > 0

        return rank_in_blocks(queries, k, len(self.artists), score)

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
