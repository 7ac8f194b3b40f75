"""The best so far of many queries, while scores come in blocks: hardly any score of a later block is looked at twice.

Sorting every block costs more than computing it. But after the first blocks few scores beat the worst that a query
keeps: of scores in random order, `count * log(N / first)` of N. So a block is only compared with that bar, and what
passes is put aside until it is worth a merge.
"""

import torch
from torch import Tensor


class Leaders:
    """The `count` best scores of each of Q queries. `offer` blocks of scores, then read them off with `ranked`."""

    def __init__(self, scores: Tensor, count: int) -> None:
        """scores: (Q, at least `count`), of the first columns."""
        self._count = count
        self._scores, self._places = scores.topk(count, dim=1, sorted=False)
        self._aside: list[tuple[Tensor, Tensor, Tensor]] = []
        self._raise_the_bar()

    def offer(self, scores: Tensor, start: int) -> None:
        """scores: (Q, C), contiguous, of the columns from `start` on; may be overwritten afterwards."""
        rows, columns = nonzero(scores > self._bar)
        if len(rows):
            self._aside.append((rows, columns + start, scores[rows, columns]))
            self._waiting += torch.bincount(rows, minlength=len(self._waiting))
            if int(self._waiting.max()) >= self._count:
                self._merge()

    def ranked(self) -> tuple[Tensor, Tensor]:
        """Scores (Q, count), best first, and their columns (Q, count) i64."""
        if self._aside:
            self._merge()
        scores, order = self._scores.sort(dim=1, descending=True)
        return scores, self._places.gather(1, order)

    def _merge(self) -> None:
        """Lay what was put aside beside the best, one row a query, and keep the best of both."""
        rows, places, scores = (torch.cat(parts) for parts in zip(*self._aside, strict=True))
        rows, order = rows.sort(stable=True)
        starts = self._waiting.cumsum(0) - self._waiting
        columns = self._count + torch.arange(len(rows), device=rows.device) - starts[rows]
        shape = (len(self._waiting), self._count + int(self._waiting.max()))
        wide_scores, wide_places = self._scores.new_full(shape, float("-inf")), self._places.new_zeros(shape)
        wide_scores[:, : self._count], wide_places[:, : self._count] = self._scores, self._places
        wide_scores[rows, columns], wide_places[rows, columns] = scores[order], places[order]
        self._scores, chosen = wide_scores.topk(self._count, dim=1, sorted=False)
        self._places = wide_places.gather(1, chosen)
        self._aside.clear()
        self._raise_the_bar()

    def _raise_the_bar(self) -> None:
        self._bar = self._scores.amin(dim=1, keepdim=True)
        self._waiting = torch.zeros(len(self._scores), dtype=torch.int64, device=self._scores.device)


def nonzero(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is true in a contiguous (Q, C) mask that is nearly all false, row by row.

    Eight places are looked at together, which torch does not do by itself.
    """
    flat = mask.view(-1)
    if len(flat) % 8:
        return mask.nonzero(as_tuple=True)  # type: ignore[return-value]
    eights = flat.view(torch.int64).nonzero()[:, :1] * 8
    places = (eights + torch.arange(8, device=mask.device)).view(-1)
    places = places[flat[places]]
    return places // mask.shape[1], places % mask.shape[1]
