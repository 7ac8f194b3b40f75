"""Rankings of a batch of queries as one ragged array, without padding or sentinels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Ranked:
    """Row q holds `tracks[offsets[q]:offsets[q + 1]]`, best first, with their scores; rows may be short or empty."""

    offsets: NDArray[np.int64]
    tracks: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.tracks[start:stop], self.scores[start:stop]

    def __getitem__(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        start, stop = self.offsets[query], self.offsets[query + 1]
        return self.tracks[start:stop], self.scores[start:stop]

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]]) -> "Ranked":
        """Put per-query (tracks, scores), each already best first, into one ragged array."""
        if not rows:
            return cls(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
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
        lengths = [np.diff(part.offsets) for part in parts]
        return cls(
            np.concatenate([[0], np.cumsum(np.concatenate([*lengths, np.zeros(0, np.int64)]))]).astype(np.int64),
            np.concatenate([np.zeros(0, np.int32), *(part.tracks for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)]),
        )


def rank_scores(scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int) -> Ranked:
    """The k best allowed songs of each row of dense scores.

    scores, allowed: (Q, N). Ties go to the lower row number, so that the answer does not depend on the batch.
    """
    k = min(k, scores.shape[1])
    import torch  # a second of loading, which a reader of rankings can do without

    masked = torch.from_numpy(np.where(allowed, scores, -np.inf))
    if k * 4 >= masked.shape[1]:
        best, places = torch.sort(masked, dim=1, descending=True, stable=True)
    else:
        best, places = _top_k(masked, k)
    values, columns = best[:, :k].numpy(), places[:, :k].numpy()
    keep = np.isfinite(values)
    return Ranked(
        np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64),
        columns[keep].astype(np.int32),
        values[keep].astype(np.float32),
    )


def _top_k(masked: "torch.Tensor", k: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Top-k with ties resolved like a stable sort: everything above the k-th value, then the lowest columns at it."""
    import torch

    values, _ = torch.topk(masked, k, dim=1)
    threshold = values[:, -1:]
    above, at = masked > threshold, masked == threshold
    room = k - above.sum(dim=1, keepdim=True)
    chosen = above | (at & (at.cumsum(dim=1) <= room))
    columns = chosen.nonzero()[:, 1].view(len(masked), k)
    picked = masked.gather(1, columns)
    order = torch.sort(picked, dim=1, descending=True, stable=True)
    return order.values, columns.gather(1, order.indices)
