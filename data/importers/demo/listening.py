"""Listening: sessions in a mood, song by song, with times, skips and likes.

A session follows one of its listener's tastes. A few sessions are radio, where taste counts for little, and some stay
with one artist. Nothing can be heard before its release; what is new is played a little more often.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from data.importers.demo.catalogue import Catalogue, track_id
from data.importers.demo.listeners import Listeners, choose
from data.importers.demo.settings import DemoSettings
from data.tables import to_schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RADIO_SHARE, ARTIST_SHARE = 0.07, 0.1
"Share of sessions that are radio, and that stay with one artist."
FRESHNESS, FRESH_DAYS = 1.3, 25.0
"What a release day adds to the liking, and the days after which 37 % of it is left."
LATECOMERS = 0.15
"Share of listeners who join during the history."


def user_id(user: int) -> str:
    """Outside name of listener 0, 1, ..."""
    return f"user-{user + 1:04d}"


def simulate_listens(catalogue: Catalogue, listeners: Listeners, settings: DemoSettings) -> pl.DataFrame:
    """The listens table, in order of time."""
    rng = settings.random("listening")
    user, start, length = _sessions(settings, rng)
    mood = listeners.first[user] + _mood(listeners, user, rng)
    session, track = _songs(catalogue, listeners, user, mood, start, length, rng)
    if not len(session):
        return to_schema("listens", None)

    # How pleased somebody is: the match with the taste of the moment, and a share of everything else.
    pleased = listeners.match[mood[session], track] + 0.5 * listeners.liking[user[session], track]
    skipped = rng.random(len(track)) < 0.04 + 0.5 / (1 + np.exp(1.5 * (pleased + 1.5)))
    ratio = np.where(
        skipped,
        rng.beta(1.3, 6, len(track)),
        np.where(rng.random(len(track)) < 0.85, 1.0, rng.beta(5, 1.5, len(track))),
    )
    liked = ~skipped & (rng.random(len(track)) < 0.3 / (1 + np.exp(-2.0 * (pleased - 0.3))))
    disliked = skipped & (rng.random(len(track)) < 0.12 / (1 + np.exp(2.0 * (pleased + 2.5))))
    feedback = np.select([liked, disliked, skipped], ["like", "dislike", "skip"], "")

    spent = catalogue.seconds[track] * ratio + rng.uniform(0.5, 6, len(track))
    before = np.cumsum(spent) - spent
    opening = np.searchsorted(session, session)
    moment = start[session] * 86_400 + before - before[opening]
    columns = pl.DataFrame(
        {
            "user_id": np.array([user_id(i) for i in range(settings.listeners)])[user[session]],
            "track_id": np.array([track_id(i) for i in range(settings.tracks)])[track],
            "seconds": np.minimum(moment, settings.days * 86_400 - 1.0),
            "played_ratio": np.round(ratio, 3),
            "feedback": feedback,
        }
    )
    listens = columns.with_columns(
        listened_at=pl.lit(settings.begin) + pl.duration(milliseconds=(pl.col("seconds") * 1000).cast(pl.Int64)),
        feedback=pl.when(pl.col("feedback") != "").then("feedback"),
    )
    return to_schema("listens", listens.sort("listened_at", "user_id", maintain_order=True))


def _sessions(settings: DemoSettings, rng: np.random.Generator) -> tuple[Ints, Floats, Ints]:
    """Listener, start (days since the beginning) and songs (6 to 14) of each session, songs adding up to `listens`."""
    length = rng.integers(6, 15, settings.listens // 6 + 1)
    length = length[: int(np.searchsorted(np.cumsum(length), settings.listens)) + 1]
    length[-1] -= length.sum() - settings.listens
    activity = rng.lognormal(0, 0.6, settings.listeners)
    some = np.tile(np.arange(settings.listeners), 3)
    many = rng.choice(settings.listeners, len(length), p=activity / activity.sum())
    user = rng.permutation(np.concatenate([some, many])[: len(length)])

    joined = np.where(rng.random(settings.listeners) < LATECOMERS, rng.uniform(0, 0.8, settings.listeners), 0.0)
    day = np.floor(rng.uniform(joined[user] * settings.days, settings.days))
    peak = rng.choice([8.0, 14.0, 20.5], len(user), p=[0.2, 0.3, 0.5])
    hour = rng.normal(peak, 1.6)
    return user, day + np.clip(hour, 0, 23.8) / 24, length


def _mood(listeners: Listeners, user: Ints, rng: np.random.Generator) -> Ints:
    """(S,) which of its listener's tastes a session follows."""
    offset = np.arange(3)
    inside = offset < listeners.count[:, None]
    taste = np.minimum(listeners.first[:, None] + offset, len(listeners.weight) - 1)
    bound = np.cumsum(np.where(inside, listeners.weight[taste], 0), axis=1)
    place = (rng.random((len(user), 1)) > bound[user]).sum(1)
    mood: Ints = np.minimum(place, listeners.count[user] - 1)
    return mood


def _songs(
    catalogue: Catalogue,
    listeners: Listeners,
    user: Ints,
    mood: Ints,
    start: Floats,
    length: Ints,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Session and track of each play, session by session, in playing order."""
    attention = np.where(rng.random(len(user)) < RADIO_SHARE, 0.2, 1.0).astype(np.float32)
    star = listeners.loyal[user, rng.integers(3, size=len(user))]
    star[rng.random(len(user)) > ARTIST_SHARE] = -1
    sessions, tracks = [], []
    # A block of sessions times all tracks is what has to fit in memory at once.
    for block in np.array_split(np.arange(len(user)), -(-len(user) // 1000)):
        age = np.floor(start[block])[:, None] - catalogue.released
        score = attention[block, None] * listeners.match[mood[block]] + listeners.liking[user[block]]
        score += FRESHNESS * np.exp(-np.maximum(age, 0) / FRESH_DAYS).astype(np.float32)
        score += 3.0 * (catalogue.artist == star[block, None])
        score[age < 0] = -np.inf
        row, track = choose(score, length[block], rng)
        place = rng.random(len(row))
        # An artist's songs follow each other: they share one place in the order.
        place[catalogue.artist[track] == star[block][row]] = 0.5
        order = np.lexsort((place, row))
        sessions.append(block[row[order]])
        tracks.append(track[order])
    if not sessions:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(sessions), np.concatenate(tracks)
