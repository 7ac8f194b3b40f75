"""What the moment of a question says of its candidates: the session that is running, and how old a song is by then.

Release dates lie elsewhere in the weeks that are answered than in those that were learned from; a song's age when the
question is put does not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.candidates.resting import running_session
from recsys.queries import Query

A_DAY = 86_400.0
A_MINUTE = 1 / 1440


def in_running_session(queries: Sequence[Query]) -> NDArray[np.bool_]:
    """(P,) of all plays of all queries, which belong to the session that is running."""
    marks = []
    for query in queries:
        plays = len(query.history)
        marks.append(np.arange(plays) >= plays - len(running_session(query)))
    return np.concatenate([np.zeros(0, np.bool_), *marks])


def pauses(queries: Sequence[Query]) -> NDArray[np.float64]:
    """(Q,) log of the days since the latest play and a minute; NaN unknown."""
    known = [np.nan if each.ages_days is None or not len(each.ages_days) else each.ages_days[-1] for each in queries]
    return np.log(np.array(known, np.float64) + A_MINUTE)


def distinct_shares(queries: Sequence[Query]) -> NDArray[np.float64]:
    """(Q,) distinct songs of each history as a share of its plays: 1 where nothing is repeated, NaN without a play."""
    shares = [len(query.songs) / len(query.history) if len(query.history) else np.nan for query in queries]
    return np.array(shares, np.float64)


def song_ages(
    queries: Sequence[Query], rows: NDArray[np.int64], tracks: NDArray[np.int32], released: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(R,) log of a candidate's days since its release and a day; 0 for what is not out yet, NaN unknown.

    released: (N,) seconds since 1970.
    """
    moments = np.array([np.nan if query.asked_at is None else query.asked_at for query in queries], np.float64)
    return np.log1p(np.maximum(moments[rows] - released[tracks], 0) / A_DAY)
