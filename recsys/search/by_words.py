"""One list for words: songs that are called so, then songs that the words fit, each with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.search.text_index import Match, TextIndex

RANDOM_TEXTS = 64
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SEED = 20260101
NAMED, WHOLE, PARTLY = "names", 3.0, 2.0
"""The source's name, and scores that stand above every cosine."""

Row = tuple[NDArray[np.int32], NDArray[np.float32]]
Meaning = Callable[[str, int], Sequence[tuple[int, float]]]
"Text and count -> songs nearest in meaning and their cosines, best first."


@dataclass(frozen=True)
class Found:
    """A song, what the list is ordered by, the source and the reason in words."""

    track: int
    score: float
    source: str
    reason: str


def search(
    index: TextIndex,
    text: str,
    most: int,
    meaning: Meaning | None,
    knows: Callable[[str], bool],
    floor: Callable[[], float],
    allowed: NDArray[np.bool_] | None = None,
) -> list[Found]:
    """Names first, then meaning; without a meaning (an encoder that knows no words) BM25 over all texts.

    meaning: proposes allowed songs alone. allowed: (N,) the only songs that are named; None is all.
    knows: whether the encoder was taught a word. floor: the cosine that random strings reach; where no word is known,
    neither to it nor from any song's texts, only what is nearer than that fits.
    Partial matches of names take at most half of the places that meaning has a say in. Empty where nothing fits.
    """
    looked = most if allowed is None else len(allowed)
    named = index.names(text, looked, knows if meaning is not None else lambda word: False)
    named = [match for match in named if allowed is None or allowed[match.track]][:most]
    whole = [_called(match) for match in named if match.whole]
    partly = [_called(match) for match in named if not match.whole]
    unknown = [word for word in index.unknown(text) if meaning is None or not knows(word)]
    if meaning is None:
        texts = [(t, s) for t, s in index.texts(text, looked) if allowed is None or allowed[t]][:most]
        said = _but("has some of the words", unknown)
        rest = [Found(track, score / (1 + score), "texts", said) for track, score in texts]
        return _numbered([*whole, *partly], rest)
    least = floor() if len(unknown) == len(text.split()) else -1.0
    said = _but("fits the words", unknown)
    rest = [Found(track, cosine, "text", said) for track, cosine in meaning(text, most) if cosine > least]
    kept = partly[: most // 2] if rest else partly
    return _numbered([*whole, *kept], rest)


def learned_floor(meaning: Meaning) -> float:
    """The highest cosine that any of some random strings reaches: what words mean nothing reach as well."""
    rng = np.random.default_rng(SEED)
    texts = ["".join(rng.choice(list(LETTERS), rng.integers(5, 13))) for _ in range(RANDOM_TEXTS)]
    return max((found[0][1] for found in (meaning(text, 1) for text in texts) if found), default=-1.0)


class WordSearch:
    """Search by name and by meaning in one catalogue."""

    def __init__(self, index: TextIndex, near: Callable[..., Row], knows: Callable[[str], bool]) -> None:
        """near: text, count and the allowed songs (N,) or None -> songs nearest in meaning and their cosines. knows:
        whether the encoder was taught a word."""
        self.index, self._near, self._knows = index, near, knows

    def found(self, text: str, most: int, allowed: NDArray[np.bool_] | None, by_meaning: bool) -> list[Found]:
        """`search` among the allowed songs; by_meaning: whether the encoder is asked."""
        meaning = self._meaning(allowed) if by_meaning else None
        return search(self.index, text, most, meaning, self._knows, lambda: self._floor, allowed)

    @cached_property
    def _floor(self) -> float:
        return learned_floor(self._meaning(None))

    def _meaning(self, allowed: NDArray[np.bool_] | None) -> Meaning:
        def meaning(text: str, most: int) -> list[tuple[int, float]]:
            tracks, cosines = self._near(text, most, allowed)
            return list(zip(tracks.tolist(), cosines.tolist(), strict=True))

        return meaning


def _called(match: Match) -> Found:
    said = {"title": "has this title", "artist": "by this artist", "album": "on this album"}
    reason = said[match.field] if match.whole else f"has the words in its {match.field}"
    if match.as_read:
        reason += f', read as "{match.as_read}"'
    return Found(match.track, WHOLE if match.whole else PARTLY, NAMED, reason)


def _but(reason: str, unknown: Sequence[str]) -> str:
    if not unknown:
        return reason
    named = " ".join(f'"{word}"' for word in unknown)
    return f"{reason}, though no song's text has {named}"


def _numbered(first: Sequence[Found], rest: Sequence[Found]) -> list[Found]:
    """Each song once, where it stands first; scores of names fall by their place."""
    listed = {song.track for song in first}
    step = 1 / (len(first) + 1)
    ordered = [Found(s.track, s.score - at * step, s.source, s.reason) for at, s in enumerate(first)]
    return [*ordered, *(song for song in rest if song.track not in listed)]
