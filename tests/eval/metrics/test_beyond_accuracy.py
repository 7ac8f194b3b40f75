"""Beyond accuracy, against slow plain Python: ties, empty rows, fewer than k answers, songs nothing is known of."""

import doctest
from dataclasses import dataclass
from itertools import combinations
from math import isnan, log, log2, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

import eval.metrics.beyond_accuracy
from encoders.encoding.vector_files import Vectors
from eval.metrics.beyond_accuracy import BEYOND, OVER_ALL, PER_QUERY, beyond, per_query
from eval.metrics.catalogue_facts import AT, CatalogueFacts, QueryFacts, genre_matrix
from eval.metrics.new_songs import NEW_SONGS
from eval.statistics import ratio_interval
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.tasks import held_out
from recsys.tasks.targets import Targets

K = 10


@dataclass
class World:
    """Songs and what each query asks and gets, as plain lists."""

    plays: list[int]
    artists: list[int]
    genres: list[list[str]]
    vectors: list[list[float] | None]
    answers: list[list[int]]
    targets: list[set[int]]
    expected: list[list[int]]
    history: list[dict[int, float]]

    @property
    def songs(self) -> CatalogueFacts:
        size = len(self.plays)
        rows = np.array([row if row is not None else [0.0, 0.0, 0.0] for row in self.vectors], np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0).reshape(size, 3)
        return CatalogueFacts(
            np.array(self.plays, np.float64),
            np.array(self.artists, np.int32),
            genre_matrix(self.genres),
            rows,
            np.array(self.plays) == 0,
        )

    @property
    def ranked(self) -> Ranked:
        return as_ranked(self.answers)

    @property
    def asked(self) -> QueryFacts:
        history = np.zeros((len(self.history), len(self.plays)))
        for row, of in enumerate(self.history):
            for track, weight in of.items():
                history[row, track] = weight
        wanted = Targets.from_rows([sorted(row) for row in self.targets])
        return QueryFacts(wanted, as_ranked(self.expected), csr_matrix(history))

    def measured(self, k: int) -> dict[str, NDArray[np.float64]]:
        return per_query(self.ranked, self.asked, self.songs, k)


def as_ranked(rows: list[list[int]]) -> Ranked:
    """Every score the same: only the order counts."""
    return Ranked.from_rows([(np.array(row, np.int32), np.zeros(len(row), np.float32)) for row in rows])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    size = draw(st.sampled_from([1, 2, 4, 15, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries = draw(st.integers(1, 4))
    twice = draw(st.booleans())

    def rows(most: int) -> list[list[int]]:
        lengths = draw(st.lists(st.integers(0, most), min_size=queries, max_size=queries))
        return [rng.choice(size, min(length, size), replace=twice).tolist() for length in lengths]

    vectors = [rng.normal(size=3).tolist() if rng.random() < 0.7 else None for _ in range(size)]
    if draw(st.booleans()):
        vectors = [rng.choice([-1.0, 1.0], 3).tolist() for _ in range(size)]  # ties
    return World(
        plays=rng.integers(0, 5, size).tolist(),
        artists=rng.integers(-1, 1 + size // 3, size).tolist(),
        genres=[rng.choice(["a", "b", "c", "d"], rng.integers(0, 4), replace=False).tolist() for _ in range(size)],
        vectors=vectors,
        answers=rows(25),
        targets=[set(row) or {0} for row in rows(6)],
        expected=[list(dict.fromkeys(row)) for row in rows(25)],
        history=[{track: float(rng.integers(1, 4)) for track in row} for row in rows(8)],
    )


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else nan


def plainly(world: World, query: int, k: int) -> dict[str, float]:
    """Every metric of one query, song by song and pair by pair."""
    answers = world.answers[query][:k]
    total = sum(world.plays) + len(world.plays)
    vectors = [np.array(v) / np.linalg.norm(v) for v in (world.vectors[track] for track in answers) if v is not None]
    artists = [world.artists[track] for track in answers if world.artists[track] >= 0]
    surprising = (set(answers) & world.targets[query]) - set(world.expected[query][:k])
    return {
        "novelty": mean([-log2((world.plays[track] + 1) / total) for track in answers]),
        "diversity_htcl": mean([1 - float(a @ b) for a, b in combinations(vectors, 2)]),
        "diversity_artist": mean([float(a != b) for a, b in combinations(artists, 2)]),
        "serendipity": len(surprising) / k,
        "calibration_genre": divergence(
            genres_of(world, world.history[query]),
            genres_of(world, {track: float(answers.count(track)) for track in answers}),
        ),
        "answered": len(answers) / k,
    }


def genres_of(world: World, weights: dict[int, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for track, weight in weights.items():
        for genre in world.genres[track]:
            found[genre] = found.get(genre, 0.0) + weight / len(world.genres[track])
    return {genre: weight / sum(found.values()) for genre, weight in found.items()}


def divergence(liked: dict[str, float], answered: dict[str, float]) -> float:
    if not liked or not answered:
        return nan
    return sum(p * log(p / (0.99 * answered.get(genre, 0.0) + 0.01 * p)) for genre, p in liked.items())


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from([1, 2, 10, 30]))
def test_every_metric_of_a_query_agrees_with_plain_python(world: World, k: int) -> None:
    measured = world.measured(k)
    assert set(measured) == {f"{name}@{k}" for name in PER_QUERY}
    for query in range(len(world.answers)):
        expected = plainly(world, query, k)
        found = {name: float(measured[f"{name}@{k}"][query]) for name in expected}
        assert found == pytest.approx(expected, nan_ok=True, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_metrics_over_all_queries_agree_with_plain_python(world: World) -> None:
    found = beyond(world.ranked, world.asked, world.songs, np.arange(len(world.answers)), resamples=20)
    for k in AT:
        tops = [row[:k] for row in world.answers]
        often = [sum(row.count(track) for row in tops) for track in range(len(world.plays))]
        assert (f"coverage@{k}" in found) == (f"gini@{k}" in found) == any(tops)
        if any(tops):
            assert found[f"coverage@{k}"]["mean"] == len({t for row in tops for t in row}) / len(world.plays)
            # Gini is half the mean difference between two songs, relative to the mean (here n - 1 for n).
            n = len(often)
            pairs = sum(abs(a - b) for a in often for b in often)
            expected = pairs / (2 * n * sum(often)) * n / (n - 1) if n > 1 else 0.0
            assert found[f"gini@{k}"]["mean"] == pytest.approx(expected)
        both = [(row, world.history[at]) for at, row in enumerate(tops) if row and world.history[at]]
        heard = [mean_popularity(world, of) for _, of in both]
        if sum(heard) > 0:
            answered = [mean([float(world.plays[track]) for track in row]) for row, _ in both]
            lift = found[f"popularity_lift@{k}"]
            assert lift["mean"] == pytest.approx(sum(answered) / sum(heard) - 1)
            assert lift["queries"] == len(both)
        else:
            assert f"popularity_lift@{k}" not in found


def mean_popularity(world: World, of: dict[int, float]) -> float:
    return sum(world.plays[track] * weight for track, weight in of.items()) / sum(of.values())


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_means_are_over_the_queries_that_have_a_value_and_say_how_many(world: World) -> None:
    found = beyond(world.ranked, world.asked, world.songs, np.zeros(len(world.answers), np.int64), resamples=5)
    assert set(found) <= set(BEYOND)
    for name in PER_QUERY:
        values = [plainly(world, query, 10)[name] for query in range(len(world.answers))]
        known = [value for value in values if not isnan(value)]
        if known:
            assert found[f"{name}@10"]["mean"] == pytest.approx(mean(known), abs=1e-9)
            assert found[f"{name}@10"]["queries"] == len(known)
        else:
            assert f"{name}@10" not in found
    assert all(np.isfinite(list(value.values())).all() for value in found.values() if value is not None)
    assert {name for name, value in found.items() if value is None} <= set(NEW_SONGS)
    assert all("low" not in found[f"{name}@10"] for name in ("coverage", "gini") if f"{name}@10" in found)


def test_the_scales_have_their_ends() -> None:
    size = 40
    alone = World(
        plays=[1] * size,
        artists=[0] * size,
        genres=[["a"]] * 20 + [["b"]] * 20,
        vectors=[[1.0, 0.0, 0.0]] * size,
        answers=[[0]] * 3,
        targets=[{0}] * 3,
        expected=[[1]] * 3,
        history=[{0: 1.0}, {1: 2.0}, {39: 1.0}],
    )
    found = beyond(alone.ranked, alone.asked, alone.songs, np.arange(3), resamples=10)
    assert found["gini@10"]["mean"] == 1
    assert found["coverage@10"]["mean"] == 1 / size
    assert found["popularity_lift@10"]["mean"] == 0
    assert alone.measured(1)["calibration_genre@1"] == pytest.approx([0, 0, log(100)], abs=1e-12)
    assert alone.measured(1)["serendipity@1"].tolist() == [1, 1, 1]
    same = World(**{**vars(alone), "answers": [list(range(size))] * 3})
    assert beyond(same.ranked, same.asked, same.songs, np.arange(3), resamples=10)["gini@100"]["mean"] == 0
    assert same.measured(K)["diversity_htcl@10"] == pytest.approx([0, 0, 0], abs=1e-12)
    assert same.measured(K)["diversity_artist@10"].tolist() == [0, 0, 0]


class TestOnADataset:
    def test_what_is_expected_is_what_was_played_most_and_may_be_answered(self, fixed_world) -> None:
        _, dataset, split = fixed_world
        training = split.past(dataset)
        asked = QueryFacts.of(
            [Query(), Query(exclude=np.array([0, 1], np.int32))], Targets.from_rows([[0], [2]]), training
        )
        songs = CatalogueFacts.of(dataset, training, None, split.cold_before("test"))
        everything, without = (tracks.tolist() for tracks, _ in asked.popular)
        assert everything == [t for t in np.argsort(-songs.plays, kind="stable").tolist() if songs.plays[t] > 0]
        assert without == [track for track in everything if track not in (0, 1)]

    def test_dislikes_are_no_taste(self, fixed_world) -> None:
        _, dataset, split = fixed_world
        query = Query(history=np.array([3, 4], np.int32), evidence=np.array([1, -1], np.float32))
        asked = QueryFacts.of([query], Targets.from_rows([[0]]), split.past(dataset))
        assert asked.history.toarray()[0, [3, 4]].tolist() == [1, 0]

    def test_answers_of_the_own_block_are_calibrated_and_those_of_another_are_not(self, fixed_world) -> None:
        _, dataset, split = fixed_world
        training = split.past(dataset)
        question = held_out(dataset, split, "next-song", "test", max_queries=50)
        block = [row[0] for row in dataset.tracks["genres"].to_list()]
        mine = [max(of := [block[t] for t in query.history], key=of.count) for query in question.queries]
        asked = QueryFacts.of(question.queries, question.targets, training)
        vectors = Vectors(np.array([0, 1], np.int32), np.array([[3, 0], [0, 4]], np.float32))
        songs = CatalogueFacts.of(dataset, training, vectors, split.cold_before("test"))
        np.testing.assert_array_equal(songs.vectors[:3], [[1, 0], [0, 1], [0, 0]])

        def value(answers: list[list[int]]) -> float:
            return beyond(as_ranked(answers), asked, songs, question.groups, 10)["calibration_genre@10"]["mean"]

        right = value([[t for t, name in enumerate(block) if name == wanted] for wanted in mine])
        wrong = value([[t for t, name in enumerate(block) if name != wanted] for wanted in mine])
        assert right < 0.3 < 1 < wrong


def test_a_ratio_of_means_has_the_interval_of_its_queries() -> None:
    rng = np.random.default_rng(5)
    below = rng.random(400) + 0.5
    above = 2 * below + rng.normal(0, 0.1, 400)
    found = ratio_interval(above, below)
    assert found["low"] < found["mean"] < found["high"]
    assert found["mean"] == pytest.approx(above.mean() / below.mean())
    # The delta method's standard error, another way to the same width.
    error = (above - found["mean"] * below).std() / below.mean() / 20
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.15)
    with pytest.raises(ValueError, match="divide by"):
        ratio_interval(above, np.zeros(400))
    assert ratio_interval(np.ones(2), np.array([0.0, 1.0]))["mean"] == 2


def test_names_are_complete() -> None:
    assert {name.partition("@")[0] for name in BEYOND} == {
        *PER_QUERY,
        *OVER_ALL,
        *(name.partition("@")[0] for name in NEW_SONGS),
    }


def test_examples() -> None:
    assert doctest.testmod(eval.metrics.beyond_accuracy).failed == 0
