"""The contract of a vector index: the nearest songs by cosine similarity, whichever backend finds them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recsys.ranked import Ranked


class VectorIndex(Protocol):
    """An index of song vectors. One vector per song; lengths do not matter, only directions.

    A call that raises changes nothing.
    """

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    def __len__(self) -> int:
        """How many songs it holds."""

    def add(self, ids: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Put in songs `ids` (N,), not negative, with their `vectors` (N, D).

        Raises ValueError for NaN, infinite or zero vectors, a wrong width, and ids that are negative, repeated or
        already here. To change a song's vector, remove it first.
        """

    def remove(self, ids: NDArray[np.int32]) -> None:
        """Take out songs `ids` (N,); naming one twice is fine. Raises LookupError naming those that are not here."""

    def search(
        self, vectors: NDArray[np.float32], k: int, exclude: Sequence[NDArray[np.int32]] | None = None
    ) -> Ranked:
        """The `k` songs nearest to each of `vectors` (Q, D), best first; fewer only where fewer remain.

        exclude: for each query, ids that it must not return; they may be unknown here. Scores are cosine similarities,
        -1..1 up to rounding, the higher the nearer; equal scores go to the lower id. Raises ValueError for NaN,
        infinite or zero queries, a wrong width, `k` below 1, or an `exclude` of another length than `vectors`.
        """

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, made where missing. Not atomic: publish the folder as a whole."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises DamagedError where the files do not fit together."""
