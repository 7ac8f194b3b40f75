"""Votes: what each song of a history gives to each proposed song, from which reasons are taken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recsys.queries import NOTHING


@dataclass(frozen=True)
class Votes:
    """songs: (H,) of the history, each once. values: (H, T) float32 for T proposed songs, above 0 where one speaks for
    the other. of_likes: (H, T) where more than half of that is for songs like the proposed one; None is nowhere."""

    songs: NDArray[np.int32]
    values: NDArray[np.float32]
    of_likes: NDArray[np.bool_] | None = None

    @classmethod
    def none(cls, proposed: int) -> Self:
        """Of a source that can name no song."""
        return cls(NOTHING, np.zeros((0, proposed), np.float32))

    @classmethod
    def for_pairs(cls, pairs: Iterable[tuple[int, int]], proposed: int) -> Self:
        """One song for each of some places: (place, song)."""
        listed = list(pairs)
        songs, rows = np.unique(np.array([song for _, song in listed], np.int32), return_inverse=True)
        values = np.zeros((len(songs), proposed), np.float32)
        values[rows, [place for place, _ in listed]] = 1
        return cls(songs, values)

    def best(self) -> list[int | None]:
        """For each proposed song the one that gives most to it; of equal ones the lower row. None where none gives."""
        return [
            self.nearly_best(place, 1.0)[0] if self.speaks(place) else None for place in range(self.values.shape[1])
        ]

    def speaks(self, place: int) -> bool:
        """Whether any song gives anything to the proposed song in this place."""
        return bool((self.values[:, place] > 0).any())

    def nearly_best(self, place: int, share: float) -> list[int]:
        """The songs that give at least this share of what the best one gives, best first."""
        given = self.values[:, place]
        rows = np.flatnonzero(given >= share * given.max())
        return [int(song) for song in self.songs[rows[np.argsort(-given[rows], kind="stable")]]]
