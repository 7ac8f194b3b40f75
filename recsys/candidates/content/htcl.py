"""HTCL neighbours: songs whose vectors are near those of the history, or of a title or words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from encoders.encoding.vector_files import Vectors
from recsys.candidates.content.vector_neighbours import NO_ROW, VectorNeighbours, VectorNeighbourSettings, closeness
from recsys.candidates.contract import State, rank_rows
from recsys.candidates.declaration import AtQuery, Reason
from recsys.candidates.history import add_repeats
from recsys.candidates.votes import Votes
from recsys.index import VectorIndex
from recsys.queries import Query
from recsys.ranked import Ranked, Row

TextEncoder = Callable[[list[str]], NDArray[np.float32]]


class HtclSettings(VectorNeighbourSettings):
    """How neighbours are counted, and those of words beside them."""

    text_weight: Annotated[float, AtQuery] = 0.3
    "Weight of the title's or text's neighbours beside the history's."


class Htcl:
    """Neighbours in an index of item vectors. Songs without a vector contribute nothing and are never recommended."""

    Settings = HtclSettings
    reason = Reason("sounds {how}like {song}", without_audio="reads {how}like {song}")

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
        self.near = VectorNeighbours(self.vectors, self.index, len(dataset.track_ids))
        return self

    def candidates(self, queries: Sequence[Query], k: int) -> Ranked:
        queries = self.settings.awake(queries)
        return rank_rows(queries, k, self._scores(queries))

    def _scores(self, queries: Sequence[Query]) -> Iterator[NDArray[np.float32]]:
        for query, scores in zip(queries, self.near.scores(queries, self.settings), strict=True):
            self._add_text(query, scores)
            add_repeats(scores, query, self.settings, self.near.known)
            yield scores

    def votes(self, query: Query, tracks: NDArray[np.int32]) -> Votes:
        return self.near.votes(query, tracks, self.settings)

    def nearest(self, songs: NDArray[np.int32], k: int) -> Ranked:
        """The k nearest songs of each song that has a vector, itself included; scores are cosines."""
        return self.near.nearest(songs, k)

    def around(self, songs: NDArray[np.int32], k: int, allowed: NDArray[np.bool_] | None = None) -> Row:
        """The k songs nearest to the mean of the songs' vectors, among those allowed (N,), and their cosines."""
        return self.near.toward(self.near.of(songs[self.near.known[songs]]).mean(axis=0), k, allowed)

    def by_text(self, text: str, k: int, allowed: NDArray[np.bool_] | None = None) -> Row:
        """The k songs nearest to the words, among those allowed (N,), and their cosines.

        Raises UserError without a text encoder.
        """
        if self.encode_text is None:
            raise UserError("text search needs an encoder with a text tower; this one has none")
        return self.near.toward(self.encode_text([text])[0], k, allowed) if len(self.index) else NO_ROW

    def state(self) -> State:
        return {}

    def restore(self, dataset: Dataset, state: Mapping[str, NDArray[Any]]) -> Self:
        return self.fit(dataset)

    def _add_text(self, query: Query, scores: NDArray[np.float32]) -> None:
        """Words are farther from songs than songs from each other: their best song counts 1 times the text's weight."""
        if not query.text or self.encode_text is None or not len(self.index):
            return
        tracks, cosines = self.by_text(query.text, self.settings.neighbours)
        near = closeness(cosines, self.settings)
        # Without history, or where none of it has a vector, the score is that of the words alone.
        peak = float(scores.max())
        weight = self.settings.text_weight * peak if peak > 0 else 1.0
        scores[tracks] += weight * near / near[0]
