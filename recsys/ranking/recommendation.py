"""One recommended song."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recommendation:
    """One recommended song.

    sources: the candidate sources that proposed it, the one that counted most first. because: the track_id of the
    played (or given) song that speaks most for it; None where no single song does.
    """

    track_id: str
    title: str | None
    artist: str | None
    score: float
    sources: tuple[str, ...]
    because: str | None
