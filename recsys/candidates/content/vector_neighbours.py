"""Vector neighbours: songs whose vectors are near those of the history, found in an index.

Each song of the history votes for its own neighbours, so several tastes are not averaged into one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from encoders.encoding.vector_files import Vectors
from recsys.candidates.declaration import AtQuery, Range
from recsys.candidates.history import HistorySettings, asking_shares, votes
from recsys.candidates.votes import Votes
from recsys.index import VectorIndex
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked, Row

NO_ROW: Row = (NOTHING, np.zeros(0, np.float32))
QUERIES_AT_ONCE = 128
"""Queries whose songs are searched together."""
VOTES = 10_000
"""Neighbours of all songs of a history together, where each of many has fewer than `neighbours`. On the demo
(simulated), where twenty songs ask, 400 each reach what 1,000 do; a playlist's few have all."""
LEAST = 100
"""Neighbours of each song at least."""
REMEMBERED_CELLS = 20_000_000
"""Neighbours kept over queries: 160 MB."""


class VectorNeighbourSettings(HistorySettings):
    """How neighbours are counted."""

    neighbours: PositiveInt = 1000
    "Nearest songs that each song of the history votes for; fewer where many of them vote."
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

    def scores(self, queries: Sequence[Query], settings: VectorNeighbourSettings) -> Iterator[NDArray[np.float32]]:
        """(N,) for each query: the weighted mean over the history of what each of its songs gives to its neighbours,
        not itself."""
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            asking = [self._asking(query, settings) for query in queries[start : start + QUERIES_AT_ONCE]]
            wanted: dict[int, set[int]] = {}
            for songs, _, neighbours in asking:
                wanted.setdefault(neighbours, set()).update(songs.tolist())
            near = {count: self._remembered(sorted(songs), count) for count, songs in wanted.items()}
            for songs, shares, neighbours in asking:
                yield self._score(songs, shares, near[neighbours], settings)

    def _asking(
        self, query: Query, settings: VectorNeighbourSettings
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
        """The songs of a history that ask for neighbours, the share of each, and how many each asks for.

        In steps of a factor of two, so that what is remembered of a song serves most histories.
        """
        songs, shares = asking_shares(query, settings.half_life)
        known = self.known[songs]
        songs, shares, neighbours = songs[known], shares[known], settings.neighbours
        while neighbours >= 2 * LEAST and neighbours * len(songs) > VOTES:
            neighbours //= 2
        return songs, shares, neighbours

    def _score(
        self,
        songs: NDArray[np.int32],
        shares: NDArray[np.float32],
        near: Mapping[int, Row],
        settings: VectorNeighbourSettings,
    ) -> NDArray[np.float32]:
        scores = np.zeros(self.tracks, np.float32)
        found = [near[song] for song in songs.tolist()]
        given = closeness(np.concatenate([np.zeros(0, np.float32), *(cosines for _, cosines in found)]), settings)
        given *= np.repeat(shares, [len(tracks) for tracks, _ in found])
        np.add.at(scores, np.concatenate([NOTHING, *(tracks for tracks, _ in found)]), given)
        return scores

    def votes(self, query: Query, tracks: NDArray[np.int32], settings: VectorNeighbourSettings) -> Votes:
        """What each song of the history gives to each song."""
        speaks, asked = self.known[query.songs], self.known[tracks]
        others = query.songs[speaks][:, None] != tracks[asked][None, :]
        cosines = self.of(query.songs[speaks]) @ self.of(tracks[asked]).T
        near = np.zeros((len(query.songs), len(tracks)), np.float32)
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

    def _remembered(self, songs: Sequence[int], neighbours: int) -> dict[int, Row]:
        """Neighbours of each song, itself left out; searched once, since many queries share their songs."""
        asked = (neighbours + 1, len(self.index))  # one is the song itself
        # What is found is held here too: another thread may empty the memory meanwhile.
        found = {song: self.memory.get((song, asked)) for song in songs}
        new = np.array([song for song, near in found.items() if near is None], np.int32)
        if len(new):
            searched = self.index.search(self.of(new), min(asked))
            if (len(self.memory) + len(new)) * neighbours > REMEMBERED_CELLS:
                self.memory = {}
            for song, (tracks, cosines) in zip(new.tolist(), searched, strict=True):
                others = tracks != song
                found[song] = self.memory[song, asked] = tracks[others], cosines[others]
        return {song: near for song, near in found.items() if near is not None}


def closeness(cosines: NDArray[np.float32], settings: VectorNeighbourSettings) -> NDArray[np.float32]:
    """What songs at these cosines count."""
    counts = cosines - np.float32(1)
    counts /= np.float32(settings.temperature)
    return np.asarray(np.exp(counts, out=counts), np.float32)
