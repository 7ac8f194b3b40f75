"""Vector neighbours: songs whose vectors are near those of the history, found in an index.

Each song of the history votes for its own neighbours, so several tastes are not averaged into one.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from encoders.encoding.vector_files import Vectors
from recsys.candidates.declaration import AtQuery, Range
from recsys.candidates.history import HistorySettings, history_shares, votes
from recsys.candidates.votes import Votes
from recsys.index import VectorIndex
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked

Row = tuple[NDArray[np.int32], NDArray[np.float32]]
NO_ROW: Row = (NOTHING, np.zeros(0, np.float32))
REMEMBERED_CELLS = 20_000_000
"""Neighbours kept over queries: 160 MB."""


class VectorNeighbourSettings(HistorySettings):
    """How neighbours are counted."""

    neighbours: PositiveInt = 1000
    "Nearest songs that each song of the history votes for."
    temperature: Annotated[PositiveFloat, Range(0.02, 0.4, log=True), AtQuery] = 0.2
    "A song at cosine c counts exp((c - 1) / temperature)."


class VectorNeighbours:
    """Neighbours of the history's songs. Songs without a vector contribute nothing and are never recommended."""

    def __init__(self, vectors: Vectors, index: VectorIndex, tracks: int) -> None:
        """index: holds the vectors. tracks: size N of the catalogue."""
        self.vectors, self.index, self.tracks = vectors, index, tracks
        self.memory: dict[tuple[int, tuple[int, int]], Row] = {}
        self.row_of = np.full(tracks, -1, np.int64)
        self.row_of[vectors.tracks] = np.arange(len(vectors.tracks))
        self.known = self.row_of >= 0

    def scores(self, queries: Sequence[Query], settings: VectorNeighbourSettings) -> NDArray[np.float32]:
        """(Q, N): the weighted mean over the history of what each of its songs gives to its neighbours, not itself."""
        history = history_shares(queries, self.tracks, settings.half_life)
        return np.asarray((history @ self._neighbours(np.unique(history.indices), settings)).toarray(), np.float32)

    def votes(self, query: Query, tracks: NDArray[np.int32], settings: VectorNeighbourSettings) -> Votes:
        """What each song of the history gives to each song."""
        speaks, asked = self.known[query.history], self.known[tracks]
        others = query.history[speaks][:, None] != tracks[asked][None, :]
        cosines = self.of(query.history[speaks]) @ self.of(tracks[asked]).T
        near = np.zeros((len(query.history), len(tracks)), np.float32)
        near[np.ix_(speaks, asked)] = closeness(cosines, settings) * others
        return votes(query, tracks, near, settings, self.known)

    def nearest(self, songs: NDArray[np.int32], k: int) -> Ranked:
        """The k nearest songs of each song that has a vector, itself included; scores are cosines."""
        vectors = self.of(songs[self.known[songs]])
        return self.index.search(vectors, min(k, len(self.index))) if len(vectors) else Ranked.from_rows([])

    def toward(self, vector: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None) -> Row:
        """The k songs nearest to a vector (D,) among those allowed (N,), and their cosines; None allows all.

        Where songs are left out, every other one is compared: no index knows which are left before it is asked.
        """
        if allowed is None:
            return self.index.search(vector[None], min(k, len(self.index)))[0] if len(self.index) else NO_ROW
        rows = np.flatnonzero(allowed[self.vectors.tracks])
        cosines = self.vectors.values[rows] @ (vector / np.linalg.norm(vector))
        best = np.argsort(-cosines, kind="stable")[:k]
        return self.vectors.tracks[rows[best]], cosines[best].astype(np.float32)

    def of(self, songs: NDArray[np.int32]) -> NDArray[np.float32]:
        """(S, D) vectors; of a song that has none some other song's."""
        return self.vectors.values[self.row_of[songs]]

    def _neighbours(self, songs: NDArray[np.int32], settings: VectorNeighbourSettings) -> csr_matrix:
        """(N, N) float32 with a row of `closeness` for each of the songs; 0 for itself."""
        found = self._remembered(songs[self.known[songs]], settings.neighbours)
        lengths = np.zeros(self.tracks, np.int64)
        for song, (near, _) in found.items():
            lengths[song] = len(near)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        near = np.concatenate([NOTHING, *(tracks for tracks, _ in found.values())])
        cosines = np.concatenate([np.zeros(0, np.float32), *(scores for _, scores in found.values())])
        others = near != np.repeat(np.arange(self.tracks), lengths)
        return csr_matrix((closeness(cosines, settings) * others, near, offsets), shape=(self.tracks, self.tracks))

    def _remembered(self, songs: NDArray[np.int32], neighbours: int) -> dict[int, Row]:
        """Neighbours of each song, in the order of `songs`; searched once, since many queries share their songs."""
        asked = (neighbours + 1, len(self.index))  # one is the song itself
        # What is found is held here too: another thread may empty the memory meanwhile.
        found = {int(song): self.memory.get((int(song), asked)) for song in songs}
        new = np.array([song for song, near in found.items() if near is None], np.int32)
        if len(new):
            searched = self.index.search(self.of(new), min(asked))
            if (len(self.memory) + len(new)) * neighbours > REMEMBERED_CELLS:
                self.memory = {}
            for row, song in enumerate(new):
                found[int(song)] = self.memory[int(song), asked] = searched[row]
        return {song: near for song, near in found.items() if near is not None}


def closeness(cosines: NDArray[np.float32], settings: VectorNeighbourSettings) -> NDArray[np.float32]:
    """What songs at these cosines count."""
    return np.asarray(np.exp((cosines - 1) / settings.temperature), dtype=np.float32)
