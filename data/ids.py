"""A frozen map between the user's string ids and contiguous int32 rows."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.errors import UnknownIdError, closest


@dataclass(frozen=True)
class IdMap:
    """Both directions between outside strings and inside rows 0..n-1."""

    names: tuple[str, ...]
    kind: str = "track"
    rows: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = {name: row for row, name in enumerate(self.names)}
        if len(rows) != len(self.names):
            raise ValueError(f"duplicate {self.kind} ids")
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    @cached_property
    def _alike(self) -> dict[str, int | None]:
        """Rows by names without outer blanks and in one Unicode form; None where several names are alike."""
        found: dict[str, int | None] = {}
        for name, row in self.rows.items():
            key = _plain(name)
            found[key] = None if key in found else row
        return found

    def find(self, name: str) -> int | None:
        """The row of an id; else of the only one that is it but for blanks around it and the form of its accents."""
        row = self.rows.get(name)
        return self._alike.get(_plain(name)) if row is None else row

    def to_rows(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Inside rows of outside ids. Raises UnknownIdError naming the ids that are not there."""
        found = [self.find(name) for name in names]
        unknown = [name for name, row in zip(names, found, strict=True) if row is None]
        if unknown:
            shown = ", ".join(f'"{name}"' for name in unknown[:5]) + (" ..." if len(unknown) > 5 else "")
            near = closest(unknown[0], self.names) if len(unknown) == 1 else ""
            raise UnknownIdError(f"no {self.kind} {shown} ({len(self.names):,} known{near})")
        return np.array(found, dtype=np.int32)

    def to_names(self, rows: Iterable[int]) -> list[str]:
        """Outside ids of inside rows. Raises IndexError for rows that are not there, a sentinel among them."""
        rows = list(rows)
        if rows and min(rows) < 0:
            raise IndexError(f"row {min(rows)} is no {self.kind}")
        return [self.names[row] for row in rows]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
