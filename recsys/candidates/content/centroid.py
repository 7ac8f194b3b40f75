"""Centroid: the songs nearest to the mean vector of the songs that a listener plays most, as most tools for sonic
similarity answer.

One point stands for all tastes of a listener: what several neighbourhoods are worth (`htcl-stage2`) shows against this.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.candidates.content.likeness import Likeness
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import AtQuery, OneOf, Reason
from recsys.candidates.votes import Votes
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked


class CentroidSettings(BaseModel):
    """What goes into the mean."""

    songs: Annotated[PositiveInt, OneOf((1, 5, 10, 20, 50, 100)), AtQuery] = 20
    "Most played songs that the mean is taken of."
    recency_days: Annotated[PositiveFloat | None, OneOf((1.0, 7.0, 30.0, 90.0, None)), AtQuery] = 30.0
    "A play counts half after so many days; None, and where times are unknown: all plays count the same."


class Centroid:
    """One query by cosine for each listener. Songs without a vector contribute nothing and are never recommended."""

    name = "centroid"
    Settings = CentroidSettings
    reason = Reason("sounds like what you play most, {song} among it", about_songs="sounds like these songs")

    def __init__(self, settings: CentroidSettings | None = None, likeness: Likeness | None = None) -> None:
        """likeness: where songs lie; None knows no song. Only `fit` needs it."""
        self.settings, self.likeness = settings or CentroidSettings(), likeness

    def fit(self, dataset: Dataset) -> Self:
        nowhere = Vectors(NOTHING, np.zeros((0, 1), np.float32))
        return self._over(nowhere if self.likeness is None else self.likeness.vectors, len(dataset.track_ids))

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            means = np.zeros((len(block), self.vectors.dimension), np.float32)
            for row, query in enumerate(block):
                songs, weights = self._most_played(query)
                means[row] = weights @ self.vectors.values[self.row_of[songs]]
            length = np.linalg.norm(means, axis=1, keepdims=True)
            scores = np.zeros((len(block), len(self.row_of)), np.float32)
            scores[:, self.vectors.tracks] = means / np.maximum(length, 1e-12) @ self.vectors.values.T
            return scores, (length > 0) & (self.row_of >= 0)

        return rank_in_blocks(queries, k, len(self.row_of), score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        songs, weights = self._most_played(query)
        near = self.vectors.values[self.row_of[songs]] @ self.vectors.values[self.row_of[tracks]].T
        others = (songs[:, None] != tracks[None, :]) & (self.row_of[tracks] >= 0)
        return Votes(songs, np.asarray(np.maximum(near, 0) * others * weights[:, None], np.float32))

    def state(self) -> State:
        return {"tracks": self.vectors.tracks, "vectors": self.vectors.values}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self._over(Vectors(state["tracks"], state["vectors"]), len(dataset.track_ids))

    def _over(self, vectors: Vectors, tracks: int) -> Self:
        self.vectors, self.row_of = vectors, np.full(tracks, -1, np.int64)
        self.row_of[vectors.tracks] = np.arange(len(vectors.tracks))
        return self

    def _most_played(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The songs that the mean is taken of, ascending, and their shares, which sum to 1; of equal ones the lower."""
        plays = query.weights(None)
        if query.ages_days is not None and len(plays) and self.settings.recency_days is not None:
            # From the latest play on: only how plays compare counts, and old ones would sink below what float32 holds.
            plays = plays * 0.5 ** ((query.ages_days - query.ages_days.min()) / self.settings.recency_days)
        songs, rows = np.unique(query.history, return_inverse=True)
        weights = np.bincount(rows, plays, len(songs))
        kept = np.flatnonzero((weights > 0) & (self.row_of[songs] >= 0))
        kept = np.sort(kept[np.argsort(-weights[kept], kind="stable")[: self.settings.songs]])
        return songs[kept], (weights[kept] / max(weights[kept].sum(), 1e-30)).astype(np.float32)
