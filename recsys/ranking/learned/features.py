"""What a learned ranker looks at: what each source gives a candidate, and how it lies to the history.

Nothing of it is further apart between the weeks that are learned from and those that are answered than a year of use
makes it: scores count in deviations, plays as a share, and a release date stands nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from data.dataset import Dataset
from encoders.encoding.vector_files import Vectors
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import standardised

LATEST: tuple[int | None, ...] = (3, 30, None)
"""Plays whose mean vector a candidate is compared with; None: the whole history."""
HALF_LIVES: tuple[float | None, ...] = (2.0, 10.0, None)
"""In plays, of an artist's or album's share of the history."""
FORGETTING = 0.5
"""Exponent of base-level activation, log sum of age^-0.5 (Anderson and Schooler 1991)."""
AN_HOUR = 1 / 24
BLOCK = 500
"""Queries that are looked at together: about 100 MB with 200 candidates each."""


@dataclass(frozen=True)
class SongFacts:
    """plays: (N,) plays and playlist entries in what the sources learned from. artists, albums: (N,) a number each, -1
    unknown. vectors: of the songs that have one; row: (N,) where they stand among these, -1 without.
    """

    plays: NDArray[np.float64]
    artists: NDArray[np.int32]
    albums: NDArray[np.int32]
    vectors: NDArray[np.float32]
    row: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, plays: NDArray[np.number], vectors: Vectors | None) -> "SongFacts":
        """vectors: of a trained encoder; None where nothing told it."""
        row = np.full(len(dataset.track_ids), -1, np.int64)
        if vectors is None:
            return cls(plays.astype(np.float64), dataset.artists, dataset.albums, np.zeros((0, 1), np.float32), row)
        row[vectors.tracks] = np.arange(len(vectors.tracks))
        return cls(plays.astype(np.float64), dataset.artists, dataset.albums, vectors.values, row)


def names(sources: Sequence[str]) -> list[str]:
    """The columns of `features`, in their order."""
    nearness = [f"near latest {latest or 'all'}" for latest in LATEST]
    shares = [f"{of} share, half-life {half or 'none'}" for of in ("artist", "album") for half in HALF_LIVES]
    return [*sources, "plays", "history", *nearness, *shares, "own plays", "plays since", "days since", "activation"]


def features(
    queries: Sequence[Query], ranked: Ranked, rankings: Mapping[str, Ranked], songs: SongFacts, sources: Sequence[str]
) -> NDArray[np.float32]:
    """(R, F) a row for each entry of `ranked`, a column for each of `names`; NaN is unknown.

    rankings: what each source proposes to the queries; of a source that is missing nothing is known.
    """
    parts = [np.zeros((0, len(names(sources))), np.float32)]
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        own = {name: each.between(start, block.stop) for name, each in rankings.items()}
        parts.append(_features(queries[block], ranked.between(start, block.stop), own, songs, sources))
    return np.concatenate(parts)


def _features(
    queries: Sequence[Query], ranked: Ranked, rankings: Mapping[str, Ranked], songs: SongFacts, sources: Sequence[str]
) -> NDArray[np.float32]:
    rows = np.repeat(np.arange(len(ranked)), np.diff(ranked.offsets))
    tracks = ranked.tracks
    given = _given_by_sources(rows, tracks, rankings, sources, len(songs.plays))
    share = songs.plays[tracks] * (len(songs.plays) / max(songs.plays.sum(), 1.0))
    played = np.log(share, out=np.full(len(tracks), np.nan), where=share > 0)
    lengths = np.array([len(query.history) for query in queries])
    past = History.of(queries)
    columns = [
        *given,
        played,
        np.log1p(lengths)[rows],
        *_nearness(past, rows, tracks, songs),
        *(_share(past, rows, tracks, groups, half) for groups in (songs.artists, songs.albums) for half in HALF_LIVES),
        *_own_plays(past, rows, tracks, len(songs.plays)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


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


def _given_by_sources(
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    rankings: Mapping[str, Ranked],
    sources: Sequence[str],
    catalogue: int,
) -> list[NDArray[np.float64]]:
    """What each source gives each candidate, in deviations above its worst; NaN where it does not propose it."""
    wanted = rows * catalogue + tracks
    order = np.argsort(wanted)
    sought = np.append(wanted[order], -1)
    found = []
    for name in sources:
        column = np.full(len(wanted), np.nan)
        found.append(column)
        if name not in rankings:
            continue
        ranked = rankings[name]
        own = np.repeat(np.arange(len(ranked)), np.diff(ranked.offsets)) * catalogue + ranked.tracks
        places = np.searchsorted(sought[:-1], own)
        among = sought[places] == own
        column[order[places[among]]] = standardised(ranked)[among]
    return found


def _nearness(
    past: History, rows: NDArray[np.int64], tracks: NDArray[np.int32], songs: SongFacts
) -> list[NDArray[np.float32]]:
    """Cosines of the candidates with the mean vector of the latest plays."""
    known = songs.row[past.song] >= 0
    of_candidates = songs.vectors[songs.row[tracks]] if len(songs.vectors) else np.zeros((len(tracks), 1), np.float32)
    found = []
    for latest in LATEST:
        taken = known if latest is None else known & (past.back < latest)
        places = past.query[taken], songs.row[past.song[taken]]
        plays = csr_matrix((np.ones(len(places[0]), np.float32), places), (past.queries, len(songs.vectors)))
        mean = plays @ songs.vectors
        length = np.linalg.norm(mean, axis=1)
        cosines = np.einsum("rd,rd->r", mean[rows], of_candidates) / np.maximum(length, 1e-12)[rows]
        found.append(np.where((songs.row[tracks] >= 0) & (length > 0)[rows], cosines, np.float32(np.nan)))
    return found


def _share(
    past: History,
    rows: NDArray[np.int64],
    tracks: NDArray[np.int32],
    groups: NDArray[np.int32],
    half_life: float | None,
) -> NDArray[np.float64]:
    """The weight of the candidate's artist (or album) in its query's history, 0 to 1."""
    weights = np.ones(len(past.song)) if half_life is None else 0.5 ** (past.back / half_life)
    total = np.bincount(past.query, weights, past.queries)
    known = groups[past.song] >= 0
    size = int(groups.max(initial=0)) + 1
    sums = _Sums.of((past.query * size + groups[past.song])[known], weights[known])
    own = groups[tracks]
    found = sums.at(rows * size + own) / np.maximum(total, 1e-12)[rows]
    return np.where(own >= 0, found, np.nan)


def _own_plays(
    past: History, rows: NDArray[np.int64], tracks: NDArray[np.int32], catalogue: int
) -> list[NDArray[np.float64]]:
    """Of the candidate in its query's history: how often, how many plays ago, how many days ago, how active it is."""
    keys, wanted = past.query * catalogue + past.song, rows * catalogue + tracks
    often = _Sums.of(keys, np.ones(len(keys))).at(wanted)
    latest = np.lexsort((past.back, keys))
    first = np.append(True, np.diff(keys[latest]) > 0)[: len(keys)]
    last = latest[first]
    since = (_Sums(keys[last], values.astype(np.float64)[last]).at(wanted) for values in (past.back, past.days))
    plays_since, days_since = (np.where(often > 0, np.log1p(values), np.nan) for values in since)
    strength = _Sums.of(keys, (past.days + AN_HOUR) ** -FORGETTING).at(wanted)
    activation = np.log(strength, out=np.full(len(wanted), np.nan), where=strength > 0)
    return [np.log1p(often), plays_since, days_since, activation]


@dataclass(frozen=True)
class _Sums:
    """A number for each of some keys, which ascend; 0 for all others."""

    keys: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, keys: NDArray[np.int64], values: NDArray[np.float64]) -> "_Sums":
        """Values of equal keys are summed up."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.append(True, np.diff(ordered) > 0)[: len(keys)])
        return cls(ordered[starts], np.add.reduceat(values[order], starts) if len(keys) else np.zeros(0))

    def at(self, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        if not len(self.keys):
            return np.zeros(len(wanted))
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, self.values[places], 0.0)
