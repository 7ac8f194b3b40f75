"""What the sources that use order and sessions compute, against plain Python."""

import math
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset
from recsys.candidates.declaration import Range
from recsys.candidates.sequential.sequences import sequences, weigh
from recsys.queries import Query
from recsys.tuning.search_space import QUERY_SETTINGS, SPACE
from tests.recsys.candidates.source_toys import START, assert_same, cycle_world, make, many_queries, now

SESSION_SOURCES = ("markov", "sequential-rules", "vsknn", "vstan", "sasrec")
WEIGHTINGS: dict[str, Callable[[int], float]] = {
    "same": lambda d: 1.0,
    "inverse": lambda d: 1 / d,
    "quadratic": lambda d: 1 / (d * d),
    "logarithmic": lambda d: 1 / math.log2(d + 1),
    "linear": lambda d: max(0.0, 1 - (d - 1) / 10),
}

Plain = tuple[float, list[int]]
"""How many days old, and its songs."""


def plain_sessions(dataset: Dataset) -> list[Plain]:
    """Sessions (30 minutes) and playlists one after the other, read row by row; wanted plays only."""
    found: list[tuple[datetime, list[int]]] = []
    before: tuple[int, datetime] | None = None
    for play in dataset.listens.iter_rows(named=True):
        user, moment = play["user"], play["listened_at"]
        if before is None or before[0] != user or moment - before[1] > timedelta(minutes=30):
            found.append((moment, []))
        before = (user, moment)
        wanted = play["feedback"] not in ("skip", "dislike") and (play["played_ratio"] or 1.0) >= 0.5
        if wanted:
            found[-1] = (moment, [*found[-1][1], play["track"]])
    for number, row in enumerate(dataset.playlists.iter_rows(named=True)):
        entries = dataset.playlist_tracks.filter(playlist=number).sort("position")["track"].to_list()
        found.append((row["modified_at"], entries))
    found = [(moment, songs) for moment, songs in found if songs]
    newest = now([moment for moment, _ in found])
    return [((newest - moment) / timedelta(days=1), songs) for moment, songs in found]


def plain_rules(
    dataset: Dataset, reach: int, weight: Callable[[int], float], shrinkage: float
) -> dict[int, dict[int, float]]:
    """Share of each follower among all that followed a song."""
    rules: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for _, songs in plain_sessions(dataset):
        for first, song in enumerate(songs):
            for distance in range(1, reach + 1):
                if first + distance < len(songs):
                    rules[song][songs[first + distance]] += weight(distance)
    return {
        song: {follower: count / (sum(counts.values()) + shrinkage) for follower, count in counts.items()}
        for song, counts in rules.items()
    }


def plain_followers(rules: dict[int, dict[int, float]], query: Query, half_life: float) -> dict[int, float]:
    weights: dict[int, float] = defaultdict(float)
    for age, song in enumerate(reversed(query.history.tolist())):
        evidence = 1.0 if query.evidence is None else float(query.evidence[len(query.history) - 1 - age])
        weights[song] += evidence * 0.5 ** (age / half_life)
    scores: dict[int, float] = defaultdict(float)
    for song, weight in weights.items():
        for follower, share in rules.get(song, {}).items():
            scores[follower] += max(weight, 0) * share
    return scores


def plain_current(query: Query, last: int) -> dict[int, int]:
    """Songs of the current session and how many wanted plays ago each stood last."""
    played = [
        song for place, song in enumerate(query.history.tolist()) if query.evidence is None or query.evidence[place] > 0
    ]
    return {song: age for age, song in reversed(list(enumerate(reversed(played)))) if age < last}


def plain_session_knn(
    dataset: Dataset,
    query: Query,
    *,
    last: int,
    sample: int,
    nearest: int,
    by_age: Callable[[int], float],
    by_days: Callable[[float], float],
    by_match: Callable[[int], float],
    by_gap: Callable[[int], float],
    idf: float,
) -> dict[int, float]:
    """One query, session by session."""
    library = []
    for days, songs in sorted(plain_sessions(dataset), key=lambda session: session[0]):
        library.append((days, [song for place, song in enumerate(songs) if song not in songs[place + 1 :]]))
    current = plain_current(query, last)
    sharing = [(days, songs) for days, songs in library if set(songs) & set(current)][:sample]
    compared = []
    for days, songs in sharing:
        shared = sorted(set(songs) & set(current), key=lambda song: current[song])
        similarity = sum(by_age(current[song]) for song in shared) * (1 / math.sqrt(len(songs)) * by_days(days))
        match = shared[0]
        compared.append((similarity, match, songs))
    compared = sorted(compared, key=lambda item: -item[0])[:nearest]
    scores: dict[int, float] = defaultdict(float)
    for similarity, match, songs in compared:
        for place, song in enumerate(songs):
            scores[song] += similarity * by_match(current[match]) * by_gap(abs(place - songs.index(match)))
    for song in scores:
        held = sum(song in songs for _, songs in library)
        scores[song] *= 1 + idf * math.log(len(library) / held)
    return scores


def assert_answers(source, queries, expected) -> None:
    """Whatever scores above 0 and may be answered is answered, with its score."""
    answered = 0
    for query, (tracks, scores), wanted in zip(queries, source.candidates(queries, 60), expected, strict=True):
        allowed = {song for song, score in wanted.items() if score > 0 and song not in query.exclude}
        assert set(tracks.tolist()) == allowed
        np.testing.assert_allclose(scores, [wanted[int(track)] for track in tracks], rtol=1e-4)
        answered += len(tracks)
    assert answered > 0


class TestSequences:
    def test_are_the_sessions_and_playlists_read_row_by_row(self, training):
        found = sequences(training, of="session")
        expected = plain_sessions(training)
        assert [row.tolist() for row in np.split(found.tracks, found.offsets[1:-1])] == [s for _, s in expected]
        np.testing.assert_allclose(found.days, [days for days, _ in expected], atol=1e-5)

    def test_of_listeners_keep_every_wanted_play_once(self, training):
        whole, cut = sequences(training, of="listener"), sequences(training, of="session")
        np.testing.assert_array_equal(whole.tracks, cut.tracks)
        assert len(whole) == 40 + training.playlist_tracks["playlist"].n_unique()
        assert set(whole.offsets) <= set(cut.offsets)

    def test_an_undated_playlist_is_as_old_as_the_median_session(self, publish):
        dataset = publish(
            tracks=pl.DataFrame({"track_id": ["a", "b"]}),
            listens=pl.DataFrame(
                {
                    "user_id": ["u", "u", "u"],
                    "track_id": ["a", "b", "a"],
                    "listened_at": [START + timedelta(days=day) for day in (0, 1, 10)],
                }
            ),
            playlists=pl.DataFrame({"playlist_id": ["p"]}),
            playlist_tracks=pl.DataFrame({"playlist_id": ["p", "p"], "position": [0, 1], "track_id": ["b", "a"]}),
        )
        assert sequences(dataset, of="session").days.tolist() == [10, 9, 0, 9]

    def test_without_times_all_are_equally_old(self, publish):
        dataset = publish(
            tracks=pl.DataFrame({"track_id": ["a", "b"]}),
            listens=pl.DataFrame({"user_id": ["u"] * 25, "track_id": ["a"] * 25, "position": range(25)}),
        )
        found = sequences(dataset, of="session")
        assert found.lengths().tolist() == [20, 5]
        assert found.days.tolist() == [0, 0]

    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    def test_weights_fall_as_named(self, weighting):
        distances = np.arange(1, 15)
        expected = [WEIGHTINGS[weighting](int(distance)) for distance in distances]
        np.testing.assert_allclose(weigh(distances, weighting), expected, atol=1e-12)


class TestFollowers:
    @pytest.mark.parametrize(("shrinkage", "half_life"), [(0.0, 0.3), (4.0, 3.0)])
    def test_markov_sums_the_shares_of_what_came_next(self, training, shrinkage, half_life):
        rules = plain_rules(training, 1, WEIGHTINGS["same"], shrinkage)
        queries = many_queries(training)
        source = make("markov", training, shrinkage=shrinkage, half_life=half_life).fit(training)
        assert_answers(source, queries, [plain_followers(rules, query, half_life) for query in queries])

    @pytest.mark.parametrize("weighting", WEIGHTINGS)
    def test_sequential_rules_weigh_the_places_between(self, training, weighting):
        rules = plain_rules(training, 4, WEIGHTINGS[weighting], 0.0)
        queries = many_queries(training)
        source = make("sequential-rules", training, reach=4, weighting=weighting, half_life=0.5).fit(training)
        assert_answers(source, queries, [plain_followers(rules, query, 0.5) for query in queries])

    def test_only_the_strongest_rules_are_kept(self, training):
        rules = plain_rules(training, 10, WEIGHTINGS["inverse"], 0.0)
        source = make("sequential-rules", training, rules=3).fit(training)
        for song, followers in rules.items():
            tracks, scores = source.candidates([Query(history=np.array([song], np.int32))], 60)[0]
            assert len(tracks) == min(3, len(followers))
            np.testing.assert_allclose(scores, sorted(followers.values(), reverse=True)[:3], rtol=1e-5)

    def test_pairs_are_counted_in_blocks_as_at_once(self, training, monkeypatch):
        expected = make("sequential-rules", training).fit(training).matrix.toarray()
        monkeypatch.setattr("recsys.candidates.sequential.transitions.PAIRS_AT_ONCE", 37)
        found = make("sequential-rules", training).fit(training).matrix.toarray()
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_the_song_that_led_there_is_the_reason(self, publish):
        dataset = cycle_world(publish)
        query = Query(history=np.array([7, 2], np.int32))
        for name in ("markov", "sequential-rules"):
            source = make(name, dataset, half_life=1.0).fit(dataset)
            assert source.votes(query, np.array([8, 3], np.int32)).best() == [7, 2]


class TestSessionKnn:
    @pytest.mark.parametrize(
        ("position", "match", "idf", "last", "sample", "nearest"),
        [
            ("inverse", "inverse", 0.0, 10, 1000, 500),
            ("linear", "same", 2.0, 30, 60, 9),
            ("same", "quadratic", 0.5, 4, 25, 25),
        ],
    )
    def test_vsknn_compares_session_by_session(self, training, position, match, idf, last, sample, nearest):
        settings = {"last": last, "sample": sample, "nearest": nearest, "idf": idf}
        source = make("vsknn", training, position=position, match=match, **settings).fit(training)
        queries = many_queries(training)
        expected = [
            plain_session_knn(
                training,
                query,
                by_age=lambda age: WEIGHTINGS[position](age + 1),
                by_days=lambda days: 1.0,
                by_match=lambda age: WEIGHTINGS[match](age + 1),
                by_gap=lambda gap: 1.0,
                **settings,
            )
            for query in queries
        ]
        assert_answers(source, queries, expected)

    @pytest.mark.parametrize(
        ("half_life", "match_half_life", "days", "spread", "idf", "sample", "nearest"),
        [
            (2.0, 5.0, 30.0, 5.0, 0.0, 1000, 500),
            (3.0, 1.0, 4.0, 1.5, 1.0, 40, 12),
            (9.0, None, None, None, 0.0, 30, 30),
        ],
    )
    def test_vstan_compares_session_by_session(
        self, training, half_life, match_half_life, days, spread, idf, sample, nearest
    ):
        source = make(
            "vstan",
            training,
            last=12,
            half_life=half_life,
            match_half_life=match_half_life,
            session_half_life_days=days,
            spread=spread,
            idf=idf,
            sample=sample,
            nearest=nearest,
        ).fit(training)
        queries = many_queries(training)

        def halved(half: float | None) -> Callable[[float], float]:
            return lambda x: 1.0 if half is None else 0.5 ** (x / half)

        expected = [
            plain_session_knn(
                training,
                query,
                last=12,
                sample=sample,
                nearest=nearest,
                by_age=halved(half_life),
                by_days=lambda age: halved(days)(max(age, 0)),
                by_match=halved(match_half_life),
                by_gap=halved(spread),
                idf=idf,
            )
            for query in queries
        ]
        assert_answers(source, queries, expected)

    @pytest.mark.parametrize("name", ["vsknn", "vstan"])
    def test_small_blocks_answer_as_large_ones(self, name, fitted, training, monkeypatch):
        queries = many_queries(training)
        expected = fitted(name).candidates(queries, 60)
        monkeypatch.setattr("recsys.candidates.sequential.session_knn.ENTRIES", 150)
        assert_same(fitted(name).candidates(queries, 60), expected)

    @pytest.mark.parametrize("name", ["vsknn", "vstan"])
    def test_the_reason_is_the_song_the_sessions_share(self, name, publish):
        dataset = cycle_world(publish)
        source = make(name, dataset).fit(dataset)
        songs = [0, 11]  # no session of the cycle is long enough to hold both, nor 5 and 17
        reasons = source.votes(Query(history=np.array(songs, np.int32)), np.array([1, 12, 5], np.int32)).best()
        assert reasons[:2] == songs


@pytest.mark.parametrize("name", SESSION_SOURCES)
class TestEverySessionSource:
    def test_says_nothing_where_it_knows_nothing(self, name, fitted, training):
        source = fitted(name)
        cold = np.setdiff1d(np.arange(60), np.union1d(training.listens["track"], training.playlist_tracks["track"]))
        disliked = Query(history=np.array([1, 2], np.int32), evidence=np.array([-1, 0], np.float32))
        queries = [Query(), Query(user=3, text="swing"), Query(history=cold.astype(np.int32)), disliked]
        assert len(source.candidates(queries, 10).tracks) == 0

    def test_what_is_set_at_asking_needs_no_new_fit(self, name, training):
        queries = many_queries(training)
        quick = {"fewest_steps": 2, "epochs": 1} if name == "sasrec" else {}
        asked = {
            key: choice.low if isinstance(choice, Range) else choice[0]
            for key, choice in SPACE[name].items()
            if key in QUERY_SETTINGS
        }
        settings = {**asked, **quick}
        other = make(name, training, **quick).fit(training).state()
        assert_same(
            make(name, training, **settings).restore(training, other).candidates(queries, 20),
            make(name, training, **settings).fit(training).candidates(queries, 20),
        )
