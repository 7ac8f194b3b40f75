"""What became of events that were handed in: each one is counted somewhere."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from data.events.kinds import Refused


@dataclass(frozen=True)
class Outcome:
    """new: stored for good. repeated: were there already. refused: no events, with reasons and examples. unknown: of
    those stored or repeated, how many name a song that is not in the dataset, and one of these songs."""

    new: int
    repeated: int = 0
    refused: Refused = field(default_factory=Refused)
    unknown: int = 0
    unknown_song: str = ""

    def remarks(self) -> Iterator[str]:
        """What is not as it was meant, a line each."""
        if self.refused.total:
            yield f"{self.refused.total:,} refused: {self.refused}"
        if self.unknown:
            yield f'{self.unknown:,} of songs that are not in the dataset, such as "{self.unknown_song}"; kept'

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        refused = [
            {"reason": r, "count": n, "example": self.refused.examples[r]} for r, n in self.refused.count.items()
        ]
        return {**asdict(self), "refused": refused}
