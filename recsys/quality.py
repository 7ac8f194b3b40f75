"""Which recommended songs were right, and how high do they stand? The core that evaluation and fusion tuning share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recsys.ranked import Ranked


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
        return cls(_offsets(counts), np.concatenate([np.zeros(0, np.int32), *unique]))

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
        return Targets(_offsets(kept)[self.offsets], self.tracks[kept])

    def select(self, queries: NDArray[np.bool_]) -> "Targets":
        """Only the queries of the mask (Q,), in their order."""
        return Targets(_offsets(self.counts()[queries]), self.tracks[queries[self.queries()]])


def hits(ranked: Ranked, targets: Targets, depth: int, catalogue_size: int) -> NDArray[np.bool_]:
    """Whether the song at each of the first `depth` ranks is right: (Q, depth), False beyond the end of a short row.

    A song that a ranking repeats counts only where it stands first. Raises ValueError where rankings and targets are
    not of the same queries and catalogue.

    >>> ranked = Ranked.from_rows([(np.array([4, 2, 4, 0]), np.array([0.9, 0.8, 0.7, 0.6]))])
    >>> hits(ranked, Targets.from_rows([[0, 4]]), depth=5, catalogue_size=6).astype(int).tolist()
    [[1, 0, 0, 1, 0]]
    """
    if len(ranked) != len(targets):
        raise ValueError(f"{len(ranked)} rankings cannot be judged by the targets of {len(targets)} queries")
    queries, ranks, tracks = first_ranks(ranked, np.full(len(ranked), depth, np.int64))
    keys = pair_keys(queries, tracks, catalogue_size)
    right = np.flatnonzero(_contains(np.sort(pair_keys(targets.queries(), targets.tracks, catalogue_size)), keys))
    _, first = np.unique(keys[right], return_index=True)
    right = right[first]
    table = np.zeros((len(ranked), depth), np.bool_)
    table[queries[right], ranks[right]] = True
    return table


def ndcg(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Normalised discounted cumulative gain of the first k ranks: (Q,), 0 to 1.

    hits: (Q, at least k). n_relevant: (Q,), targets per query, at least one. Gain 1, discount log2(rank + 1); the ideal
    ranking has its first min(n_relevant, k) songs right (Järvelin and Kekäläinen 2002).

    >>> ndcg(np.array([[False, True, False]]), np.array([1]), k=3).round(4).tolist()  # 1 / log2(3)
    [0.6309]
    """
    if (n_relevant < 1).any():
        raise ValueError("NDCG needs at least one target per query: leave out the queries without any")
    gain = 1 / np.log2(np.arange(2, k + 2))
    queries, ranks = np.nonzero(at_most(hits, k))
    reached = np.bincount(queries, weights=gain[ranks], minlength=len(hits))
    ideal: NDArray[np.float64] = np.cumsum(gain)[np.minimum(n_relevant, k) - 1]
    return reached / ideal


def at_most(hits: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """The first k ranks. Raises ValueError where `hits` was not computed that deep, which would read as misses."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"cutoff {k} is not between 1 and {hits.shape[1]}, the depth of the hits: compute them deeper")
    return hits[:, :k]


def first_ranks(
    ranked: Ranked, depths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The first `depths[q]` songs of every row, flat: their queries, ranks (from 0) and tracks."""
    lengths = np.diff(ranked.offsets)
    queries = np.repeat(np.arange(len(ranked)), lengths)
    ranks = np.arange(len(queries)) - np.repeat(ranked.offsets[:-1], lengths)
    kept = ranks < depths[queries]
    return queries[kept], ranks[kept], ranked.tracks[kept]


def pair_keys(queries: NDArray[np.int64], tracks: NDArray[np.int32], catalogue_size: int) -> NDArray[np.int64]:
    """One number per (query, song), so that ragged rows can be sorted and searched all at once."""
    if len(tracks) and not (tracks.min() >= 0 and tracks.max() < catalogue_size):
        raise ValueError(f"songs {tracks.min()} to {tracks.max()} do not all stand in a catalogue of {catalogue_size}")
    keys: NDArray[np.int64] = queries * np.int64(catalogue_size) + tracks
    return keys


def _contains(ordered: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    place = np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[place] == keys
    return found


def _offsets(counts: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
