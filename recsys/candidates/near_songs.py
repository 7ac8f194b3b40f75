"""Songs whose vectors lie near those of the songs played, in an index.

Each song of the history speaks for its own neighbours, so a listener with several tastes is not averaged into one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from encoders.vectors import Vectors
from recsys.index import VectorIndex
from recsys.queries import NOTHING, Query, history_matrix
from recsys.ranked import Ranked

REMEMBERED_CELLS = 20_000_000
"""Neighbours kept over queries: 160 MB."""


class NearSettings(BaseModel):
    """How neighbours are counted."""

    neighbours: PositiveInt = 1000
    "Nearest songs that each song of the history speaks for."
    temperature: PositiveFloat = 0.1
    "A song at cosine c counts exp((c - 1) / temperature)."
    half_life: float | None = 20.0
    "Plays after which one counts half."


class NearSongs:
    """What the songs of a history speak for. Songs without a vector neither speak nor are proposed."""

    def __init__(self, vectors: Vectors, index: VectorIndex, tracks: int) -> None:
        """index: holds the vectors. tracks: size N of the catalogue."""
        self.vectors, self.index, self.tracks = vectors, index, tracks
        self.memory: dict[tuple[int, tuple[int, int]], tuple[NDArray[np.int32], NDArray[np.float32]]] = {}
        self.row_of = np.full(tracks, -1, np.int64)
        self.row_of[vectors.tracks] = np.arange(len(vectors.tracks))

    def scores(self, queries: Sequence[Query], settings: NearSettings) -> NDArray[np.float32]:
        """(Q, N): the weighted mean over the history of what each of its songs gives to its neighbours."""
        history = history_matrix(queries, self.tracks, settings.half_life)
        scores = (history @ self._neighbours(np.unique(history.indices), settings)).toarray()
        total = np.asarray(np.abs(history).sum(axis=1)).reshape(-1, 1)
        scores /= np.maximum(total, 1e-9)
        return np.asarray(scores, np.float32)

    def speaks_most(self, query: Query, tracks: NDArray[np.int32], settings: NearSettings) -> list[int | None]:
        """For each song, the song of the history that gives most to it; None where none gives anything."""
        known = self.row_of[query.history] >= 0
        history = query.history[known]
        if not len(history):
            return [None] * len(tracks)
        near = closeness(self.of(history) @ self.of(tracks).T, settings)
        near[:, self.row_of[tracks] < 0] = 0
        spoken = near * query.weights(settings.half_life)[known][:, None]
        best = spoken.argmax(axis=0)
        return [int(history[row]) if spoken[row, at] > 0 else None for at, row in enumerate(best)]

    def nearest(self, songs: NDArray[np.int32], k: int) -> Ranked:
        """The k nearest songs of each song that has a vector, itself included; scores are cosines."""
        vectors = self.of(songs[self.row_of[songs] >= 0])
        return self.index.search(vectors, min(k, len(self.index))) if len(vectors) else Ranked.from_rows([])

    def of(self, songs: NDArray[np.int32]) -> NDArray[np.float32]:
        """(S, D) vectors; of a song that has none some other song's."""
        return self.vectors.values[self.row_of[songs]]

    def _neighbours(self, songs: NDArray[np.int32], settings: NearSettings) -> csr_matrix:
        """(N, N) float32 with a row of `closeness` for each of the songs, itself included."""
        found = self._remembered(songs[self.row_of[songs] >= 0], settings.neighbours)
        lengths = np.zeros(self.tracks, np.int64)
        for song, (near, _) in found.items():
            lengths[song] = len(near)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        near = np.concatenate([NOTHING, *(tracks for tracks, _ in found.values())])
        cosines = np.concatenate([np.zeros(0, np.float32), *(scores for _, scores in found.values())])
        return csr_matrix((closeness(cosines, settings), near, offsets), shape=(self.tracks, self.tracks))

    def _remembered(
        self, songs: NDArray[np.int32], neighbours: int
    ) -> dict[int, tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """Neighbours of each song, in the order of `songs`; searched once, since many queries share their songs."""
        if (len(self.memory) + len(songs)) * neighbours > REMEMBERED_CELLS:
            self.memory.clear()
        asked = (neighbours, len(self.index))
        new = np.array([song for song in songs if (int(song), asked) not in self.memory], np.int32)
        if len(new):
            found = self.index.search(self.of(new), min(asked))
            self.memory.update({(int(song), asked): found[row] for row, song in enumerate(new)})
        return {int(song): self.memory[int(song), asked] for song in songs}


def closeness(cosines: NDArray[np.float32], settings: NearSettings) -> NDArray[np.float32]:
    """What songs at these cosines count."""
    return np.asarray(np.exp((cosines - 1) / settings.temperature), dtype=np.float32)
