"""Resumable work over the catalogue, in blocks saved to disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from data.reporting import meter

Block = dict[str, NDArray[Any]]


def in_blocks(
    name: str, rows: NDArray[np.int32], size: int, scratch: Path, make: Callable[[NDArray[np.int32]], Block]
) -> list[Block]:
    """`make` of the rows, `size` of them at a time, with progress under `name`; blocks in `scratch` are not redone."""
    scratch.mkdir(parents=True, exist_ok=True)
    blocks = []
    left = size * len(list(scratch.glob("block-*.safetensors")))
    with meter(name, len(rows), min(left, len(rows))) as progress:
        for start in range(0, len(rows), size):
            path = scratch / f"block-{start:09d}.safetensors"
            block = _read_block(path)
            if block is None:
                block = make(rows[start : start + size])
                aside = path.with_suffix(".new")
                save_file(block, aside)
                aside.replace(path)
            blocks.append(block)
            progress.to(min(start + size, len(rows)))
    return blocks


def _read_block(path: Path) -> Block | None:
    """A finished block; None where there is none, or a damaged one."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        return None
