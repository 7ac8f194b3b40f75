"""The held-out songs of a batch of queries, as one ragged array."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Targets:
    """The songs that were right: row q holds `tracks[offsets[q]:offsets[q + 1]]`, each once; rows may be empty."""

    offsets: NDArray[np.int64]
    tracks: NDArray[np.int32]

    @classmethod
    def from_rows(cls, rows: Sequence[ArrayLike]) -> "Targets":
        """Put each query's songs into one ragged array; a song named twice counts once.

        >>> Targets.from_rows([[7, 3, 7], []]).tracks.tolist()
        [3, 7]
        """
        unique = [np.unique(np.asarray(row, np.int32)) for row in rows]
        counts = np.fromiter((len(row) for row in unique), np.int64, len(unique))
        return cls(offsets_of(counts), np.concatenate([np.zeros(0, np.int32), *unique]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def counts(self) -> NDArray[np.int64]:
        """(Q,) songs per query."""
        return np.diff(self.offsets)

    def nonempty(self) -> NDArray[np.bool_]:
        """(Q,) whether the query has anything to find."""
        return self.counts() > 0

    def queries(self) -> NDArray[np.int64]:
        """The query of every entry of `tracks`."""
        return np.repeat(np.arange(len(self)), self.counts())

    def restrict(self, songs: NDArray[np.bool_]) -> "Targets":
        """The same queries, only with targets among `songs`, a mask over the catalogue (N,)."""
        return self.keep(songs[self.tracks])

    def keep(self, kept: NDArray[np.bool_]) -> "Targets":
        """The same queries, only with the targets of a mask over `tracks`."""
        return Targets(offsets_of(kept)[self.offsets], self.tracks[kept])

    def between(self, start: int, stop: int) -> "Targets":
        """Queries `start` to `stop` - 1; the songs are not copied."""
        offsets = self.offsets[start : stop + 1]
        return Targets(offsets - offsets[0], self.tracks[offsets[0] : offsets[-1]])

    def select(self, queries: NDArray[np.bool_]) -> "Targets":
        """Only the queries of the mask (Q,), in their order."""
        return Targets(offsets_of(self.counts()[queries]), self.tracks[queries[self.queries()]])


def offsets_of(counts: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
