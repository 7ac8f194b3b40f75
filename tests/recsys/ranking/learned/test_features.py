"""What a ranker looks at, against plain loops over one query."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.candidates.resting import running_session
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.learned import features as module
from recsys.ranking.learned.features import HALF_LIVES, LATEST, SongFacts, features, names

SONGS = 40
NOW = 1.7e9


@pytest.fixture
def songs() -> SongFacts:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((30, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    row = np.full(SONGS, -1)
    row[random.permutation(SONGS)[:30]] = np.arange(30)
    artists = random.integers(-1, 6, SONGS).astype(np.int32)
    albums = random.integers(-1, 12, SONGS).astype(np.int32)
    released = np.where(random.random(SONGS) < 0.2, math.nan, random.normal(NOW, 200 * 86_400, SONGS))
    return SongFacts(random.integers(0, 5, SONGS).astype(np.float64), artists, albums, vectors, row, released)


def asked(seed: int) -> list[Query]:
    random = np.random.default_rng(seed)
    found = [Query(), Query(history=np.array([3], np.int32))]
    for length in (5, 40):
        history = random.integers(0, SONGS, length).astype(np.int32)
        ages = np.sort(random.exponential(20, length))[::-1].astype(np.float32)
        found.append(Query(history=history, ages_days=ages, asked_at=NOW))
    days = np.array([900, 42, 41, 25, 4], np.float32) / np.float32(1440)
    found.append(Query(history=np.array([3, 3, 8, 9, 8], np.int32), ages_days=days, asked_at=NOW))
    return found


def proposed(seed: int, queries: int, most: int = 15) -> Ranked:
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(queries):
        tracks = random.permutation(SONGS)[: random.integers(0, most)].astype(np.int32)
        rows.append((tracks, np.sort(random.random(len(tracks)))[::-1].astype(np.float32)))
    return Ranked.from_rows(rows)


def by_hand(
    query: Query, track: int, own: list[tuple[NDArray[np.int32], NDArray[np.float32]]], s: SongFacts
) -> list[float]:
    """The row of one candidate."""
    row = []
    for tracks, scores in own:
        given = math.nan
        if track in tracks:
            flat = scores.std() < 1e-12
            given = 1.0 if flat else (scores[tracks == track][0] - scores.min()) / scores.std()
        row.append(given)
    share = s.plays[track] / s.plays.sum() * SONGS
    row += [math.log(share) if share > 0 else math.nan, math.log1p(len(query.history))]
    for latest in LATEST:
        vectors = [s.vectors[s.row[t]] for t in query.history[-(latest or SONGS * 9) :] if s.row[t] >= 0]
        mean = np.sum(vectors, axis=0)
        known = s.row[track] >= 0 and len(vectors) > 0
        row.append(float(mean @ s.vectors[s.row[track]] / np.linalg.norm(mean)) if known else math.nan)
    for groups in (s.artists, s.albums):
        for half in HALF_LIVES:
            back = range(len(query.history) - 1, -1, -1)
            weight = [1.0 if half is None else 0.5 ** (age / half) for age in back]
            of = sum(w for w, t in zip(weight, query.history, strict=True) if groups[t] == groups[track])
            row.append(of / sum(weight) if weight and groups[track] >= 0 else 0.0 if groups[track] >= 0 else math.nan)
    return row + own_plays_by_hand(query, track) + moment_by_hand(query, track, s)


def own_plays_by_hand(query: Query, track: int) -> list[float]:
    places = np.flatnonzero(query.history == track)
    row = [math.log1p(len(places))]
    if not len(places):
        return [*row, math.nan, math.nan, math.nan]
    row.append(math.log1p(len(query.history) - 1 - places[-1]))
    if query.ages_days is None:
        return [*row, math.nan, math.nan]
    days = query.ages_days[places].astype(np.float64)
    return [*row, math.log1p(days[-1]), math.log(((days + 1 / 24) ** -0.5).sum())]


def moment_by_hand(query: Query, track: int, s: SongFacts) -> list[float]:
    session = running_session(query)
    plays = len(query.history)
    row = [math.log1p(len(session))]
    row.append(math.log(query.ages_days[-1] + 1 / 1440) if query.ages_days is not None and plays else math.nan)
    vectors = [s.vectors[s.row[t]] for t in session if s.row[t] >= 0]
    mean = np.sum(vectors, axis=0)
    known = s.row[track] >= 0 and len(vectors) > 0
    row.append(float(mean @ s.vectors[s.row[track]] / np.linalg.norm(mean)) if known else math.nan)
    for groups in (s.artists, s.albums):
        same = sum(1 for t in session if groups[t] == groups[track])
        row.append(math.nan if groups[track] < 0 else same / max(len(session), 1))
    row.append(float(sum(1 for t in session if t == track)))
    row.append(len(np.unique(query.history)) / plays if plays else math.nan)
    return [
        *row,
        math.nan if query.asked_at is None else math.log1p(max(query.asked_at - s.released[track], 0) / 86_400),
    ]


@pytest.mark.parametrize("block", [1, 3, 500])
def test_each_row_is_what_loops_find(songs: SongFacts, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    queries = asked(2)
    candidates = proposed(3, len(queries), 30)
    rankings = {"one": proposed(4, len(queries)), "two": proposed(5, len(queries))}
    found = features(queries, candidates, rankings, songs, ["two", "one", "absent"])
    wanted = []
    for place, (query, (tracks, _)) in enumerate(zip(queries, candidates, strict=True)):
        own = [rankings[name][place] for name in ("two", "one")]
        nothing = (np.zeros(0, np.int32), np.zeros(0, np.float32))
        wanted += [by_hand(query, int(track), [*own, nothing], songs) for track in tracks]
    assert found.shape == (len(candidates.tracks), len(names(["two", "one", "absent"])))
    assert np.allclose(found, np.array(wanted, np.float32), rtol=2e-4, atol=2e-4, equal_nan=True)


def test_without_vectors_nearness_is_unknown(songs: SongFacts) -> None:
    nowhere = np.full(SONGS, -1)
    bare = SongFacts(songs.plays, songs.artists, songs.albums, np.zeros((0, 1), np.float32), nowhere, songs.released)
    queries = asked(6)
    found = features(queries, proposed(7, len(queries)), {}, bare, [])
    near = [place for place, name in enumerate(names([])) if name.startswith("near")]
    assert np.isnan(found[:, near]).all()


def test_a_song_is_as_old_as_it_is_when_the_question_is_put(songs: SongFacts) -> None:
    """Asked a year later it is a year older; what is not out yet is as old as what came out just now."""
    soon = np.full(SONGS, NOW + 30 * 86_400)
    soon[3] = NOW - 10 * 86_400
    facts = replace(songs, released=soon)
    one = Ranked.from_rows([(np.array([3, 5], np.int32), np.array([2, 1], np.float32))])
    age = names([]).index("age")
    now, later = (
        features([Query(history=np.array([1], np.int32), asked_at=NOW + days * 86_400)], one, {}, facts, [])[:, age]
        for days in (0, 365)
    )
    assert np.allclose(np.expm1(now), [10, 0], atol=1e-3)
    assert np.allclose(np.expm1(later), [375, 335], atol=1e-1)
