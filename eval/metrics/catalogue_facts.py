"""Facts about songs and queries beyond the targets: plays, artists, genres, vectors, histories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.candidates.simple.popularity import Popularity, play_counts
from recsys.queries import Query, history_matrix
from recsys.ranked import Ranked
from recsys.tasks.targets import Targets

AT = (10, 20, 100)
"""How many answers are looked at."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CatalogueFacts:
    """What is known of the N songs of the catalogue.

    plays: (N,) wanted plays and playlist entries before the test. artists: (N,), -1 where unknown. genres: (N, G), rows
    sum to 1, empty where unknown. vectors: (N, D), unit rows, zeros where a song has none; D may be 0. new: (N,)
    songs without any play or playlist entry before the test.
    """

    plays: Floats
    artists: NDArray[np.int32]
    genres: csr_matrix
    vectors: Floats
    new: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset, past: Dataset, vectors: Vectors | None, new: NDArray[np.bool_]) -> "CatalogueFacts":
        """past: the part of the dataset that models learned from, whose plays say what is popular."""
        count = len(dataset.track_ids)
        rows = np.zeros((count, 0)) if vectors is None else vectors.by_track(count).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return cls(
            play_counts(past).astype(np.float64),
            dataset.artists,
            genre_matrix(dataset.tracks["genres"].to_list()),
            np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0),
            new,
        )

    def __len__(self) -> int:
        return len(self.plays)


@dataclass(frozen=True)
class QueryFacts:
    """Facts that do not depend on the model: the targets, the songs the popularity baseline would recommend, and (Q, N)
    histories.

    popular: the most played songs that may be answered. history: weights of the songs that were liked, none negative.
    """

    targets: Targets
    popular: Ranked
    history: csr_matrix

    @classmethod
    def of(cls, queries: Sequence[Query], targets: Targets, past: Dataset) -> "QueryFacts":
        """past: where the plays are counted that make a song popular."""
        history = history_matrix(queries, len(past.track_ids), None)
        history.data = history.data.clip(min=0)
        return cls(targets, Popularity().fit(past).candidates(queries, max(AT)), history)


def genre_matrix(genres: Sequence[Sequence[str] | None]) -> csr_matrix:
    """(N, G): a song's weight is divided evenly among its distinct genres, named in any case; empty where none."""
    rows = [sorted({name.strip().lower() for name in of or [] if name and name.strip()}) for of in genres]
    column = {name: at for at, name in enumerate(sorted({name for row in rows for name in row}))}
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.fromiter((column[name] for row in rows for name in row), np.int64)
    values = np.fromiter((1 / len(row) for row in rows for _ in row), np.float64)
    return csr_matrix((values, columns, offsets), shape=(len(rows), len(column)))
