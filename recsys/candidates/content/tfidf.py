"""TF-IDF: songs whose title, artist, album, genres and tags share rare words with those of the history.

What an encoder of ours adds to the texts it is given has to show against this. A playlist's title is looked up in the
same words.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import NonNegativeFloat
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from recsys.candidates.contract import State, rank_in_blocks
from recsys.candidates.declaration import AtQuery, Range, Reason
from recsys.candidates.history import HistorySettings, add_repeats, share_matrix, votes
from recsys.candidates.votes import Votes
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.search.plain_text import words_of

FIELDS = ("title", "artist", "album", "genres", "tags")
ROUNDING = 1e-6
"""Cosines up to here are what float32 leaves of none."""


class TfidfSettings(HistorySettings):
    """How the history counts, and the words of a title beside it."""

    text_weight: Annotated[NonNegativeFloat, Range(0.1, 10.0, log=True), AtQuery] = 1.0
    "The title's best song gets so much times what the history's best song has."


class Tfidf:
    """Neighbours by cosine of TF-IDF vectors (term frequencies logarithmic). Knows songs nobody played."""

    name = "tfidf"
    Settings = TfidfSettings
    reason = Reason("shares words with {song}")

    def __init__(self, settings: TfidfSettings | None = None) -> None:
        self.settings = settings or TfidfSettings()

    def fit(self, dataset: Dataset) -> Self:
        """The texts of the whole catalogue are read; of the listening, nothing."""
        self.words, self.reader = word_vectors(dataset.tracks)
        self.known = self.words.getnnz(axis=1) > 0
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        others = csr_matrix(self.words.T)

        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = share_matrix(block, len(self.known), self.settings.half_life)
            scores = np.asarray((history @ self.words @ others).toarray(), np.float32)
            own = history.tocoo()
            scores[own.row, own.col] -= own.data * self.known[own.col]  # a song's cosine to itself
            scores[np.abs(scores) < ROUNDING] = 0
            self._add_titles(block, scores, others)
            for row, query in zip(scores, block, strict=True):
                add_repeats(row, query, self.settings, self.known)
            return scores, scores > 0

        return rank_in_blocks(queries, k, len(self.known), score)

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        cosines = (self.words[query.songs] @ self.words[tracks].T).toarray()
        cosines[query.songs[:, None] == tracks[None, :]] = 0
        return votes(query, tracks, np.asarray(cosines, np.float32), self.settings, self.known)

    def state(self) -> State:
        return {}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self.fit(dataset)

    def _add_titles(self, block: Sequence[Query], scores: NDArray[np.float32], others: csr_matrix) -> None:
        rows = [row for row, query in enumerate(block) if query.text]
        if not rows or self.reader is None:
            return
        found = (self.reader.transform([str(block[row].text) for row in rows]) @ others).toarray()
        best = found.max(axis=1, initial=0)
        for row, cosines, most in zip(rows, found, best, strict=True):
            if most > 0:
                # Without history, or where none of it has a word, the score is that of the title alone.
                peak = float(scores[row].max())
                scores[row] += (self.settings.text_weight * peak if peak > 0 else 1.0) * cosines / most


def word_vectors(tracks: pl.DataFrame) -> tuple[csr_matrix, Any]:
    """(N, V) float32 rows of unit length, empty where a song has no word; and the TfidfVectorizer that made them, None
    where no song has any."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [" ".join(_texts(row)) for row in tracks.select(FIELDS).iter_rows()]
    reader = TfidfVectorizer(analyzer=words_of, sublinear_tf=True, dtype=np.float32)
    if not any(words_of(text) for text in texts):
        return csr_matrix((len(texts), 0), dtype=np.float32), None
    return csr_matrix(reader.fit_transform(texts)), reader


def _texts(row: tuple[str | list[str] | None, ...]) -> list[str]:
    return [text for value in row for text in ([value] if isinstance(value, str) else value or []) if text]
