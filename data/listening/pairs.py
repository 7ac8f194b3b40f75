"""Similar-song pairs: which two songs do listeners respond to alike?

Evidence is counted inside sessions and playlists of the training period, each listener once per pair, discounted by
how popular both songs are, and cut at a minimum support, so that one enthusiastic listener cannot make a pair.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from data.dataset import POSITIVE, Dataset
from data.listening.sessions import sessions
from data.storage.duckdb_query import query

RULES = "2"
"""Raised where the same listening gives other pairs or skips: what learned from those of before is then made again."""


class PairSettings(BaseModel):
    """What makes two songs a pair."""

    model_config = ConfigDict(extra="forbid")

    window: PositiveInt = 10
    "Two songs are together if they stand at most this far apart in a session; a playlist counts up to five times that."
    min_support: float = Field(default=2.0, gt=0)
    "Evidence a pair needs: a listener counts 1, a playlist `playlist_support`."
    playlist_support: float = Field(default=2.0, gt=0)
    "A playlist is put together on purpose; alone it is enough by default."
    popularity_power: float = Field(default=0.75, ge=0, le=1)
    "0 counts raw co-plays, 1 divides them by both songs' popularity."
    per_song: PositiveInt = 50
    "A pair stays if each song is among the other's best partners, so many of them; so no song dominates."
    skip_support: float = Field(default=2.0, gt=0)
    "Listeners who must have skipped a song beside another before it becomes a negative of it."
    memory: str = "1GB"
    "DuckDB's limit; beyond it the work spills to disk."


WANTED = POSITIVE | pl.col("feedback").eq_missing("like")
"A like says so too, however little was played."
REFUSED = pl.col("feedback").is_in(["skip", "dislike"]).fill_null(False)

SUPPORTED = """
WITH contexts AS (
    SELECT 'session' AS kind, session AS context, user AS owner, place, track, $window::BIGINT AS reach, 1.0 AS support
    FROM heard WHERE wanted
    UNION ALL
    SELECT 'playlist', playlist, playlist, position, track, 5 * $window::BIGINT, $playlist_support FROM listed
), evidence AS (
    SELECT a.track AS first, b.track AS second,
           count(DISTINCT a.owner) * any_value(a.support) AS support
    FROM contexts a JOIN contexts b USING (kind, context)
    WHERE a.track < b.track AND abs(b.place - a.place) <= a.reach
    GROUP BY 1, 2, a.kind
), pairs AS (
    SELECT first, second, sum(support) AS support FROM evidence GROUP BY ALL HAVING sum(support) >= $min_support
)
"""

MINE = f"""
{SUPPORTED}, popularity AS (
    SELECT track, count(DISTINCT (kind, owner)) AS plays FROM contexts GROUP BY track
), weighted AS (
    SELECT pairs.*, support / pow(p.plays * q.plays, $power / 2) AS weight
    FROM pairs JOIN popularity p ON p.track = first JOIN popularity q ON q.track = second
), partners AS (
    SELECT first AS song, second AS partner, first, second, weight FROM weighted
    UNION ALL SELECT second, first, first, second, weight FROM weighted
), ranked AS (
    SELECT first, second, row_number() OVER (
        PARTITION BY song ORDER BY weight DESC, hash(first, second), partner
    ) AS place FROM partners
)
SELECT first, second, any_value(support) AS support, any_value(weight) AS weight
FROM weighted JOIN ranked USING (first, second) GROUP BY first, second HAVING max(place) <= $per_song
ORDER BY first, second
"""

SKIPS = f"""
{SUPPORTED}, together AS (
    SELECT a.track AS first, b.track AS second, count(DISTINCT a.user) AS support
    FROM heard a JOIN heard b USING (session)
    WHERE a.wanted AND b.refused AND a.track <> b.track AND abs(b.place - a.place) <= $window
    GROUP BY 1, 2 HAVING count(DISTINCT a.user) >= $skip_support
)
SELECT first, second, support FROM together
WHERE NOT EXISTS (
    SELECT 1 FROM pairs p WHERE p.first = least(together.first, together.second)
    AND p.second = greatest(together.first, together.second)
)
QUALIFY row_number() OVER (PARTITION BY first ORDER BY support DESC, hash(first, second), second) <= $per_song
ORDER BY first, second
"""


def mine_pairs(dataset: Dataset, settings: PairSettings | None = None) -> pl.DataFrame:
    """Pairs of the dataset's listening (hand in its training part): first < second i32, support f64, weight f64.

    weight = support / (plays_1 * plays_2) ** (popularity_power / 2). Sorted by first, second; empty without listening.
    """
    settings = settings or PairSettings()
    found = _query(MINE, dataset, settings, power=settings.popularity_power)
    return found.cast({"first": pl.Int32, "second": pl.Int32, "support": pl.Float64, "weight": pl.Float64})


def mine_skips(dataset: Dataset, settings: PairSettings | None = None) -> pl.DataFrame:
    """Songs that listeners skip or dislike where they play another: first (played), second (skipped) i32, support f64.

    support: listeners who did, at least `skip_support`; the `per_song` most frequent of each first song. Songs with the
    support of a pair are left out, whether or not `per_song` lets them be one: people skip what they like at times.
    """
    settings = settings or PairSettings()
    if dataset.listens.filter(REFUSED).is_empty():
        return pl.DataFrame(schema={"first": pl.Int32, "second": pl.Int32, "support": pl.Float64})
    found = _query(SKIPS, dataset, settings, skip_support=settings.skip_support)
    return found.cast({"first": pl.Int32, "second": pl.Int32, "support": pl.Float64})


def pair_keys(pairs: pl.DataFrame, tracks: int) -> NDArray[np.int64]:
    """Sorted keys first * tracks + second in both directions, for `are_pairs`."""
    first, second = pairs["first"].to_numpy().astype(np.int64), pairs["second"].to_numpy().astype(np.int64)
    return np.unique(np.concatenate([first * tracks + second, second * tracks + first]))


def are_pairs(
    keys: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64], tracks: int
) -> NDArray[np.bool_]:
    """(R, C) bool: is (rows[r], columns[c]) a pair, or the same song?"""
    wanted = rows[:, None] * tracks + columns[None, :]
    at = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
    known = keys[at] == wanted if len(keys) else np.zeros(wanted.shape, np.bool_)
    return np.asarray(known | (rows[:, None] == columns[None, :]), dtype=np.bool_)


def _query(sql: str, dataset: Dataset, settings: PairSettings, **values: float) -> pl.DataFrame:
    """The result of MINE or SKIPS."""
    heard = sessions(dataset.listens).select("session", "user", "place", "track", wanted=WANTED, refused=REFUSED)
    return query(
        sql,
        {
            "heard": heard.filter(pl.col("wanted") | pl.col("refused")),
            "listed": dataset.playlist_tracks.select("playlist", "position", "track"),
        },
        settings.memory,
        window=settings.window,
        playlist_support=settings.playlist_support,
        min_support=settings.min_support,
        per_song=settings.per_song,
        **values,
    )
