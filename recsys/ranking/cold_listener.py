"""For whom nothing better is known: what most people play lately, and every fourth song one of the newest."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRESH_EVERY = 4
"""For a listener nobody knows, every fourth song is the newest that is not yet listed."""


class ColdAnswer(NamedTuple):
    """Songs in their order; scores are popularity, 0 for a song that stands there for being new."""

    tracks: NDArray[np.int32]
    scores: NDArray[np.float32]
    fresh: NDArray[np.bool_]


def popular_and_fresh(
    popular: tuple[NDArray[np.int32], NDArray[np.float32]],
    newest: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    wanted: int,
) -> ColdAnswer:
    """So many of the allowed songs, each once; fewer where the catalogue has fewer.

    popular: songs, most played first, and their scores. newest: (N,) all songs, latest release first. allowed: (N,).
    """
    waiting = iter([(int(t), float(s)) for t, s in zip(*popular, strict=True) if allowed[t]])
    latest = iter(int(track) for track in newest if allowed[track])
    listed: dict[int, tuple[float, bool]] = {}
    most = min(wanted, int(np.count_nonzero(allowed)))
    while len(listed) < most:
        turn = None if len(listed) % FRESH_EVERY == FRESH_EVERY - 1 else next(waiting, None)
        track, score = turn or (next(latest), 0.0)
        listed.setdefault(track, (score, turn is None))
    return ColdAnswer(
        np.array(list(listed), np.int32),
        np.array([score for score, _ in listed.values()], np.float32),
        np.array([fresh for _, fresh in listed.values()], np.bool_),
    )
