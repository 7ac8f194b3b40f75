"""Item-kNN: songs that the same listeners and playlists have, by cosine, tf-idf or BM25.

The three weigh the matrix as the library implicit does. With them go what a tuned neighbourhood needs: shrinkage of
similarities that few listeners vouch for (Bell and Koren 2007), and plays that count less the older they are.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_similarity import Neighbours, SimilaritySource, best_others, pattern
from recsys.candidates.declaration import OneOf, Range, Reason
from recsys.candidates.history import HistorySettings

BM25_K1, BM25_B = 1.2, 0.75


class ItemKnnSettings(HistorySettings):
    """The similarity, and how the history counts."""

    kind: Annotated[Literal["cosine", "tfidf", "bm25"], OneOf(("cosine", "tfidf", "bm25"))] = "cosine"
    neighbours: Annotated[PositiveInt, Range(5, 1000, log=True)] = 200
    "Most similar songs kept for each."
    shrinkage: Annotated[NonNegativeFloat, OneOf((0.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0))] = 0.0
    "Two songs that n listeners and playlists share keep n / (n + shrinkage) of their similarity."
    half_life_days: Annotated[PositiveFloat | None, OneOf((None, 10.0, 30.0, 90.0))] = None
    "A training play counts half after so many days; None: all plays count the same."


class ItemKnn(SimilaritySource):
    """Sums the similarities of the history's songs to every other song."""

    name = "item-knn"
    Settings = ItemKnnSettings
    reason = Reason("played with {song}")

    def __init__(self, settings: ItemKnnSettings | None = None) -> None:
        self.settings: ItemKnnSettings = settings or ItemKnnSettings()

    def fit(self, dataset: Dataset) -> Self:
        s, matrix = self.settings, interactions(dataset, self.settings.half_life_days)
        weighted, having = WEIGHTINGS[s.kind](matrix), pattern(matrix)
        had_by = having.T.tocsr()

        def shrink(similarity: csr_matrix, rows: slice) -> csr_matrix:
            shared = had_by[rows] @ having
            shared.data /= shared.data + np.float32(s.shrinkage)
            return similarity.multiply(shared)

        similarity = best_others(weighted.T, weighted, s.neighbours, shrink if s.shrinkage else None)
        self.songs = Neighbours(similarity, matrix.getnnz(axis=0) > 0)
        return self


def _cosine(matrix: csr_matrix) -> csr_matrix:
    """Columns of unit length."""
    columns = matrix.indices
    lengths = np.sqrt(np.bincount(columns, matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]))
    return _with_values(matrix, matrix.data / np.maximum(lengths, 1e-30)[columns])


def _tfidf(matrix: csr_matrix) -> csr_matrix:
    """Columns of unit length over sqrt(value) * idf."""
    return _cosine(_with_values(matrix, np.sqrt(matrix.data) * _idf(matrix)))


def _bm25(matrix: csr_matrix) -> csr_matrix:
    """Okapi BM25 with songs as documents and listeners as their words; not normalised."""
    sums = np.asarray(matrix.sum(axis=0), np.float64).ravel()
    length = (1 - BM25_B) + BM25_B * sums / max(float(sums.mean()) if len(sums) else 0.0, 1e-30)
    tf = matrix.data * (BM25_K1 + 1) / (BM25_K1 * length[matrix.indices] + matrix.data)
    return _with_values(matrix, tf * _idf(matrix))


def _idf(matrix: csr_matrix) -> NDArray[np.float64]:
    """Per entry: log(songs / (1 + songs of its listener or playlist)). Who plays everything says little."""
    songs = matrix.getnnz(axis=1)
    return np.repeat(np.log(max(matrix.shape[1], 1)) - np.log1p(songs), songs)


def _with_values(matrix: csr_matrix, values: NDArray[Any]) -> csr_matrix:
    return csr_matrix((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


WEIGHTINGS: dict[str, Callable[[csr_matrix], csr_matrix]] = {"cosine": _cosine, "tfidf": _tfidf, "bm25": _bm25}
