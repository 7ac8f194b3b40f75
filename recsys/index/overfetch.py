"""Over-fetching: fetch more than `k`, drop excluded songs, fetch more if too few remain.

Fetching more and masking works the same on every backend; FAISS's own selector is ignored, silently, on a GPU.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.index.input_checks import search_request, unit_vectors
from recsys.ranked import Ranked

Nearest = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]
"(queries (B, D), count) -> scores (B, count), best first, and slots (B, count), negative where there is none."
VectorsOf = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"slots (N,) -> their vectors (N, D)."

# Fetched beside the k wanted, so that a few equal scores at the border do not cost a second fetch.
_SPARE = 16
_BLOCK_BYTES = 64 * 2**20
_BYTES_PER_HIT = 16
_RESCORED_AT_ONCE = 2**16


def search(
    vectors: NDArray[np.float32],
    k: int,
    exclude: Sequence[NDArray[np.int32]] | None,
    *,
    dimension: int,
    size: int,
    track_of: NDArray[np.int32],
    nearest: Nearest,
    vectors_of: VectorsOf | None,
) -> Ranked:
    """The `k` best songs for each of `vectors` (Q, D), of any length, without those it excludes: `VectorIndex.search`.

    size: the number of slots that `nearest` looks through; asked for so many, it must look at all. track_of: the song
    in each slot, negative where it was removed. vectors_of: given by backends that look at every vector; their scores
    are then computed again in float64, so that neither ties nor the last digit depend on batch, blocks or device.
    """
    queries = unit_vectors(vectors, dimension)
    excluded = search_request(k, exclude, len(queries))
    k = min(k, size)
    counts = np.array([_at_least(k + len(ids) + _SPARE, size) for ids in excluded], dtype=np.int64)
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    rows = [nothing] * len(queries)
    waiting = np.arange(len(queries)) if size else np.zeros(0, np.int64)
    while len(waiting):
        count = int(counts[waiting].min())
        alike = waiting[counts[waiting] == count]
        # Split by what is fetched, not by the number of queries: it is the shortlist that takes the memory.
        block = alike[: max(1, _BLOCK_BYTES // (_BYTES_PER_HIT * count))]
        scores, slots = nearest(queries[block], count)
        for query, row_scores, row_slots in zip(block, scores, slots, strict=True):
            answer = _settle(
                queries[query], k, excluded[query], row_scores, row_slots, count >= size, track_of, vectors_of
            )
            if answer is None:
                counts[query] = min(2 * count, size)
            else:
                rows[query] = answer
                counts[query] = 0
        waiting = waiting[counts[waiting] > 0]
    return Ranked.from_rows(rows)


def _at_least(wanted: int, size: int) -> int:
    """Rounded up, four steps to each power of two, so that queries with exclusions of any length share few fetches."""
    step = max(1 << (wanted - 1).bit_length() >> 3, 1)
    return min(-(-wanted // step) * step, size)


def _settle(
    query: NDArray[np.float32],
    k: int,
    exclude: NDArray[np.int32],
    scores: NDArray[np.float32],
    slots: NDArray[np.int64],
    is_everything: bool,
    track_of: NDArray[np.int32],
    vectors_of: VectorsOf | None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
    """One query's songs and scores, or None where the shortlist is too short to tell."""
    found = slots >= 0
    scores, slots = scores[found], slots[found]
    tracks = track_of[slots]
    allowed = tracks >= 0
    if len(exclude):
        allowed &= ~_among(tracks, exclude)
    if np.count_nonzero(allowed) < k and not is_everything:
        return None
    if vectors_of is not None and np.count_nonzero(allowed) >= k:
        # A float32 dot product of D terms of unit vectors is off by at most D * eps / 2, and two are compared.
        border = scores[allowed][k - 1] - len(query) * np.finfo(np.float32).eps
        if scores[-1] >= border and not is_everything:
            return None
        allowed &= scores >= border
    tracks = tracks[allowed]
    scores = scores[allowed] if vectors_of is None else _scores(query, slots[allowed], vectors_of)
    order = np.lexsort((tracks, -scores))[:k]
    return tracks[order], scores[order]


def _among(tracks: NDArray[np.int32], exclude: NDArray[np.int32]) -> NDArray[np.bool_]:
    """`np.isin` for a few of a few, many times over: thrice as fast, because it sorts the smaller side alone."""
    ordered = np.sort(exclude)
    at = ordered.searchsorted(tracks)
    at[at == len(ordered)] = 0
    found: NDArray[np.bool_] = ordered[at] == tracks
    return found


def _scores(query: NDArray[np.float32], slots: NDArray[np.int64], vectors_of: VectorsOf) -> NDArray[np.float32]:
    """Cosine similarities to `query` (D,), summed in the same order for every song, which a matrix product is not."""
    scores = np.empty(len(slots), np.float32)
    for start in range(0, len(slots), _RESCORED_AT_ONCE):
        part = slice(start, start + _RESCORED_AT_ONCE)
        scores[part] = (vectors_of(slots[part]).astype(np.float64) * query).sum(axis=1)
    return scores
