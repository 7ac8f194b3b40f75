"""What a candidate source declares beside its code: the settings that are tried, when they matter, and its reason.

A settings field carries the range that is tried on validation and, where changing it needs no new fit, `AtQuery`:
`half_life: Annotated[float | None, OneOf((1.0, 5.0, None)), AtQuery] = 5.0`.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel


class Range(NamedTuple):
    """Numbers from low to high, both included; whole ones where both ends are. log: drawn on a logarithmic scale."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class OneOf:
    """The values that a setting may take."""

    values: tuple[Any, ...]


class AtQuery:
    """Marks a setting that only matters when the source is asked."""


SearchSpace = Mapping[str, Range | tuple[Any, ...]]
"""Setting -> its range, or the values it may take."""

HALF_LIFE = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, None)
"""In plays: from the current song to the whole history."""


class Reason(NamedTuple):
    """Why a source proposes a song, in words. {song} stands for the played or given song behind it, {how} for how near
    the two are: "much ", "a little " or nothing."""

    to_listener: str
    about_songs: str | None = None
    "Where the question is about songs and no listener, and the words differ."
    of_likes: str | None = None
    "Where {song} speaks for songs like the proposed one more than for itself."
    without_audio: str | None = None
    "Where one of the two songs has no audio, and the words differ."

    def words(self, about_songs: bool) -> str:
        """The sentence that fits the question."""
        return self.about_songs if about_songs and self.about_songs is not None else self.to_listener


def search_space(settings: type[BaseModel]) -> SearchSpace:
    """What may be tried: a class's own settings in their order, then those it shares with others.

    The order counts: the sampler draws the settings of a trial one after the other.
    """
    space: dict[str, Range | tuple[Any, ...]] = {}
    for name, declared in _declared(settings):
        for mark in declared:
            if isinstance(mark, Range | OneOf):
                space[name] = mark if isinstance(mark, Range) else mark.values
    return space


def query_settings(settings: type[BaseModel]) -> set[str]:
    """The settings that only matter when the source is asked."""
    return {name for name, declared in _declared(settings) if AtQuery in declared}


def _declared(settings: type[BaseModel]) -> Iterator[tuple[str, list[Any]]]:
    """Each field and what is annotated to it, those of the class itself before those of its bases."""
    own = [name for kind in settings.__mro__ if issubclass(kind, BaseModel) for name in inspect.get_annotations(kind)]
    for name in dict.fromkeys(own):
        if name in settings.model_fields:
            yield name, settings.model_fields[name].metadata
