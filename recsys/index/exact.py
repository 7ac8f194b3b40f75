"""Exact search: every song is compared with every query, in blocks, on the CPU or a GPU.

The yardstick for the backends that take short cuts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from recsys.index import overfetch
from recsys.index.card import IndexCard, damaged
from recsys.index.input_checks import known_ids, new_ids, unit_vectors
from recsys.index.running_top_k import RunningTopK
from recsys.ranked import Ranked

_FILE = "vectors.safetensors"

FIRST = 4
"The first block holds at least so many times the songs wanted; the bar that later songs must take is set by it."


class ExactSettings(BaseModel):
    device: str = "auto"
    "Where vectors lie and are compared: cpu, cuda, cuda:1, ...; auto takes a CUDA device where there is one."
    block_mib: PositiveInt | None = None
    "Memory for one block of scores, MiB; by default 4 on a CPU, where it stays in the cache, and 64 on a GPU."
    query_block: PositiveInt = 512
    "Queries compared at once."


class ExactIndex:
    """A VectorIndex that is never wrong. Add in large batches: each call copies what is there."""

    def __init__(self, dimension: int, settings: ExactSettings | None = None) -> None:
        self.dimension = dimension
        self.settings = settings or ExactSettings()
        self._device = torch.device(_choose(self.settings.device))
        self._ids = np.zeros(0, np.int32)
        self._vectors = torch.zeros((0, dimension), device=self._device)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def vectors(self) -> torch.Tensor:
        """(N, D), each of length 1, on the index's device, in the order they were added. Not to be changed."""
        return self._vectors

    def add(self, ids: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        unit = unit_vectors(vectors, self.dimension)
        fresh = new_ids(ids, self._ids, len(unit))
        self._vectors = torch.cat([self._vectors, torch.from_numpy(unit).to(self._device)])
        self._ids = np.concatenate([self._ids, fresh])

    def remove(self, ids: NDArray[np.int32]) -> None:
        stays = ~np.isin(self._ids, known_ids(ids, self._ids))
        self._vectors = self._vectors[torch.from_numpy(stays).to(self._device)]
        self._ids = self._ids[stays]

    def search(
        self, vectors: NDArray[np.float32], k: int, exclude: Sequence[NDArray[np.int32]] | None = None
    ) -> Ranked:
        return overfetch.search(
            vectors,
            k,
            exclude,
            dimension=self.dimension,
            size=len(self),
            track_of=self._ids,
            nearest=self._nearest,
            vectors_of=self._vectors_of,
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"ids": self._ids, "vectors": self._vectors.cpu().numpy()}, folder / _FILE)
        settings = self.settings.model_dump(mode="json")
        IndexCard(backend="exact", dimension=self.dimension, count=len(self), settings=settings).write(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = IndexCard.read(folder)
        path = folder / _FILE
        try:
            stored = load_file(path)
            ids, vectors = stored["ids"], stored["vectors"]
        except (OSError, SafetensorError, KeyError) as error:
            raise damaged(path, "it cannot be read") from error
        if ids.shape != (card.count,) or vectors.shape != (card.count, card.dimension):
            raise damaged(path, f"not the {card.count} vectors of {card.dimension} numbers that index.json names")
        index = cls(card.dimension, ExactSettings.model_validate(card.settings))
        index._ids = ids
        index._vectors = torch.from_numpy(vectors).to(index._device)
        return index

    def _vectors_of(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._device.type == "cpu":
            return self._vectors.numpy().take(slots, axis=0)
        return self._vectors[torch.from_numpy(slots).to(self._device)].cpu().numpy()

    @torch.inference_mode()
    def _nearest(self, queries: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        with _full_precision():
            parts = [
                self._nearest_block(rows.to(self._device), count)
                for rows in torch.from_numpy(queries).split(self.settings.query_block)
            ]
        return np.concatenate([scores for scores, _ in parts]), np.concatenate([slots for _, slots in parts])

    def _nearest_block(self, queries: torch.Tensor, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        mib = self.settings.block_mib or (4 if self._device.type == "cpu" else 64)
        columns = max(1, mib * 2**20 // (4 * len(queries)))
        first = min(max(columns, FIRST * count), len(self))
        leaders = RunningTopK(queries @ self._vectors[:first].T, count)
        room = torch.empty(len(queries) * columns, device=self._device)
        for start in range(first, len(self), columns):
            part = self._vectors[start : start + columns]
            leaders.offer(torch.mm(queries, part.T, out=room[: len(queries) * len(part)].view(len(queries), -1)), start)
        scores, slots = leaders.ranked()
        return scores.cpu().numpy(), slots.cpu().numpy()


def _choose(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep TF32 or bfloat16, which training may have switched on for the whole process, out of the scores."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
