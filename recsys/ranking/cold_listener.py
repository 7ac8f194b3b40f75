"""For whom nothing better is known: what most people play lately, and every fourth song one of the newest."""

from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.tables import ANNOUNCED
from recsys.ranking.arrange import SPARE, Asked, Row
from recsys.ranking.daily import drawn
from recsys.ranking.filters import SongGroups

FRESH_EVERY = 4
"""For a listener nobody knows, every fourth song is the newest that is not yet listed."""


class ColdAnswer(NamedTuple):
    """Songs in their order; scores are popularity, 0 for a song that stands there for being new."""

    tracks: NDArray[np.int32]
    scores: NDArray[np.float32]
    fresh: NDArray[np.bool_]

    def take(self, places: NDArray[np.int64]) -> "ColdAnswer":
        """The songs in these places, in this order."""
        return ColdAnswer(self.tracks[places], self.scores[places], self.fresh[places])


NONE = ColdAnswer(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.bool_))


def newest_first(release: pl.Series) -> NDArray[np.int64]:
    """(N,) songs by their day of release, latest first; one without a day stands with the earliest."""
    release = release.set(release > date.today() + ANNOUNCED, None)  # or it would be new for ever
    if release.null_count() == len(release):
        return np.arange(len(release))
    return np.argsort(release.fill_null(release.min()).to_numpy(), kind="stable")[::-1]


def popular_and_fresh(popular: Row, newest: NDArray[np.int64], allowed: NDArray[np.bool_], wanted: int) -> ColdAnswer:
    """So many of the allowed songs, each once; fewer where the catalogue has fewer.

    popular: songs, most played first, and their scores. newest: (N,) all songs, latest release first. allowed: (N,).
    """
    # No more of either can be needed: a song that stands in both is listed once.
    favourites = np.flatnonzero(allowed[popular[0]])[:wanted]
    waiting = zip(popular[0][favourites].tolist(), popular[1][favourites].tolist(), strict=True)
    latest = iter(newest[np.flatnonzero(allowed[newest])[: 2 * wanted]].tolist())
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


def floor(
    found: NDArray[np.int32], asked: Asked, k: int, popular: Row, newest: NDArray[np.int64], groups: SongGroups
) -> ColdAnswer:
    """What fills a list of songs found up to k, less what the query excludes; fewer where the catalogue has fewer.

    What is dealt to another day comes after the others, and what resembles a dislike last of all. Where the cap on
    artists gives way, it does so behind what is within it.
    """
    never, later, resembling = (np.zeros(len(newest), np.bool_) for _ in range(3))
    if asked.query.allowed is not None:
        never = ~asked.query.allowed
    never[asked.query.exclude], later[asked.later] = True, True
    if asked.resembling is not None:
        resembling = asked.resembling
    parts = [NONE]
    listed = found
    limits = [replace(asked.caps, gives_way=False)]
    if asked.caps.gives_way:
        limits.append(replace(asked.caps, per_artist=None))
    for part in (~later & ~resembling, later & ~resembling, resembling):
        for caps in limits:
            left = part & ~never
            left[listed] = False
            while len(listed) < k and left.any():
                # Second versions and other songs of an artist fall out, so more than are missing are asked for.
                more = popular_and_fresh(popular, newest, left, 2 * (k - len(listed)) + SPARE)
                left[more.tracks] = False
                if asked.luck is not None:
                    order, luck = drawn(more.tracks, asked.luck)
                    more = more.take(order)._replace(scores=luck)
                kept = groups.kept(np.concatenate([listed, more.tracks]), asked.query.exclude, caps)
                new = kept[kept >= len(listed)] - len(listed)
                new = new[: k - len(listed)]
                parts.append(more.take(new))
                listed = np.concatenate([listed, more.tracks[new]])
    tracks, scores, fresh = zip(*parts, strict=True)
    return ColdAnswer(np.concatenate(tracks), np.concatenate(scores), np.concatenate(fresh))
