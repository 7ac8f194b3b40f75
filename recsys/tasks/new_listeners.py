"""Tasks about listeners with little history: a session alone, listeners unseen in training, three plays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data.listening.sessions import SESSION_GAP, sessions
from data.split import PARTS, Part
from recsys.tasks.names import HISTORY, Task
from recsys.tasks.next_song import Listening
from recsys.tasks.targets import Targets
from recsys.tasks.task import HeldOut, sample, without_excess

FIRST_PLAYS = 3
"""Plays that a new user is known by."""


def session_continuations(listening: Listening, part: Part, max_queries: int, seed: int) -> HeldOut:
    """Before each wanted play of the part but the first of a session: the session until then, and nothing else.

    The next song alone is the target, as in the session-rec study (Ludewig and Jannach 2018). A repeat is a song that
    the session already holds.
    """
    place = sessions(listening.listens)["place"].to_numpy()
    rows = np.flatnonzero((listening.part == PARTS.index(part)) & listening.positive & (place > 0))
    rows = sample(without_excess(rows, listening.user[rows], seed), max_queries, seed)
    queries = []
    for row in rows:
        first = int(row - min(place[row], HISTORY))
        queries.append(listening.query(slice(first, int(row)), float(listening.seconds[row])))
    wanted = listening.track[rows]
    repeats = [track in query.history for track, query in zip(wanted, queries, strict=True)]
    minutes = int(SESSION_GAP.total_seconds() // 60)
    return HeldOut(
        "session",
        queries,
        Targets.from_rows([[track] for track in wanted]),
        np.array(repeats, np.bool_),
        listening.user[rows].astype(np.int64),
        f"before each wanted play of the {part} period but the first of a session (a pause of {minutes} minutes ends "
        f"one), the session until then, not who listens; heard songs may be answered; {listening.clock}",
    )


def cold_users(listening: Listening, part: Part, max_queries: int, seed: int) -> HeldOut:
    """Listeners whose first play ever is in the part; the first half of their plays in it is given."""
    begun = listening.start[:-1][np.diff(listening.start) > 0]
    users = listening.user[begun[listening.part[begun] == PARTS.index(part)]]
    who = f"listeners without a play before the {part} period, the first half of their plays of it given"
    return _beginnings("cold-user", listening, part, sample(users, max_queries, seed), lambda plays: plays // 2, who)


def new_users(listening: Listening, part: Part, max_queries: int, seed: int) -> HeldOut:
    """Every listener of the part as if new: the first three plays in it are given, and not who listens."""
    users = np.unique(listening.user[listening.part == PARTS.index(part)])
    who = (
        f"every listener of the {part} period as if new: their first {FIRST_PLAYS} plays of it given, not who they are "
        "nor what they played before (which training may hold without their name on the query)"
    )
    return _beginnings("new-user", listening, part, sample(users, max_queries, seed), lambda plays: FIRST_PLAYS, who)


def _beginnings(
    task: Task,
    listening: Listening,
    part: Part,
    users: NDArray[np.int64],
    given: Callable[[int], int],
    who: str,
) -> HeldOut:
    """The first given(their number) plays of each listener in the part; targets: the wanted other songs of the rest."""
    queries, targets, asked = [], [], []
    for user in users:
        rows = listening.rows_of(int(user))
        rows = rows[listening.part[rows] == PARTS.index(part)]
        count = given(len(rows))
        known, rest = rows[:count][-HISTORY:], rows[count:]
        heard = np.unique(listening.track[rows[:count]]).astype(np.int32)
        wanted = np.setdiff1d(listening.track[rest[listening.positive[rest]]], heard)
        if not len(known) or not len(wanted):
            continue
        queries.append(listening.query(known, float(listening.seconds[rest[0]]), exclude=heard))
        targets.append(wanted)
        asked.append(int(user))
    found = Targets.from_rows(targets)
    return HeldOut(
        task,
        queries,
        found,
        np.zeros(len(found.tracks), np.bool_),
        np.array(asked, np.int64),
        f"{who}; targets: the other songs they play in the rest of it; the whole catalogue but the given songs is "
        f"ranked; {listening.clock}",
    )
