"""A frozen map between the user's string ids and contiguous int32 rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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

    def to_rows(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Inside rows of outside ids. Raises UnknownIdError naming the ids that are not there."""
        unknown = [name for name in names if name not in self.rows]
        if unknown:
            shown = ", ".join(f'"{name}"' for name in unknown[:5]) + (" ..." if len(unknown) > 5 else "")
            near = closest(unknown[0], self.names) if len(unknown) == 1 else ""
            raise UnknownIdError(f"no {self.kind} {shown} ({len(self.names):,} known{near})")
        return np.fromiter((self.rows[name] for name in names), dtype=np.int32, count=len(names))

    def to_names(self, rows: Iterable[int]) -> list[str]:
        """Outside ids of inside rows. Raises IndexError for rows that are not there, a sentinel among them."""
        rows = list(rows)
        if rows and min(rows) < 0:
            raise IndexError(f"row {min(rows)} is no {self.kind}")
        return [self.names[row] for row in rows]
