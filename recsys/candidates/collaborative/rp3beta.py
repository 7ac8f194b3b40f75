"""RP3beta: random walks of three steps from a listener to songs, popular ones discounted (Paudel et al. 2017)."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, PositiveInt
from scipy.sparse import csr_matrix, diags_array

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_similarity import Neighbours, SimilaritySource, best_others
from recsys.candidates.declaration import Range, Reason
from recsys.candidates.history import HistorySettings


class Rp3BetaSettings(HistorySettings):
    """The walk, and how the history counts."""

    alpha: Annotated[float, Range(0.0, 2.0)] = Field(default=0.8, ge=0, le=2)
    "Power of the transition probabilities; 1 is the plain walk."
    beta: Annotated[float, Range(0.0, 2.0)] = Field(default=0.4, ge=0, le=2)
    "Power of a song's listeners and playlists by which it is divided; 0 does not discount."
    neighbours: Annotated[PositiveInt, Range(5, 1000, log=True)] = 200
    "Likeliest songs kept for each."


class Rp3Beta(SimilaritySource):
    """The first step is the query's history, the other two are a sparse song-by-song matrix: song, listener, song."""

    name = "rp3beta"
    Settings = Rp3BetaSettings
    reason = Reason("played with {song}")

    def __init__(self, settings: Rp3BetaSettings | None = None) -> None:
        self.settings: Rp3BetaSettings = settings or Rp3BetaSettings()

    def fit(self, dataset: Dataset) -> Self:
        s, matrix = self.settings, interactions(dataset)
        discount = np.maximum(matrix.getnnz(axis=0), 1).astype(np.float64) ** -s.beta
        to_listeners = _transitions(csr_matrix(matrix.T), s.alpha)
        to_songs = _transitions(matrix, s.alpha) @ diags_array(discount.astype(np.float32))
        self.songs = Neighbours(best_others(to_listeners, to_songs, s.neighbours), matrix.getnnz(axis=0) > 0)
        return self


def _transitions(matrix: csr_matrix, alpha: float) -> csr_matrix:
    """Rows that sum to 1, each entry to the power of alpha."""
    sums = np.asarray(matrix.sum(axis=1), np.float64).ravel()
    values = (matrix.data / np.repeat(sums, matrix.getnnz(axis=1))) ** alpha
    return csr_matrix((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
