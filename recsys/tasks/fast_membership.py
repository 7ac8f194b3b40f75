"""Which ranked songs are targets: sorted keys, and a hash filter that spares most of the searches."""

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked
from recsys.tasks.targets import Targets


def pair_keys(queries: NDArray[np.int64], tracks: NDArray[np.int32], catalogue_size: int) -> NDArray[np.int64]:
    """One number per (query, song), so that ragged rows can be sorted and searched all at once."""
    check_tracks(tracks, catalogue_size)
    keys: NDArray[np.int64] = queries * np.int64(catalogue_size) + tracks
    return keys


def check_tracks(tracks: NDArray[np.int32], catalogue_size: int) -> None:
    if len(tracks) and not (tracks.min() >= 0 and tracks.max() < catalogue_size):
        raise ValueError(f"songs {tracks.min()} to {tracks.max()} do not all stand in a catalogue of {catalogue_size}")


def contains(ordered: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `keys` stand in `ordered`, which is sorted."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    place = np.searchsorted(ordered, keys).clip(max=len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[place] == keys
    return found


def likely_hits(ranked: Ranked, targets: Targets) -> NDArray[np.int64]:
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
