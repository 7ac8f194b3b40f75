"""Content ridge: what songs are played with, predicted from their vectors, words and artists in closed form.

A song's column of item-kNN similarities says how much each played song speaks for it. A ridge regression from content
to these columns, learned from songs with many listeners, gives such a column to a song that few have played or none
(Heater and DeepMusic learn such maps by gradient descent). It is weighed against the song's own column by how many
listeners vouch for that, as in `htcl-imputed`, which takes the mean of the nearest songs' columns instead.

On the demo's validation (simulated; 800 queries, doubt and lift chosen for each) the two are level: discovery 0.179
NDCG@100 against 0.180 here, next song 0.196 and 0.195, cold start 0.316 and 0.328; with a fifth of the songs hidden
0.173 and 0.173, 0.192 and 0.191, 0.245 and 0.260. Linear features reach 0.176, 0.194, 0.309, words add nothing there.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat
from scipy.sparse import csr_matrix, hstack

from data.dataset import Dataset
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.collaborative.item_knn import ItemKnn
from recsys.candidates.collaborative.item_similarity import Neighbours
from recsys.candidates.content.likeness import Likeness
from recsys.candidates.content.tfidf import word_vectors
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import AtQuery, OneOf, Range, Reason
from recsys.candidates.history import HistorySettings, add_repeats, share_matrix, votes
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked

WORD_DIMENSIONS = 64
"""Of the truncated SVD of words and artists."""
FOURIER, SMALL = 512, 50_000
"""Random Fourier features, in a catalogue of at most so many songs: in a larger one they would take gigabytes."""
SEED = 20260101
RELIABLE = 10.0
"""Listeners and playlists at which a song's column counts half in the regression."""


class ContentRidgeSettings(HistorySettings):
    """The regression, and how much of it counts."""

    regularization: Annotated[PositiveFloat, Range(0.01, 10.0, log=True)] = 0.3
    "Added to the diagonal of the features' Gram matrix, in units of its mean."
    gamma: Annotated[PositiveFloat | None, OneOf((None, 0.25, 0.5, 1.0, 2.0))] = 0.5
    "Songs are alike by exp(-gamma * squared distance), by random Fourier features; None: linear in the features."
    words: Annotated[NonNegativeFloat, OneOf((0.0, 0.3, 1.0))] = 0.3
    "Weight of words and artists beside the vectors."
    doubt: Annotated[NonNegativeFloat, OneOf((0.0, 1.0, 3.0, 10.0, 30.0, 100.0)), AtQuery] = 10.0
    "Listeners and playlists at which a song's own score counts as much as the predicted one."
    lift: Annotated[PositiveFloat, Range(1.0, 2.5), AtQuery] = 1.3
    "What the predicted score is multiplied by: a regression is flatter than what it learned from."


class ContentRidge:
    """Item-kNN (cosine, 200 neighbours) whose columns are weighed against those that content predicts."""

    name = "content-ridge"
    Settings = ContentRidgeSettings
    reason = Reason("played with {song}", of_likes="resembles songs played with {song}")
    _latest: tuple[str, NDArray[np.float32]] | None = None
    "Words of a catalogue: trials ask for the same ones."

    def __init__(self, settings: ContentRidgeSettings | None = None, likeness: Likeness | None = None) -> None:
        """likeness: where songs lie; None leaves words and artists. Only `fit` needs it."""
        self.settings, self.likeness = settings or ContentRidgeSettings(), likeness

    def fit(self, dataset: Dataset) -> Self:
        self.songs = ItemKnn().fit(dataset).songs
        self.having = interactions(dataset).getnnz(axis=0).astype(np.int32)
        self.features = self._features(dataset)
        trust = (self.having / (self.having + RELIABLE)).astype(np.float32)
        self.columns = ridge(self.features, self.songs.similarity, trust, self.settings.regularization)
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        own, predicted = self._shares(slice(None))

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = share_matrix(block, len(self.having), self.settings.half_life)
            scores = np.asarray((history @ self.songs.similarity).toarray(), np.float32) * own
            scores += (history @ self.columns) @ self.features.T * predicted
            for row, query in zip(scores, block, strict=True):
                add_repeats(row, query, self.settings, self.songs.known)
            return scores, scores > 0

        return rank_in_blocks(queries, k, len(self.having), score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        own, predicted = self._shares(tracks)
        itself = self.songs.similarity[query.songs][:, tracks].toarray() * own
        spoken = itself + self.columns[query.songs] @ self.features[tracks].T * predicted
        return votes(
            query, tracks, np.asarray(spoken, np.float32), self.settings, self.songs.known, spoken > 2 * itself
        )

    def state(self) -> State:
        learned = {"features": self.features, "columns": self.columns, "having": self.having}
        return self.songs.to_state() | learned

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        self.songs = Neighbours.from_state(state)
        self.features, self.columns, self.having = (state[name] for name in ("features", "columns", "having"))
        return self

    def _shares(self, songs: NDArray[np.int32] | slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What counts of some songs' own scores and of the predicted ones; both in units of the best neighbour."""
        having, doubt = self.having[songs], self.settings.doubt
        total = having + doubt
        doubted = np.divide(doubt, total, out=np.ones(len(total)), where=total > 0)
        doubted[~self.features[songs].any(axis=1)] = 0  # nothing is known of its content
        own, predicted = (1 - doubted) / self.songs.unit, self.settings.lift * doubted / self.songs.unit
        return own.astype(np.float32), predicted.astype(np.float32)

    def _features(self, dataset: Dataset) -> NDArray[np.float32]:
        """(N, F): vectors beside words and artists; zeros where a song has neither."""
        tracks, parts = len(dataset.track_ids), []
        if self.likeness is not None:
            parts.append(self.likeness.vectors.by_track(tracks))
        if self.settings.words or not parts:
            if ContentRidge._latest is None or ContentRidge._latest[0] != dataset.fingerprint:
                ContentRidge._latest = dataset.fingerprint, _words_and_artists(dataset)
            parts.append(ContentRidge._latest[1] * np.float32(self.settings.words or 1))
        features = np.hstack(parts)
        if self.settings.gamma is None or tracks > SMALL:
            return features
        return fourier(features, self.settings.gamma) * features.any(axis=1, keepdims=True)


def ridge(
    features: NDArray[np.float32], similarity: csr_matrix, trust: NDArray[np.float32], regularization: float
) -> NDArray[np.float32]:
    """(N, F) coefficients A of the columns of `similarity` (N, N) on `features` (N, F): A @ features.T is near it.

    Minimises the sum over columns j of trust[j] * |similarity[:, j] - A features[j]|^2 + the penalty on A.
    """
    weighted = features * trust[:, None]
    gram = (weighted.T @ features).astype(np.float64)
    penalty = regularization * max(float(np.trace(gram)) / max(len(gram), 1), 1e-12)
    known = np.asarray(similarity @ weighted, np.float64)
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), known.T).T.astype(np.float32)


def fourier(features: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """(N, FOURIER) whose dot products are near exp(-gamma * squared distance) (Rahimi and Recht 2007)."""
    rng = np.random.default_rng(SEED)
    directions = rng.normal(size=(features.shape[1], FOURIER)) * np.sqrt(2 * gamma)
    turned = features @ directions.astype(np.float32) + rng.uniform(0, 2 * np.pi, FOURIER).astype(np.float32)
    return np.asarray(np.sqrt(2 / FOURIER) * np.cos(turned), np.float32)


def _words_and_artists(dataset: Dataset) -> NDArray[np.float32]:
    """(N, at most WORD_DIMENSIONS) by truncated SVD of TF-IDF beside a column for each artist; at most unit length."""
    from sklearn.utils.extmath import randomized_svd

    words, _ = word_vectors(dataset.tracks)
    named = np.flatnonzero(dataset.artists >= 0)
    shape = (words.shape[0], int(dataset.artists.max(initial=-1)) + 1)
    by_artist = csr_matrix((np.ones(len(named), np.float32), (named, dataset.artists[named])), shape=shape)
    both = csr_matrix(hstack([words, by_artist])) * np.float32(0.5**0.5)
    if not both.nnz:
        return np.zeros((both.shape[0], 1), np.float32)
    left, strength, _ = randomized_svd(both, min(WORD_DIMENSIONS, *both.shape), random_state=SEED)
    return np.asarray(left * strength, np.float32)
