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

    def between(self, start: int, stop: int) -> "Targets":
        """Queries `start` to `stop` - 1; the songs are not copied."""
        offsets = self.offsets[start : stop + 1]
        return Targets(offsets - offsets[0], self.tracks[offsets[0] : offsets[-1]])

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
    _check(ranked.tracks, catalogue_size)
    wanted = np.sort(pair_keys(targets.queries(), targets.tracks, catalogue_size))
    perhaps = _perhaps(ranked, targets)
    queries = np.searchsorted(ranked.offsets, perhaps, side="right") - 1
    ranks = perhaps - ranked.offsets[queries]
    keys = pair_keys(queries, ranked.tracks[perhaps], catalogue_size)
    right = np.flatnonzero((ranks < depth) & contains(wanted, keys))
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
    queries, ranks = places(hits, k)
    reached = np.bincount(queries, weights=gain[ranks], minlength=len(hits))
    ideal: NDArray[np.float64] = np.cumsum(gain)[np.minimum(n_relevant, k) - 1]
    return reached / ideal


def at_most(hits: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """The first k ranks. Raises ValueError where `hits` was not computed that deep, which would read as misses."""
    if not 1 <= k <= hits.shape[1]:
        raise ValueError(f"cutoff {k} is not between 1 and {hits.shape[1]}, the depth of the hits: compute them deeper")
    return hits[:, :k]


def places(hits: NDArray[np.bool_], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Queries and ranks (from 0) of the hits among the first k ranks, query by query.

    >>> [where.tolist() for where in places(np.array([[True, False, True], [False, True, True]]), k=2)]
    [[0, 1], [0, 1]]
    """
    # Flat, because NumPy passes over rows of False eight at a time there, and over a table's one at a time.
    flat = np.flatnonzero(at_most(hits, k))
    return flat // k, flat % k


def first_ranks(
    ranked: Ranked, depths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """The first `depths[q]` songs of every row, flat: their queries, ranks (from 0) and tracks."""
    lengths = np.minimum(np.diff(ranked.offsets), depths)
    queries = np.repeat(np.arange(len(ranked)), lengths)
    ranks = np.arange(len(queries)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if len(queries) == len(ranked.tracks):
        return queries, ranks, ranked.tracks
    return queries, ranks, ranked.tracks[ranks + np.repeat(ranked.offsets[:-1], lengths)]


def pair_keys(queries: NDArray[np.int64], tracks: NDArray[np.int32], catalogue_size: int) -> NDArray[np.int64]:
    """One number per (query, song), so that ragged rows can be sorted and searched all at once."""
    _check(tracks, catalogue_size)
    keys: NDArray[np.int64] = queries * np.int64(catalogue_size) + tracks
    return keys


def _check(tracks: NDArray[np.int32], catalogue_size: int) -> None:
    if len(tracks) and not (tracks.min() >= 0 and tracks.max() < catalogue_size):
        raise ValueError(f"songs {tracks.min()} to {tracks.max()} do not all stand in a catalogue of {catalogue_size}")


def contains(ordered: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `keys` stand in `ordered`, which is sorted."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    place = np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[place] == keys
    return found


def _perhaps(ranked: Ranked, targets: Targets) -> NDArray[np.int64]:
    """Where in `ranked.tracks` the right songs stand, and a few wrong ones.

    Hardly any song of a ranking is right, and to search for each would take most of the time of all metrics. A table
    of hashes, at least sixteen places per target, tells so for fifteen of sixteen wrong ones.
    """
    bits = min(max(len(targets.tracks) * 16, 2).bit_length(), 28)
    table = np.zeros(1 << bits, np.bool_)
    table[_hashed(targets.offsets, targets.tracks, bits)] = True
    return np.flatnonzero(table[_hashed(ranked.offsets, ranked.tracks, bits)])


def _hashed(offsets: NDArray[np.int64], tracks: NDArray[np.int32], bits: int) -> NDArray[np.int64]:
    """0 to 2**bits - 1 for each song of each query: upper bits of a product with odd numbers (Knuth 1998, 6.4)."""
    lengths = np.diff(offsets)
    of_query = np.arange(len(lengths), dtype=np.uint32) * np.uint32(0x85EBCA6B)
    hashes = tracks.view(np.uint32) * np.uint32(0x9E3779B1)
    if len(lengths) and (lengths == lengths[0]).all():
        hashes.reshape(len(lengths), -1)[:] += of_query[:, None]  # many times faster than `repeat`
    else:
        hashes += np.repeat(of_query, lengths)
    hashes >>= np.uint32(32 - bits)
    return hashes.astype(np.int64)


def _offsets(counts: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
