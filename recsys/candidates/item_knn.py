"""Item-kNN: songs that the same listeners and playlists have, by cosine, tf-idf or BM25 (implicit)."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from implicit.utils import ParameterWarning
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.interactions import interactions
from recsys.queries import Query, history_matrix
from recsys.ranked import Ranked

KINDS = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}


class ItemKnnSettings(BaseModel):
    """The similarity, and how the history counts."""

    kind: Literal["cosine", "tfidf", "bm25"] = "cosine"
    neighbours: PositiveInt = 200
    "Most similar songs kept for each."
    half_life: float | None = 20.0
    "Plays after which one counts half."


class ItemKnn:
    """Sums the similarities of the history's songs to every other song."""

    name = "item-knn"

    def __init__(self, settings: ItemKnnSettings | None = None) -> None:
        self.settings = settings or ItemKnnSettings()

    def fit(self, dataset: Dataset) -> Self:
        model = KINDS[self.settings.kind](K=self.settings.neighbours, num_threads=1)
        with threadpool_limits(1, "blas"), warnings.catch_warnings():
            # implicit hands its own weighted matrix on in another sparse format and then warns about it.
            warnings.simplefilter("ignore", ParameterWarning)
            # BM25 divides by the mean length of the histories, which is 0 where nobody plays anything.
            warnings.simplefilter("ignore", RuntimeWarning)
            model.fit(interactions(dataset), show_progress=False)
        self.similarity = csr_matrix(model.similarity, dtype=np.float32)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_matrix(block, self.similarity.shape[0], self.settings.half_life)
            scores = (history @ self.similarity).toarray()
            return scores, scores > 0

        return rank_in_blocks(queries, k, self.similarity.shape[0], score)

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        if not len(query.history):
            return [None] * len(tracks)
        spoken = self.similarity[query.history][:, tracks].toarray() * query.weights(self.settings.half_life)[:, None]
        best = spoken.argmax(axis=0)
        return [int(query.history[row]) if spoken[row, at] > 0 else None for at, row in enumerate(best)]

    def state(self) -> State:
        return {"data": self.similarity.data, "indices": self.similarity.indices, "indptr": self.similarity.indptr}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        shape = (len(dataset.track_ids), len(dataset.track_ids))
        self.similarity = csr_matrix((state["data"], state["indices"], state["indptr"]), shape=shape)
        return self
