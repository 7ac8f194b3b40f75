"""What speaks for an answered song, beyond the one line of its reason: sources, played songs and words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_LABELS = 1000
"""Genres, tags and languages that are compared with a song, those of most songs first."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for one song.

    reason: in a line, as it was answered. sources: their shares of the score, which add up to 1. nearest: played (or
    given) songs nearest in HTCL space, by track_id, and their cosines. words: genres, tags and languages of the
    catalogue that the text tower finds nearest, and their cosines; none where the encoder knows no words.
    """

    track_id: str
    reason: str
    sources: dict[str, float]
    nearest: dict[str, float]
    words: dict[str, float]


class WordsOfSongs:
    """The catalogue's labels as places in HTCL space."""

    def __init__(
        self,
        labels: Sequence[str],
        encode: Callable[[list[str]], NDArray[np.float32]] | None,
        knows: Callable[[str], bool],
    ) -> None:
        """encode: texts -> unit vectors (Q, D), None where the encoder knows no words. knows: whether it was taught a
        word; a label is compared if it was taught all of its words."""
        self._labels = [label for label in labels if all(map(knows, label.split()))] if encode is not None else []
        self._vectors = encode(self._labels) if encode is not None and self._labels else None

    def nearest(self, vectors: NDArray[np.float32], most: int) -> list[dict[str, float]]:
        """For each vector (T, D) the labels nearest to it and their cosines; none for zeros."""
        if self._vectors is None:
            return [{} for _ in vectors]
        return nearest_names(self._labels, self._vectors, vectors, most)


def nearest_names(
    names: Sequence[str], places: NDArray[np.float32], vectors: NDArray[np.float32], most: int
) -> list[dict[str, float]]:
    """For each vector (T, D) the names (N) whose places (N, D) are nearest, best first; zeros are near to nothing."""
    known = np.flatnonzero(places.any(axis=1))
    cosines = vectors @ places[known].T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :most]
    return [
        {names[known[at]]: float(cosines[row, at]) for at in best[row]} if vectors[row].any() else {}
        for row in range(len(vectors))
    ]
