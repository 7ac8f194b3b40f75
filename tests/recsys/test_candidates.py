"""One contract for every candidate source, and independent oracles for what each computes."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from encoders.vectors import Vectors
from recsys.candidates import SOURCES, CandidateSource, Htcl, HtclSettings
from recsys.candidates.interactions import interactions
from recsys.models import exact_index, make_source
from recsys.queries import EVIDENCE, Query
from recsys.ranked import Ranked

NAMES = (*SOURCES, "htcl")
TASTELESS = ("random", "popularity")
"They do not look at the history."
COLLABORATIVE = ("popularity", "item-knn", "ials", "bpr")
BLOCKS = ("ambient", "metal", "swing", "techno")
MUTE = "techno-11"
"The song without a vector."


def block_vectors(dataset: Dataset) -> Vectors:
    """Songs of a block lie close together; one song has no vector."""
    rng = np.random.default_rng(5)
    tracks = [row for row, name in enumerate(dataset.track_ids.names) if name != MUTE]
    centres = np.eye(8)[[BLOCKS.index(dataset.track_ids.names[row].split("-")[0]) for row in tracks]]
    values = centres + 0.2 * rng.normal(size=centres.shape)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return Vectors(np.array(tracks, np.int32), values.astype(np.float32))


def read_blocks(texts: list[str]) -> NDArray[np.float32]:
    """A text means the blocks it names; any other text means nothing in particular."""
    found = [[float(block in text) for block in BLOCKS] + [0.0, 0.0, 0.0, 0.1] for text in texts]
    return np.array(found, np.float32)


def make(name: str, dataset: Dataset, **settings: object) -> CandidateSource:
    """An unfitted source."""
    if name != "htcl":
        return make_source(name, settings)
    vectors = block_vectors(dataset)
    return Htcl("htcl", vectors, exact_index(vectors), read_blocks, HtclSettings(**settings))


@pytest.fixture(scope="module")
def training(fixed_world) -> Dataset:
    _, dataset, split = fixed_world
    return split.training(dataset)


@pytest.fixture(scope="module")
def fitted(training) -> Callable[[str], CandidateSource]:
    return cache(lambda name: make(name, training).fit(training))


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return str(request.param)


@pytest.fixture
def source(name, fitted) -> CandidateSource:
    return fitted(name)


def songs(dataset: Dataset, *names: str) -> NDArray[np.int32]:
    return dataset.track_ids.to_rows(names)


def block_of(dataset: Dataset, tracks: Sequence[int]) -> list[str]:
    return [name.split("-")[0] for name in dataset.track_ids.to_names(tracks)]


def many_queries(dataset: Dataset, count: int = 24, seed: int = 1) -> list[Query]:
    """Histories of 0 to 30 songs, with and without evidence, listeners, texts and exclusions."""
    rng = np.random.default_rng(seed)
    queries = []
    for number in range(count):
        history = rng.integers(len(dataset.track_ids), size=rng.integers(31) if number else 0).astype(np.int32)
        queries.append(
            Query(
                history=history,
                evidence=rng.choice([2.0, 1.0, 1.0, 0.0, -0.5], len(history)).astype(np.float32)
                if number % 2
                else None,
                user=int(rng.integers(len(dataset.user_ids))) if number % 3 else None,
                text=str(rng.choice([*BLOCKS, "something else"])) if number % 4 == 0 else None,
                exclude=np.unique(history) if number % 5 else rng.integers(40, size=5).astype(np.int32),
            )
        )
    return queries


def assert_same(found: Ranked, expected: Ranked) -> None:
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.tracks, expected.tracks)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)


class TestEverySource:
    def test_one_query_equals_a_batch_of_one(self, source, training):
        queries = many_queries(training)
        batch = source.candidates(queries, 10)
        assert len(batch) == len(queries)
        for query, (tracks, scores) in zip(queries, batch, strict=True):
            alone_tracks, alone_scores = source.candidates([query], 10)[0]
            np.testing.assert_allclose(scores, alone_scores, rtol=1e-4, atol=1e-5)
            # Songs may change places only where rounding decides between equal scores.
            for track, other, score, near in zip(tracks, alone_tracks, scores, alone_scores, strict=True):
                assert track == other or score == pytest.approx(near, rel=1e-4, abs=1e-5)

    def test_no_query_gets_no_answer(self, source):
        assert len(source.candidates([], 10)) == 0

    @pytest.mark.parametrize("name", [name for name in NAMES if name not in TASTELESS])
    def test_knows_the_obvious_answer(self, source, training):
        for block in BLOCKS:
            given = songs(training, *(f"{block}-{number:02}" for number in range(4)))
            tracks, _ = source.candidates([Query(history=given, exclude=given)], 5)[0]
            assert block_of(training, tracks) == [block] * 5

    def test_unseen_listener_gets_an_answer_or_none_but_no_error(self, source, training):
        cold = songs(training, "swing-14")
        nobody = [
            Query(),
            Query(user=None, text="no such thing"),
            Query(history=cold),
            Query(history=cold, exclude=cold),
        ]
        disliked = Query(history=songs(training, "swing-01"), evidence=np.array([-1], np.float32))
        for tracks, scores in source.candidates([*nobody, disliked], 10):
            assert len(tracks) == len(scores) <= 10

    def test_excluded_songs_are_never_answered(self, source, training):
        queries = many_queries(training)
        for query, (tracks, _) in zip(queries, source.candidates(queries, 60), strict=True):
            assert not np.isin(tracks, query.exclude).any()

    def test_all_songs_excluded_leave_none(self, source, training):
        everything = np.arange(len(training.track_ids), dtype=np.int32)
        query = Query(history=everything[:5], user=0, text="metal", exclude=everything)
        assert len(source.candidates([query], 10)[0][0]) == 0

    def test_never_a_song_twice_and_best_first(self, source, training):
        for tracks, scores in source.candidates(many_queries(training), 60):
            assert len(np.unique(tracks)) == len(tracks)
            assert np.isfinite(scores).all()
            assert (np.diff(scores) <= 0).all()
            assert ((tracks >= 0) & (tracks < len(training.track_ids))).all()

    def test_asking_for_more_than_the_catalogue_is_asking_for_all(self, source, training):
        queries = many_queries(training)
        everything = source.candidates(queries, len(training.track_ids))
        assert_same(source.candidates(queries, 10**6), everything)
        for (tracks, _), (fewer, _) in zip(everything, source.candidates(queries, 7), strict=True):
            np.testing.assert_array_equal(tracks[:7], fewer)

    def test_same_seed_same_answer(self, name, source, training):
        again = make(name, training).fit(training)
        queries = many_queries(training)
        expected = source.candidates(queries, 20)
        assert_same(again.candidates(queries, 20), expected)
        assert_same(source.candidates(queries, 20), expected)

    def test_a_query_is_not_changed_by_asking(self, source, training):
        query = many_queries(training)[5]
        before = (query.history.copy(), query.evidence.copy(), query.exclude.copy())
        source.candidates([query], 10)
        for value, kept in zip((query.history, query.evidence, query.exclude), before, strict=True):
            np.testing.assert_array_equal(value, kept)

    def test_what_is_restored_answers_like_what_was_fitted(self, name, source, training, tmp_path):
        np.savez(tmp_path / "state.npz", **source.state())
        with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
            restored = make(name, training).restore(training, dict(arrays))
        queries = many_queries(training)
        assert_same(restored.candidates(queries, 20), source.candidates(queries, 20))

    def test_the_reason_is_a_song_of_the_history_or_none(self, source, training):
        queries = many_queries(training)
        for query, (tracks, _) in zip(queries, source.candidates(queries, 20), strict=True):
            reasons = source.because(query, tracks)
            assert len(reasons) == len(tracks)
            assert all(reason is None or (type(reason) is int and reason in query.history) for reason in reasons)

    def test_an_empty_dataset_part_is_learned_from_without_error(self, name, training):
        nothing = training.only(training.listens.head(0), training.playlist_tracks.head(0))
        source = make(name, nothing).fit(nothing)
        answer = source.candidates(many_queries(nothing), 10)
        assert np.isfinite(answer.scores).all()
        if name in COLLABORATIVE:
            assert len(answer.tracks) == 0


@pytest.mark.parametrize("collaborative", COLLABORATIVE)
def test_a_collaborative_source_never_proposes_a_song_without_a_training_event(collaborative, fitted, training):
    used = np.union1d(training.listens["track"].to_numpy(), training.playlist_tracks["track"].to_numpy())
    answer = fitted(collaborative).candidates(many_queries(training, 60), 60)
    assert len(answer.tracks)
    assert np.isin(answer.tracks, used).all()


def test_reasons_name_the_song_behind_the_answer(fitted, training):
    swing, metal = songs(training, "swing-00", "metal-00")
    query = Query(history=np.array([swing, metal], np.int32))
    asked = songs(training, "swing-03", "metal-03")  # number 3 is by the same artist as number 0
    for name in ("item-knn", "same-artist", "htcl"):
        assert fitted(name).because(query, asked) == [swing, metal]


class TestOracles:
    def test_popularity_counts_wanted_plays_and_playlist_entries(self, fitted, training):
        counts = np.zeros(len(training.track_ids))
        for track in training.listens.filter(POSITIVE)["track"]:
            counts[track] += 1
        for track in training.playlist_tracks["track"]:
            counts[track] += 1
        tracks, scores = fitted("popularity").candidates([Query()], 60)[0]
        expected = [track for track in np.lexsort((np.arange(len(counts)), -counts)) if counts[track] > 0]
        assert tracks.tolist() == expected
        np.testing.assert_array_equal(scores, counts[expected])

    def test_popularity_halves_a_play_with_its_age(self, training):
        plays = training.listens.filter(POSITIVE)
        latest = plays["listened_at"].max()
        weights = np.zeros(len(training.track_ids))
        for track, moment in plays.select("track", "listened_at").iter_rows():
            weights[track] += 0.5 ** ((latest - moment).total_seconds() / 86_400 / 10)
        np.add.at(weights, training.playlist_tracks["track"].to_numpy(), 1)
        source = make("popularity", training, half_life_days=10).fit(training)
        tracks, scores = source.candidates([Query()], 60)[0]
        np.testing.assert_allclose(scores, weights[tracks], rtol=1e-4)
        assert len(tracks) == (weights > 0).sum()

    def test_same_artist_sums_the_weights_of_the_artists_songs(self, fitted, training):
        query = Query(
            history=songs(training, "swing-00", "swing-01", "swing-03", "metal-02"),
            evidence=np.array([1, 2, 1, -1], np.float32),
        )
        half_lives = 0.5 ** (np.array([3, 2, 1, 0]) / 20)
        names = training.tracks["artist"].to_list()
        expected = dict.fromkeys(range(60), 0.0)
        for song, weight in zip(query.history, query.evidence * half_lives, strict=True):
            for track in expected:
                expected[track] += weight * (names[track] == names[song])
        tracks, scores = fitted("same-artist").candidates([query], 60)[0]
        assert set(tracks.tolist()) == {track for track, weight in expected.items() if weight > 0}
        np.testing.assert_allclose(scores, [expected[track] for track in tracks], atol=1.1e-3)

    def test_same_artist_knows_songs_nobody_played(self, fitted, training):
        tracks, _ = fitted("same-artist").candidates([Query(history=songs(training, "swing-00"))], 60)[0]
        assert songs(training, "swing-12")[0] in tracks

    def test_item_knn_sums_cosines(self, training):
        matrix = training_matrix(training)
        lengths = np.linalg.norm(matrix, axis=0)
        cosine = matrix.T @ matrix / np.maximum(np.outer(lengths, lengths), 1e-12)
        source = make("item-knn", training, kind="cosine", neighbours=60, half_life=5.0).fit(training)
        queries = many_queries(training)
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            expected = history_weights(query, 60, 5.0) @ cosine
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-5)
            rest = np.setdiff1d(np.arange(60), [*tracks, *query.exclude])
            assert (expected[rest] < 1e-5).all()

    def test_ials_solves_the_normal_equations(self, fitted, training):
        source = fitted("ials")
        items = source.state()["item_factors"].astype(np.float64)
        alpha, regularization, half_life = 10.0, 0.01, 20.0
        queries = many_queries(training)
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            weights = np.maximum(history_weights(query, 60, half_life), 0) * source.state()["seen"]
            confidence = alpha * weights
            left = items.T @ items + regularization * np.eye(items.shape[1])
            right = np.zeros(items.shape[1])
            for song in np.flatnonzero(weights > 0):
                left += (confidence[song] - 1) * np.outer(items[song], items[song])
                right += confidence[song] * items[song]
            expected = items @ np.linalg.solve(left, right)
            assert (len(tracks) > 0) == (weights > 0).any()
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-3, atol=2e-3)

    def test_bpr_scores_the_mean_of_the_history_and_the_bias(self, fitted, training):
        source = fitted("bpr")
        items = source.state()["items"].astype(np.float64)
        queries = [Query(history=np.array([3, 3, 7], np.int32)), Query(history=np.array([20], np.int32))]
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            weights = history_weights(query, 60, 20.0)
            mean = weights @ items / weights.sum()
            expected = items[:, :-1] @ mean[:-1] + items[:, -1]
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("neighbours", [60, 9])
    def test_htcl_counts_the_neighbours_of_each_song(self, training, neighbours):
        temperature, half_life = 0.2, 4.0
        source = make("htcl", training, temperature=temperature, half_life=half_life, neighbours=neighbours).fit(
            training
        )
        vectors = block_vectors(training)
        dense = np.zeros((60, 8))
        dense[vectors.tracks] = vectors.values
        has = np.isin(np.arange(60), vectors.tracks)
        near = np.exp((dense @ dense.T - 1) / temperature) * has[:, None] * has
        for row in near:
            row[np.argsort(-row, kind="stable")[neighbours:]] = 0
        words = read_blocks(["metal"])[0].astype(np.float64)
        word_cosine = dense @ words / np.linalg.norm(words)
        history = songs(training, "metal-00", "metal-05", MUTE, "swing-02", "metal-00")
        evidence = np.array([1, 2, 1, 1, -0.5], np.float32)
        for text, given in ((None, history), ("metal", history), ("metal", history[:0])):
            query = Query(history=given, evidence=evidence[: len(given)], text=text)
            weights = history_weights(query, 60, half_life)
            expected = weights @ near / max(np.abs(weights).sum(), 1e-9)
            if text is not None:
                by_words = np.exp((word_cosine - 1) / temperature) * has
                by_words[np.argsort(-by_words, kind="stable")[neighbours:]] = 0
                weight = 0.3 * expected.max() if len(given) else 1.0
                expected = expected + weight * by_words / by_words.max()
            tracks, scores = source.candidates([query], 60)[0]
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-6)
            assert set(np.flatnonzero(expected > 1e-5)) <= set(tracks.tolist())
            assert songs(training, MUTE)[0] not in tracks


class TestHtclWithGaps:
    """Songs without vectors, vectors of nothing, words alone."""

    def test_a_title_answers_where_the_songs_have_no_vector(self, fitted, training):
        query = Query(history=songs(training, MUTE), text="my swing collection")
        tracks, _ = fitted("htcl").candidates([query], 5)[0]
        assert block_of(training, tracks) == ["swing"] * 5

    def test_a_catalogue_without_vectors_answers_nothing(self, training):
        nothing = Vectors(np.zeros(0, np.int32), np.zeros((0, 8), np.float32))
        source = Htcl("htcl", nothing, exact_index(nothing), read_blocks).fit(training)
        assert len(source.candidates(many_queries(training), 10).tracks) == 0
        assert len(source.nearest(songs(training, "metal-00"), 5)) == 0
        assert len(source.by_text("metal", 5)[0]) == 0

    def test_nearest_starts_with_the_song_itself(self, fitted, training):
        tracks, scores = fitted("htcl").nearest(songs(training, "metal-00"), 5)[0]
        assert tracks[0] == songs(training, "metal-00")[0]
        assert scores[0] == pytest.approx(1, abs=1e-5)
        assert block_of(training, tracks) == ["metal"] * 5


class TestInteractions:
    def test_match_a_plain_count(self, training):
        np.testing.assert_allclose(interactions(training).toarray(), training_matrix(training), rtol=1e-6)


def training_matrix(dataset: Dataset) -> NDArray[np.float64]:
    """Listeners, then playlists, by songs: log2(1 + evidence of wanted plays), 1 for entries; row by row."""
    listeners = len(dataset.user_ids)
    matrix = np.zeros((listeners + len(dataset.playlist_ids), len(dataset.track_ids)))
    plays = dataset.listens.filter(POSITIVE).select("user", "track", EVIDENCE.alias("value"))
    for user, track, value in plays.iter_rows():
        matrix[user, track] += value
    matrix = np.log2(1 + np.maximum(matrix, 0))
    for playlist, track in dataset.playlist_tracks.select(pl.col("playlist", "track")).iter_rows():
        matrix[listeners + playlist, track] = 1
    return matrix


def history_weights(query: Query, tracks: int, half_life: float) -> NDArray[np.float64]:
    """(N,) evidence per song, halved every `half_life` plays back from the latest."""
    weights = np.zeros(tracks)
    for age, place in enumerate(range(len(query.history) - 1, -1, -1)):
        evidence = 1.0 if query.evidence is None else float(query.evidence[place])
        weights[query.history[place]] += evidence * 0.5 ** (age / half_life)
    return weights
