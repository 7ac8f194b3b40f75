"""What a learned ranker looks at: what each source gives a candidate, and how the candidate relates to the history.

No feature has another range in the weeks that are answered than in those that were learned from: scores are counted in
deviations, plays as a share of the mean, and of release dates only a song's age when the question is put. On the demo's
validation (simulated; 3,000 queries, cross-fitted) that age adds 0.028 [0.021, 0.034] NDCG@100 in discovery, most of it
on songs without plays (0.165 to 0.408); the running session adds 0.005 [0.001, 0.009].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import standardised
from recsys.ranking.learned.moment import A_DAY, distinct_shares, in_running_session, pauses, song_ages

LATEST: tuple[int | None, ...] = (3, 30, None)
"""Plays whose mean vector a candidate is compared with; None: the whole history."""
HALF_LIVES: tuple[float | None, ...] = (2.0, 10.0, None)
"""In plays, of an artist's or album's share of the history."""
FORGETTING = 0.5
"""Exponent of base-level activation, log sum of age^-0.5 (Anderson and Schooler 1991)."""
AN_HOUR = 1 / 24
MARKED = 200_000
"""Songs of all queries up to which candidates are marked in a row instead of searched."""
BLOCK = 500
"""Queries that are looked at together: about 100 MB with 200 candidates each."""


@dataclass(frozen=True)
class SongFacts:
    """plays: (N,) plays and playlist entries in what the sources learned from. artists, albums: (N,) a number each, -1
    unknown. vectors: of the songs that have one; row: (N,) where they stand among these, -1 without. released: (N,)
    seconds since 1970, NaN unknown.
    """

    plays: NDArray[np.float64]
    artists: NDArray[np.int32]
    albums: NDArray[np.int32]
    vectors: NDArray[np.float32]
    row: NDArray[np.int64]
    released: NDArray[np.float64]

    @classmethod
    def of(cls, dataset: Dataset, plays: NDArray[np.number], vectors: Vectors | None) -> "SongFacts":
        """vectors: of a trained encoder; None where nothing told it."""
        row = np.full(len(dataset.track_ids), -1, np.int64)
        values = np.zeros((0, 1), np.float32)
        if vectors is not None:
            row[vectors.tracks], values = np.arange(len(vectors.tracks)), vectors.values
        days = dataset.tracks["release_date"].cast(pl.Int32).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return cls(plays.astype(np.float64), dataset.artists, dataset.albums, values, row, days * A_DAY)

    @cached_property
    def mean_plays(self) -> float:
        return max(float(self.plays.sum()), 1.0) / len(self.plays)

    @cached_property
    def most_artists(self) -> int:
        return int(self.artists.max(initial=-1)) + 1

    @cached_property
    def most_albums(self) -> int:
        return int(self.albums.max(initial=-1)) + 1


def names(sources: Sequence[str]) -> list[str]:
    """The columns of `features`, in their order."""
    nearness = [f"near latest {latest or 'all'}" for latest in LATEST]
    shares = [f"{of} share, half-life {half or 'none'}" for of in ("artist", "album") for half in HALF_LIVES]
    own = ["own plays", "plays since", "days since", "activation"]
    running = ["session", "pause", "near session", "artist in session", "album in session", "own in session"]
    return [*sources, "plays", "history", *nearness, *shares, *own, *running, "distinct", "age"]


def features(
    queries: Sequence[Query], ranked: Ranked, rankings: Mapping[str, Ranked], songs: SongFacts, sources: Sequence[str]
) -> NDArray[np.float32]:
    """(R, F) a row for each entry of `ranked`, a column for each of `names`; NaN is unknown.

    rankings: what each source proposes to the queries; of a source that is missing nothing is known.
    """
    if len(queries) <= BLOCK:
        return _features(queries, ranked, rankings, songs, sources)
    parts = []
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        own = {name: each.between(start, block.stop) for name, each in rankings.items()}
        parts.append(_features(queries[block], ranked.between(start, block.stop), own, songs, sources))
    return np.concatenate(parts)


def _features(
    queries: Sequence[Query], ranked: Ranked, rankings: Mapping[str, Ranked], songs: SongFacts, sources: Sequence[str]
) -> NDArray[np.float32]:
    rows, tracks = ranked.rows, ranked.tracks
    given = _given_by_sources(rows, tracks, rankings, sources, len(songs.plays))
    share = songs.plays[tracks] / songs.mean_plays
    played = np.log(share, out=np.full(len(tracks), np.nan), where=share > 0)
    lengths = np.array([len(query.history) for query in queries])
    past = History.of(queries)
    columns: list[NDArray[np.floating]] = [
        *given,
        played,
        np.log1p(lengths)[rows],
        *_nearness(past, rows, tracks, songs),
        *_shares(past, rows, tracks, songs.artists, songs.most_artists),
        *_shares(past, rows, tracks, songs.albums, songs.most_albums),
        *_own_plays(past, rows, tracks, len(songs.plays)),
        *_in_session(past.only(in_running_session(queries)), rows, tracks, songs, pauses(queries)),
        distinct_shares(queries)[rows],
        song_ages(queries, rows, tracks, songs.released),
    ]
    return np.concatenate(columns).astype(np.float32).reshape(len(columns), len(tracks)).T  # column after column


@dataclass(frozen=True)
class History:
    """The plays of all queries, flat. query, song: (P,). back: (P,) plays after each. days: (P,) since, NaN unknown."""

    queries: int
    query: NDArray[np.int64]
    song: NDArray[np.int32]
    back: NDArray[np.int64]
    days: NDArray[np.float64]

    @classmethod
    def of(cls, queries: Sequence[Query]) -> "History":
        """In the order of the queries, and within each as it was played."""
        lengths = np.array([len(query.history) for query in queries], np.int64)
        ends = np.cumsum(lengths)
        query = np.repeat(np.arange(len(queries)), lengths)
        unknown = [np.full(length, np.nan) for length in lengths]
        days = [none if each.ages_days is None else each.ages_days for each, none in zip(queries, unknown, strict=True)]
        return cls(
            len(queries),
            query,
            np.concatenate([np.zeros(0, np.int32), *(each.history for each in queries)]),
            ends[query] - 1 - np.arange(len(query)),
            np.concatenate([np.zeros(0), *days]),
        )

    def only(self, kept: NDArray[np.bool_]) -> "History":
        """The same queries with some of their plays, a mask over these."""
        return History(self.queries, self.query[kept], self.song[kept], self.back[kept], self.days[kept])


def _given_by_sources(
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    rankings: Mapping[str, Ranked],
    sources: Sequence[str],
    catalogue: int,
) -> NDArray[np.float64]:
    """(S, R) what each source gives each candidate, in deviations above its worst; NaN where it does not propose it."""
    found = np.full((len(sources), len(tracks)), np.nan)
    asked = [at for at, name in enumerate(sources) if name in rankings]
    if not asked or not len(tracks):
        return found
    own = [rankings[sources[at]] for at in asked]
    together = Ranked.concatenate(own)  # for one query every step costs the same for a source and for eleven
    query = np.concatenate([np.arange(len(each)) for each in own])
    keys = np.repeat(query * catalogue, together.lengths)
    keys += together.tracks
    place, among = _found(rows * catalogue + tracks, keys, (rows[-1] + 1) * catalogue)
    source = np.repeat(asked, [len(each.tracks) for each in own])
    found[source[among], place] = standardised(together)[among]
    return found


def _found(
    wanted: NDArray[np.int64], keys: NDArray[np.int64], below: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where among the `wanted`, each there once, the keys stand that are, and which keys these are.

    below: above all that are wanted, which are marked in a row where that is short: faster than a search.
    """
    if below <= MARKED:
        mark = np.full(below + 1, -1)
        mark[wanted] = np.arange(len(wanted))
        place = mark[np.minimum(keys, below)]
        among = np.flatnonzero(place >= 0)
        return place[among], among
    order = np.argsort(wanted, kind="stable")
    sought = np.append(wanted[order], -1)
    place = np.searchsorted(sought[:-1], keys)
    among = np.flatnonzero(sought[place] == keys)
    return order[place[among]], among


def _nearness(
    past: History,
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    songs: SongFacts,
    of_latest: Sequence[int | None] = LATEST,
) -> list[NDArray[np.float32]]:
    """Cosines of the candidates with the mean vector of the latest plays."""
    known = songs.row[past.song] >= 0
    of_candidates = songs.vectors[songs.row[tracks]] if len(songs.vectors) else np.zeros((len(tracks), 1), np.float32)
    of_plays, query = songs.vectors[songs.row[past.song[known]]], past.query[known]
    found = []
    for latest in of_latest:
        taken = slice(None) if latest is None else past.back[known] < latest
        mean = _summed(of_plays[taken], query[taken], past.queries)
        length = np.linalg.norm(mean, axis=1)
        cosines = np.einsum("rd,rd->r", mean[rows], of_candidates) / np.maximum(length, 1e-12)[rows]
        found.append(np.where((songs.row[tracks] >= 0) & (length > 0)[rows], cosines, np.float32(np.nan)))
    return found


def _summed(vectors: NDArray[np.float32], query: NDArray[np.int64], queries: int) -> NDArray[np.float32]:
    """(queries, D) the sum of each query's vectors; queries ascend."""
    sums = np.zeros((queries, vectors.shape[1]), np.float32)
    if len(query):
        starts = np.flatnonzero(np.append(True, query[1:] != query[:-1]))
        sums[query[starts]] = np.add.reduceat(vectors, starts)
    return sums


def _shares(
    past: History,
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    groups: NDArray[np.int32],
    most: int,
    half_lives: Sequence[float | None] = HALF_LIVES,
) -> list[NDArray[np.float64]]:
    """The weight of the candidate's artist (or album) in its query's history, 0 to 1. groups: 0 to most - 1, or -1."""
    own, size = groups[tracks], most + 1
    match = _Match.of(past.query * size + groups[past.song] + 1, rows * size + own + 1)
    found = []
    for half_life in half_lives:
        weights = np.ones(len(past.song)) if half_life is None else 0.5 ** (past.back / half_life)
        total = np.bincount(past.query, weights, past.queries)
        found.append(np.where(own >= 0, match.sums(weights) / np.maximum(total, 1e-12)[rows], np.nan))
    return found


def _own_plays(
    past: History, rows: NDArray[np.int64], tracks: NDArray[np.int32], catalogue: int
) -> list[NDArray[np.float64]]:
    """Of the candidate in its query's history: how often, how many plays ago, how many days ago, how active it is."""
    match = _Match.of(past.query * catalogue + past.song, rows * catalogue + tracks)
    since = [np.log1p(match.latest(values)) for values in (past.back, past.days)]
    strength = match.sums((past.days + AN_HOUR) ** -FORGETTING)
    activation = np.log(strength, out=np.full(len(tracks), np.nan), where=strength > 0)
    return [np.log1p(match.sums(np.ones(len(past.song)))), *since, activation]


def _in_session(
    running: History,
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    songs: SongFacts,
    paused: NDArray[np.float64],
) -> list[NDArray[np.floating]]:
    """Of the running session: its length, the pause since, and how the candidate relates to its plays alone."""
    own = _Match.of(running.query * len(songs.plays) + running.song, rows * len(songs.plays) + tracks)
    return [
        np.log1p(np.bincount(running.query, minlength=running.queries))[rows],
        paused[rows],
        *_nearness(running, rows, tracks, songs, (None,)),
        *_shares(running, rows, tracks, songs.artists, songs.most_artists, (None,)),
        *_shares(running, rows, tracks, songs.albums, songs.most_albums, (None,)),
        own.sums(np.ones(len(running.song))),
    ]


@dataclass(frozen=True)
class _Match:
    """Which plays are of the same song (or artist, or album) of the same query as each candidate.

    of_plays: (P,) a number each. of_candidates: (R,) the number of the plays that match, `count` where none does.
    """

    of_plays: NDArray[np.int64]
    of_candidates: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, plays: NDArray[np.int64], candidates: NDArray[np.int64]) -> "_Match":
        """Plays and candidates with equal keys match."""
        keys, numbers = np.unique(plays, return_inverse=True)
        places = np.searchsorted(keys, candidates)
        found = np.append(keys, -1)[places] == candidates
        return cls(numbers, np.where(found, places, len(keys)), len(keys))

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R,) of the values (P,) of the plays that match; 0 where none does."""
        return np.bincount(self.of_plays, values, self.count + 1).astype(np.float64)[self.of_candidates]

    def latest(self, values: NDArray[np.number]) -> NDArray[np.float64]:
        """(R,) the value of the last play that matches; NaN where none does."""
        last = np.full(self.count + 1, np.nan)
        last[self.of_plays] = values  # of plays with one number the last is kept, and they come oldest first
        return last[self.of_candidates]
