"""Running top-k of many queries over blocks of scores; later scores below the current k-th are skipped.

Sorting every block costs more than computing it. But after the first blocks few scores beat the worst that a query
keeps: of scores in random order, `count * log(N / first)` of N. So a block is only compared with that bar, and what
passes is put aside until it is worth a merge.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad


class RunningTopK:
    """The `count` best scores of each of Q queries. `offer` blocks of scores, then read them off with `ranked`."""

    def __init__(self, scores: Tensor, count: int) -> None:
        """scores: (Q, at least `count`), of the first columns."""
        self._count = count
        best, places = scores.topk(count, dim=1, sorted=False)
        # The best to the left, then room for what passes the bar.
        self._scores = scores.new_full((len(scores), 2 * count), float("-inf"))
        self._places = places.new_zeros((len(scores), 2 * count))
        self._keep(best, places)

    def offer(self, scores: Tensor, start: int) -> None:
        """scores: (Q, C), contiguous, of the columns from `start` on; may be overwritten afterwards."""
        rows, columns = passing(scores, self._bar)
        if not len(rows):
            return
        coming = torch.bincount(rows, minlength=len(scores))
        if int((self._filled + coming).max()) > self._scores.shape[1]:
            self._merge()
            self._widen(self._count + int(coming.max()))
        earlier_of_row = torch.arange(len(rows), device=rows.device) - (coming.cumsum(0) - coming)[rows]
        at = self._filled[rows] + earlier_of_row
        self._scores[rows, at], self._places[rows, at] = scores[rows, columns], columns + start
        self._filled += coming

    def ranked(self) -> tuple[Tensor, Tensor]:
        """Scores (Q, count), best first, and their columns (Q, count) i64."""
        scores, order = self._scores.topk(self._count, dim=1)
        return scores, self._places.gather(1, order)

    def _merge(self) -> None:
        best, chosen = self._scores.topk(self._count, dim=1, sorted=False)
        self._keep(best, self._places.gather(1, chosen))

    def _keep(self, best: Tensor, places: Tensor) -> None:
        self._scores[:, : self._count], self._places[:, : self._count] = best, places
        self._scores[:, self._count :] = float("-inf")
        self._bar = best.amin(dim=1, keepdim=True)
        self._filled = torch.full((len(best),), self._count, device=best.device)

    def _widen(self, width: int) -> None:
        """Room for a block of which more passes than ever before."""
        missing = width - self._scores.shape[1]
        if missing > 0:
            self._scores = pad(self._scores, (0, missing), value=float("-inf"))
            self._places = pad(self._places, (0, missing))


def passing(scores: Tensor, bar: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of the few scores (Q, C) above their row's bar (Q, 1), row by row."""
    if scores.device.type != "cpu":
        return (scores > bar).nonzero(as_tuple=True)  # type: ignore[return-value]
    # NumPy compares, and passes over what is False, many numbers at a time; torch on a CPU takes them one by one.
    flat = torch.from_numpy(np.flatnonzero(scores.numpy() > bar.numpy()))
    return flat // scores.shape[1], flat % scores.shape[1]
