"""Rankings of a batch of queries as one ragged array, without padding or sentinels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Row = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Songs of one query, best first, and their scores."""
SAMPLED = 64
"""Of large catalogues every so-manieth score says where the best begin."""
FEW = 3
"""Times k: of so many songs all are sorted; of more, the k best are looked for first."""


@dataclass(frozen=True)
class Ranked:
    """Row q holds `tracks[offsets[q]:offsets[q + 1]]`, best first, with their scores; rows may be short or empty."""

    offsets: NDArray[np.int64]
    tracks: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(Q,) songs of each query."""
        return self.offsets[1:] - self.offsets[:-1]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The query of each entry."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """How many entries of its query stand before each."""
        return np.arange(len(self.tracks)) - np.repeat(self.offsets[:-1], self.lengths)

    def __iter__(self) -> Iterator[Row]:
        for start, stop in pairwise(self.offsets.tolist()):
            yield self.tracks[start:stop], self.scores[start:stop]

    def __getitem__(self, query: int) -> Row:
        start, stop = self.offsets[query], self.offsets[query + 1]
        return self.tracks[start:stop], self.scores[start:stop]

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> "Ranked":
        """Put per-query (tracks, scores), each already best first, into one ragged array."""
        if not rows:
            return cls(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        if len(rows) == 1:
            tracks, scores = rows[0]
            offsets = np.array([0, len(tracks)], np.int64)
            return cls(offsets, tracks.astype(np.int32, copy=False), scores.astype(np.float32, copy=False))
        lengths = np.fromiter((len(tracks) for tracks, _ in rows), np.int64, len(rows))
        return cls(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([tracks for tracks, _ in rows]).astype(np.int32),
            np.concatenate([scores for _, scores in rows]).astype(np.float32),
        )

    def between(self, start: int, stop: int) -> "Ranked":
        """Queries `start` to `stop` - 1; the songs are not copied."""
        offsets = self.offsets[start : stop + 1]
        within = slice(offsets[0], offsets[-1])
        return Ranked(offsets - offsets[0], self.tracks[within], self.scores[within])

    def select(self, queries: NDArray[np.bool_]) -> "Ranked":
        """Only the queries of the mask (Q,), in their order."""
        return Ranked.from_rows([self[int(row)] for row in np.flatnonzero(queries)])

    @classmethod
    def concatenate(cls, parts: Sequence["Ranked"]) -> "Ranked":
        """The queries of several batches, one batch after the other."""
        if len(parts) == 1:
            return parts[0]
        lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
        return cls(
            np.cumsum(lengths),
            np.concatenate([np.zeros(0, np.int32), *(part.tracks for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
        )


def rank_scores(scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int) -> Ranked:
    """The k best allowed songs of each row of dense scores.

    scores: (Q, N); allowed: (Q, N) or (N,). Ties go to the lower row number, so that the answer does not depend on the
    batch.
    """
    return Ranked.from_rows(
        [best_of_row(row, allowed if allowed.ndim == 1 else allowed[at], k) for at, row in enumerate(scores)]
    )


def best_of_row(scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int) -> Row:
    """The k best allowed songs of one row of dense scores (N,), as `rank_scores` gives them."""
    songs = (allowed & (scores >= _low_bar(scores, allowed, k))).nonzero()[0]
    if len(songs) < k:
        songs = allowed.nonzero()[0]
    return best_songs(songs, scores[songs], k)


def best_songs(songs: NDArray[np.integer], scores: NDArray[np.float32], k: int) -> Row:
    """The k best of some songs (M,), ascending. Ties go to the lower row number; a score that is not finite is none."""
    if not np.isfinite(scores).all():
        finite = np.isfinite(scores).nonzero()[0]
        songs, scores = songs[finite], scores[finite]
    if len(scores) > FEW * k:
        # What ties with the k-th stays until the order of the songs has decided.
        among = (scores >= np.partition(scores, len(scores) - k)[len(scores) - k]).nonzero()[0]
        songs, scores = songs[among], scores[among]
    order = np.argsort(-scores, kind="stable")[:k]
    return songs[order].astype(np.int32), scores[order].astype(np.float32)


def _low_bar(scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int) -> float:
    """A score that k of the allowed songs most likely reach and few others: by every `SAMPLED`-th of them.

    To compare a million scores with it takes a thirtieth of the time of looking for the k-th among them.
    """
    sample = scores[::SAMPLED][allowed[::SAMPLED]]
    expected = k / SAMPLED
    at = int(expected + 4 * expected**0.5) + 4
    if len(sample) <= at:
        return -np.inf
    return float(np.partition(sample, len(sample) - at)[len(sample) - at])
