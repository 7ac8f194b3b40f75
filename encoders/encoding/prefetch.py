"""Prefetching: the next batch is assembled while the model computes the current one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def prefetched(read: Callable[[int], T], count: int) -> Iterator[T]:
    """read(0), read(1), ... of `count`, each called in a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, 0) if count else None
        for number in range(count):
            assert coming is not None
            value = coming.result()
            coming = pool.submit(read, number + 1) if number + 1 < count else None
            yield value


def moved(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The batch on the device; to a GPU through pinned memory, while it still computes."""
    if device.type != "cuda":
        return {name: value.to(device) for name, value in batch.items()}
    return {name: value.pin_memory().to(device, non_blocking=True) for name, value in batch.items()}
