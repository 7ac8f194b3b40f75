"""HTCL neighbours of the history: songs whose vectors lie near those of the songs played. The only source that hears.

Each song of the history speaks for its own neighbours, so a listener with several tastes is not averaged into one.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from data.errors import UserError
from encoders.vectors import Vectors
from recsys.candidates.contract import State, rank_in_blocks
from recsys.index import VectorIndex
from recsys.queries import NOTHING, Query, history_matrix
from recsys.ranked import Ranked

REMEMBERED_CELLS = 20_000_000
"""Neighbours kept over queries: 160 MB."""

TextEncoder = Callable[[list[str]], NDArray[np.float32]]


class HtclSettings(BaseModel):
    """How neighbours are counted."""

    neighbours: PositiveInt = 1000
    "Nearest songs that each song of the history speaks for."
    temperature: PositiveFloat = 0.1
    "A song at cosine c counts exp((c - 1) / temperature)."
    half_life: float | None = 20.0
    "Plays after which one counts half."
    text_weight: float = 0.3
    "Weight of the title's or text's neighbours beside the history's."


class Htcl:
    """Neighbours in an index of item vectors. Songs without a vector neither speak nor are proposed."""

    def __init__(
        self,
        name: str,
        vectors: Vectors,
        index: VectorIndex,
        encode_text: TextEncoder | None = None,
        settings: HtclSettings | None = None,
    ) -> None:
        """encode_text: texts -> unit vectors (Q, D) in the same space; without it, words are not understood."""
        self.name, self.vectors, self.index = name, vectors, index
        self.encode_text, self.settings = encode_text, settings or HtclSettings()

    def with_settings(self, settings: Mapping[str, Any]) -> "Htcl":
        """The same vectors, index and text encoder, asked in another way."""
        source = copy(self)
        source.settings = HtclSettings(**settings)
        return source

    def fit(self, dataset: Dataset) -> Self:
        self.memory: dict[tuple[int, tuple[int, int]], tuple[NDArray[np.int32], NDArray[np.float32]]] = {}
        self.tracks = len(dataset.track_ids)
        self.row_of = np.full(self.tracks, -1, np.int64)
        self.row_of[self.vectors.tracks] = np.arange(len(self.vectors.tracks))
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        def score(block: Sequence[Query]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            history = history_matrix(block, self.tracks, self.settings.half_life)
            scores = (history @ self._neighbours(np.unique(history.indices))).toarray()
            total = np.asarray(np.abs(history).sum(axis=1)).reshape(-1, 1)
            scores /= np.maximum(total, 1e-9)
            self._add_text(block, scores)
            return scores, scores > 0

        return rank_in_blocks(queries, k, self.tracks, score)

    def because(self, query: Query, tracks: NDArray[np.int32]) -> list[int | None]:
        history = query.history[self.row_of[query.history] >= 0]
        if not len(history):
            return [None] * len(tracks)
        weights = query.weights(self.settings.half_life)[self.row_of[query.history] >= 0]
        near = np.exp((self._vectors(history) @ self._vectors(tracks).T - 1) / self.settings.temperature)
        near[:, self.row_of[tracks] < 0] = 0
        spoken = near * weights[:, None]
        best = spoken.argmax(axis=0)
        return [int(history[row]) if spoken[row, at] > 0 else None for at, row in enumerate(best)]

    def nearest(self, songs: NDArray[np.int32], k: int) -> Ranked:
        """The k nearest songs of each song that has a vector, itself included; scores are cosines."""
        vectors = self._vectors(songs[self.row_of[songs] >= 0])
        return self.index.search(vectors, min(k, len(self.index))) if len(vectors) else Ranked.from_rows([])

    def by_text(self, text: str, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k songs nearest to the words; scores are cosines. Raises UserError without a text encoder."""
        if self.encode_text is None:
            raise UserError("this encoder understands no words")
        if not len(self.index):
            return np.zeros(0, np.int32), np.zeros(0, np.float32)
        return self.index.search(self.encode_text([text]), min(k, len(self.index)))[0]

    def state(self) -> State:
        return {}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self.fit(dataset)

    def _vectors(self, tracks: NDArray[np.int32]) -> NDArray[np.float32]:
        return self.vectors.values[self.row_of[tracks]]

    def _neighbours(self, songs: NDArray[np.int32]) -> csr_matrix:
        """(N, N) float32 with a row of exp((cosine - 1) / temperature) for each of the songs, itself included."""
        found = self._remembered(songs[self.row_of[songs] >= 0])
        lengths = np.zeros(self.tracks, np.int64)
        for song, (near, _) in found.items():
            lengths[song] = len(near)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        near = np.concatenate([NOTHING, *(tracks for tracks, _ in found.values())])
        cosines = np.concatenate([np.zeros(0, np.float32), *(scores for _, scores in found.values())])
        return csr_matrix((self._count(cosines), near, offsets), shape=(self.tracks, self.tracks))

    def _remembered(self, songs: NDArray[np.int32]) -> dict[int, tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """Neighbours of each song, in the order of `songs`; searched once, since many queries share their songs."""
        if (len(self.memory) + len(songs)) * self.settings.neighbours > REMEMBERED_CELLS:
            self.memory.clear()
        asked = (self.settings.neighbours, len(self.index))
        new = np.array([song for song in songs if (int(song), asked) not in self.memory], np.int32)
        if len(new):
            found = self.index.search(self._vectors(new), min(asked))
            self.memory.update({(int(song), asked): found[row] for row, song in enumerate(new)})
        return {int(song): self.memory[int(song), asked] for song in songs}

    def _count(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.exp((cosines - 1) / self.settings.temperature), dtype=np.float32)

    def _search(self, vectors: NDArray[np.float32]) -> Ranked:
        if not len(vectors):
            return Ranked.from_rows([])
        found = self.index.search(vectors, min(self.settings.neighbours, len(self.index)))
        return Ranked(found.offsets, found.tracks, self._count(found.scores))

    def _add_text(self, block: Sequence[Query], scores: NDArray[np.float32]) -> None:
        """Words are farther from songs than songs from each other: their best song counts 1 times the text's weight."""
        rows = [row for row, query in enumerate(block) if query.text]
        if self.encode_text is None or not rows or not len(self.index):
            return
        found = self._search(self.encode_text([str(block[row].text) for row in rows]))
        for row, (tracks, near) in zip(rows, found, strict=True):
            # Where no song of the history speaks (there is none, or none has a vector), the words speak alone.
            peak = float(scores[row].max())
            weight = self.settings.text_weight * peak if peak > 0 else 1.0
            scores[row, tracks] += weight * near / near[0]
