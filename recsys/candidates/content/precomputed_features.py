"""Precomputed features: songs near those of the history by another model's vectors or by descriptors.

What an encoder of ours adds to the features it is given has to show against this.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.candidates.content.vector_neighbours import VectorNeighbours, VectorNeighbourSettings
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.declaration import Reason
from recsys.candidates.history import add_repeats
from recsys.candidates.votes import Votes
from recsys.line_up import no_features
from recsys.queries import Query
from recsys.ranked import Ranked

CONSTANT = 1e-6
"""Deviation, as a share of the mean, up to which a column never changes."""


class Features:
    """Neighbours by cosine in the standardised columns of the features table. Knows songs nobody played."""

    name = "features"
    Settings = VectorNeighbourSettings
    reason = Reason("sounds like {song}")
    _latest: tuple[str, VectorNeighbours] | None = None
    "Of all features: trials and tasks ask the same vectors in other ways, and one copy of them is enough."

    def __init__(self, settings: VectorNeighbourSettings | None = None) -> None:
        self.settings = settings or VectorNeighbourSettings()

    def fit(self, dataset: Dataset) -> Self:
        """Mean and deviation are those of the songs that are played or in a playlist. UserError without features."""
        rows = _table(dataset)[_used(dataset)]
        rows = rows[~np.isnan(rows[:, 0])]
        self.mean, self.deviation = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        for column in range(rows.shape[1] if len(rows) else 0):
            self.mean[column] = rows[:, column].mean(dtype=np.float64)
            self.deviation[column] = rows[:, column].std(dtype=np.float64)
        return self._look_around(dataset)

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        return rank_rows(queries, k, self._scores(queries))

    def _scores(self, queries: Sequence[Query]) -> Iterator[NDArray[np.float32]]:
        for query, scores in zip(queries, self.near.scores(queries, self.settings), strict=True):
            add_repeats(scores, query, self.settings, self.near.known)
            yield scores

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return self.near.votes(query, tracks, self.settings)

    def state(self) -> State:
        return {"mean": self.mean, "deviation": self.deviation}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.mean, self.deviation = state["mean"], state["deviation"]
        return self._look_around(dataset)

    def _look_around(self, dataset: Dataset) -> Self:
        made_from = sha256(dataset.fingerprint.encode() + self.mean.tobytes() + self.deviation.tobytes()).hexdigest()
        if Features._latest is None or Features._latest[0] != made_from:
            Features._latest = None
            Features._latest = (made_from, _near_songs(_table(dataset), self.mean, self.deviation))
        self.near = Features._latest[1]
        return self


def _table(dataset: Dataset) -> NDArray[np.float32]:
    table = dataset.feature_matrix()
    if table is None:
        raise no_features()
    return table


def _used(dataset: Dataset) -> NDArray[np.int32]:
    played, listed = dataset.listens["track"].unique().to_numpy(), dataset.playlist_tracks["track"].unique().to_numpy()
    return np.union1d(played, listed).astype(np.int32)


def _near_songs(
    table: NDArray[np.float32], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> VectorNeighbours:
    """Songs by their standardised features. A column that never changes in training says nothing, and neither does a
    song that is the mean in every other."""
    from recsys.index import ExactIndex  # loads torch, which only those wait for who ask this source

    varies = np.flatnonzero(deviation > CONSTANT * np.abs(mean))
    rows = np.empty((len(table), len(varies)), np.float32)
    for at, column in enumerate(varies):  # in float64, and never all of them at once
        rows[:, at] = (table[:, column] - mean[column]) / deviation[column]
    lengths = np.linalg.norm(rows, axis=1)
    tracks = np.flatnonzero(np.isfinite(lengths) & (lengths > 0)).astype(np.int32)
    index = ExactIndex(max(1, rows.shape[1]))
    if len(tracks):
        index.add(tracks, rows[tracks])
    return VectorNeighbours(Vectors(tracks, index.vectors.cpu().numpy()), index, len(table))
