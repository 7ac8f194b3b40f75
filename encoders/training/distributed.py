"""Distributed training: each process encodes its share of a batch; the loss sees the vectors of the whole batch.

The negatives of a contrastive loss are the other songs of the whole batch, so vectors are gathered, and the gradient
flows back through the gathering to the process that made them: the weights move as they would in one process. An
average over processes of gradients that stop at the gathering would be as many times too small.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from encoders.model.outputs import SongVectors

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""How long the others wait for the first one, which decodes and mines alone. It is the launcher that sees crashes."""


def join() -> Accelerator:
    """Join the processes that `accelerate launch` or `torchrun` started; one alone has nobody to join."""
    together, gpu = int(os.environ.get("WORLD_SIZE", "1")) > 1, torch.cuda.is_available()
    waiting = [InitProcessGroupKwargs(timeout=PATIENCE)]
    # Left to itself accelerate lets each process train alone where there is no GPU.
    return Accelerator(mixed_precision="bf16" if gpu else "no", cpu=together and not gpu, kwargs_handlers=waiting)


def count() -> int:
    """How many processes train together; 1 without `accelerate launch`."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(rows: int) -> NDArray[np.int64]:
    """The places of a batch that this process reads: every count()-th; the first again where they do not divide."""
    each = -(-rows // count())
    return (rank() + count() * np.arange(each, dtype=np.int64)) % rows


def gather(songs: SongVectors, rows: int) -> SongVectors:
    """The vectors of the whole batch of so many rows, in its order, from every process's `share`."""
    if count() == 1:
        return songs
    size, device = songs.fusion.shape, songs.fusion.device
    precision = torch.promote_types(songs.fusion.dtype, torch.float32)
    present = torch.tensor([songs.audio is not None, songs.text is not None], dtype=torch.long, device=device)
    distributed.all_reduce(present, distributed.ReduceOp.MAX)

    def whole(vectors: Tensor | None, anyone: Tensor) -> Tensor | None:
        if not anyone:
            return None
        # A process whose songs all lack a modality takes part with zeros, which nobody reads. Every process has to take
        # part in the way back too, hence a gradient even for what none is wanted of.
        given = torch.zeros(size, device=device) if vectors is None else vectors
        given = given.to(precision)
        gathered: Tensor = _Gather.apply(given if given.requires_grad else given.requires_grad_())
        return _in_order(gathered, rows)

    def flags(values: Tensor) -> Tensor:
        return _in_order(_all(values.to(torch.uint8)), rows).bool()

    fusion = whole(songs.fusion, present[:1] >= 0)
    assert fusion is not None
    return SongVectors(
        whole(songs.audio, present[0]),
        whole(songs.text, present[1]),
        fusion,
        flags(songs.has_audio),
        flags(songs.has_text),
    )


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every process's gradients become their mean. A parameter that no process has a gradient for is left without."""
    if count() == 1:
        return
    every = list(parameters)
    used = torch.tensor([p.grad is not None for p in every], dtype=torch.long, device=every[0].device)
    distributed.all_reduce(used, distributed.ReduceOp.MAX)
    for parameter, wanted in zip(every, used.tolist(), strict=True):
        if wanted:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            distributed.all_reduce(gradient)
            parameter.grad = gradient / count()


@torch.no_grad()
def same_weights(model: nn.Module) -> None:
    """Every process takes the first one's weights and buffers."""
    if count() > 1:
        for value in model.state_dict().values():
            distributed.broadcast(value, 0)


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in every process; the others wait for it."""
    if count() == 1:
        return make()
    made: list[Any] = [make() if rank() == 0 else None]
    distributed.broadcast_object_list(made, 0)
    found: T = made[0]
    return found


@contextmanager
def first_then_others() -> Iterator[None]:
    """The first process alone, then all others: what it publishes they find, and do not make again."""
    if rank() > 0:
        wait()
    yield
    if rank() == 0:
        wait()


def wait() -> None:
    """Until every process is here."""
    if count() > 1:
        distributed.barrier()


def _all(values: Tensor) -> Tensor:
    """(W, n, ...) every process's values."""
    found = [torch.empty_like(values) for _ in range(count())]
    distributed.all_gather(found, values.contiguous())
    return torch.stack(found)


def _in_order(values: Tensor, rows: int) -> Tensor:
    """(W, n, ...) -> (rows, ...): undoes `share`."""
    return values.transpose(0, 1).flatten(0, 1)[:rows]


class _Gather(torch.autograd.Function):
    """All processes' vectors; backward sums what every process's loss says of ours."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        return _all(vectors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous()
        distributed.all_reduce(summed)
        return summed[rank()]
