"""The best of scores that come in blocks, against sorting them all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.index.running_top_k import RunningTopK, passing


def led(scores: torch.Tensor, count: int, widths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Through one buffer that is overwritten, as `ExactIndex` does."""
    blocks = scores.split(widths, dim=1)
    leaders, start = RunningTopK(blocks[0], count), widths[0]
    room = torch.empty(len(scores), max(widths))
    for block in blocks[1:]:
        part = room.view(-1)[: block.numel()].view(block.shape)
        part.copy_(block)
        leaders.offer(part, start)
        start += block.shape[1]
        part.fill_(float("nan"))
    return leaders.ranked()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.lists(st.integers(1, 40), max_size=6),
    st.sampled_from(["random", "rising", "falling", "ties", "one row rises"]),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_sorting_everything(queries, count, widths, order, seed):
    widths = [count + 3, *widths]
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(queries, sum(widths))).astype(np.float32)
    if order == "ties":
        scores = np.round(scores)
    if order in ("rising", "falling"):
        scores.sort(axis=1)
        scores = scores if order == "rising" else scores[:, ::-1].copy()
    if order == "one row rises":
        scores[0].sort()
    best, places = led(torch.from_numpy(scores), count, widths)
    assert best.tolist() == (-np.sort(-scores, axis=1))[:, :count].tolist()
    assert np.take_along_axis(scores, places.numpy(), 1).tolist() == best.tolist()
    assert all(len(set(row)) == count for row in places.tolist())


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (5, 16), (3, 5), (4, 6)])
@pytest.mark.parametrize("bar", [-1.0, 0.5, 0.9, 1.0])
def test_what_passes_is_above_the_bar(shape, bar):
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    bars = torch.full((shape[0], 1), bar)
    rows, columns = passing(scores, bars)
    assert torch.stack([rows, columns], dim=1).tolist() == (scores > bars).nonzero().tolist()
