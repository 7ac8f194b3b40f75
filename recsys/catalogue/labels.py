"""Which songs have a label: an artist, a genre, a tag, a language. Case and outer blanks do not matter."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import UnknownIdError, closest
from recsys.queries import NOTHING


class Labels:
    """The songs of each label."""

    def __init__(self, kind: str, songs: Mapping[str, NDArray[np.int32]], shown: Mapping[str, str]) -> None:
        """kind: what errors call it. songs: by plain label. shown: how the catalogue writes it."""
        self.kind, self._songs, self._shown = kind, songs, shown

    @classmethod
    def of(cls, kind: str, *columns: pl.Series) -> Self:
        """columns: (N,) a text, or a list of them, for each song."""
        return cls.listed(kind, *((_listed(value) for value in column.to_list()) for column in columns))

    @classmethod
    def listed(cls, kind: str, *columns: Iterable[Sequence[str]]) -> Self:
        """columns: the labels of each song."""
        rows: dict[str, list[int]] = {}
        shown: dict[str, str] = {}
        for column in columns:
            for row, labels in enumerate(column):
                for label in labels:
                    rows.setdefault(plain(label), []).append(row)
                    shown.setdefault(plain(label), label.strip())
        return cls(kind, {label: np.unique(np.array(songs, np.int32)) for label, songs in rows.items()}, shown)

    def songs(self, label: str) -> NDArray[np.int32]:
        """Rows, ascending. Raises UnknownIdError that names the closest label there is."""
        found = self._songs.get(plain(label))
        if found is None:
            near = closest(label, self._shown.values())
            raise UnknownIdError(f'no {self.kind} "{label}" ({len(self._songs):,} known{near})')
        return found

    def find(self, label: str) -> NDArray[np.int32]:
        """The same, none for a label that nobody has."""
        return self._songs.get(plain(label), NOTHING)

    def any_of(self, labels: Sequence[str], tracks: int) -> NDArray[np.bool_]:
        """(tracks,) songs that have one of the labels."""
        found = np.zeros(tracks, np.bool_)
        for label in labels:
            found[self.songs(label)] = True
        return found

    def most_frequent(self, most: int) -> list[str]:
        """Labels as the catalogue writes them, those of most songs first."""
        ordered = sorted(self._songs, key=lambda label: (-len(self._songs[label]), label))
        return [self._shown[label] for label in ordered[:most]]


def plain(label: str) -> str:
    """The form that labels are compared in."""
    return unicodedata.normalize("NFKC", label).strip().casefold()


def _listed(value: str | list[str] | None) -> list[str]:
    """The labels of a cell; none that is empty."""
    labels = [] if value is None else [value] if isinstance(value, str) else value
    return [label for label in labels if label and label.strip()]
