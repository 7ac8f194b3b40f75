"""What each candidate source computes, against an independent oracle."""

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data.dataset import POSITIVE
from data.errors import UserError
from encoders.encoding.vector_files import Vectors
from recsys.candidates import Htcl
from recsys.fitted.store import exact_index
from recsys.queries import Query
from tests.recsys.candidates.source_toys import (
    MUTE,
    answer_of_history,
    block_of,
    block_vectors,
    history_shares,
    history_weights,
    make,
    many_queries,
    now,
    read_blocks,
    songs,
)


class TestOracles:
    def test_popularity_counts_wanted_plays_and_playlist_entries(self, fitted, training):
        counts, plays = np.zeros(len(training.track_ids)), Counter()
        for user, track in training.listens.filter(POSITIVE).select("user", "track").iter_rows():
            plays[user, track] += 1
            counts[track] += plays[user, track] <= 3
        for track in training.playlist_tracks["track"]:
            counts[track] += 1
        tracks, scores = fitted("popularity").candidates([Query()], 60)[0]
        expected = [track for track in np.lexsort((np.arange(len(counts)), -counts)) if counts[track] > 0]
        assert tracks.tolist() == expected
        np.testing.assert_array_equal(scores, counts[expected])

    def test_popularity_halves_a_play_with_its_age(self, training):
        plays = training.listens.filter(POSITIVE)
        latest, counted = now(plays["listened_at"].to_list()), Counter()
        weights = np.zeros(len(training.track_ids))
        for user, track, moment in plays.select("user", "track", "listened_at").reverse().iter_rows():
            counted[user, track] += 1
            if counted[user, track] <= 3:
                weights[track] += 0.5 ** (max(0, (latest - moment).total_seconds()) / 86_400 / 10)
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
        temperature, half_life, again = 0.2, 4.0, 1.5
        source = make(
            "htcl", training, temperature=temperature, half_life=half_life, neighbours=neighbours, again=again
        ).fit(training)
        vectors = block_vectors(training)
        dense = np.zeros((60, 8))
        dense[vectors.tracks] = vectors.values
        has = np.isin(np.arange(60), vectors.tracks)
        near = np.exp((dense @ dense.T - 1) / temperature) * has[:, None] * has
        np.fill_diagonal(near, 0)
        for row in near:
            row[np.argsort(-row, kind="stable")[neighbours:]] = 0
        words = read_blocks(["metal"])[0].astype(np.float64)
        word_cosine = dense @ words / np.linalg.norm(words)
        history = songs(training, "metal-00", "metal-05", MUTE, "swing-02", "metal-00")
        evidence = np.array([1, 2, 1, 1, -0.5], np.float32)
        for text, given in ((None, history), ("metal", history), ("metal", history[:0])):
            query = Query(history=given, evidence=evidence[: len(given)], text=text)
            expected = history_shares(query, 60, half_life) @ near
            if text is not None:
                by_words = np.exp((word_cosine - 1) / temperature) * has
                by_words[np.argsort(-by_words, kind="stable")[neighbours:]] = 0
                weight = 0.3 * expected.max() if len(given) else 1.0
                expected = expected + weight * by_words / by_words.max()
            expected = expected + again * history_shares(query, 60, None) * has
            tracks, scores = source.candidates([query], 60)[0]
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-6)
            assert set(np.flatnonzero(expected > 1e-5)) <= set(tracks.tolist())
            assert songs(training, MUTE)[0] not in tracks


class TestFeatures:
    """Precomputed features alone, against NumPy in float64."""

    @staticmethod
    def table(dataset):
        rows = np.full((60, 9), np.nan)
        for name, values in dataset.features.iter_rows():
            rows[dataset.track_ids.rows[name]] = values
        return rows

    @pytest.mark.parametrize("neighbours", [60, 9])
    def test_counts_the_neighbours_of_each_song_in_standardised_columns(self, training, neighbours):
        temperature, half_life = 0.3, 4.0
        source = make("features", training, temperature=temperature, half_life=half_life, neighbours=neighbours)
        source.fit(training)
        table = self.table(training)
        used = {*training.listens["track"].to_list(), *training.playlist_tracks["track"].to_list()}
        known = np.array([row for row in sorted(used) if not np.isnan(table[row, 0])])
        assert 0 < len(known) < 59
        columns = table[:, :8]  # the last one never changes
        standard = (columns - columns[known].mean(axis=0)) / columns[known].std(axis=0)
        unit = standard / np.linalg.norm(standard, axis=1, keepdims=True)
        near = np.nan_to_num(np.exp((unit @ unit.T - 1) / temperature))
        np.fill_diagonal(near, 0)
        for row in near:
            row[np.argsort(-row, kind="stable")[neighbours:]] = 0
        history = songs(training, "metal-00", "metal-05", MUTE, "swing-02", "metal-00")
        query = Query(history=history, evidence=np.array([1, 2, 1, 1, -0.5], np.float32), text="not read")
        has = np.isfinite(table[:, 0])
        expected = answer_of_history(query, near, has, half_life, source.settings.again, None)
        tracks, scores = source.candidates([query], 60)[0]
        np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-6)
        assert set(np.flatnonzero(expected > 1e-5)) <= set(tracks.tolist())
        assert songs(training, MUTE)[0] not in tracks

    def test_knows_songs_nobody_played(self, fitted, training):
        tracks, _ = fitted("features").candidates([Query(history=songs(training, "swing-00"))], 60)[0]
        assert songs(training, "swing-12")[0] in tracks

    def test_a_song_that_is_the_mean_of_all_points_nowhere(self, training):
        rows = [[-1.0], [1.0], [0.0]]
        names = list(training.track_ids.names[:3])
        features = pl.DataFrame(
            {"track_id": names, "features": rows}, {"track_id": pl.String, "features": pl.List(pl.Float32)}
        )
        listens = training.listens.head(2).with_columns(track=pl.Series([0, 1], dtype=pl.Int32))
        three = replace(training.only(listens, training.playlist_tracks.head(0)), features=features)
        source = make("features", three).fit(three)
        answers = source.candidates([Query(history=np.array([song], np.int32)) for song in range(3)], 60)
        assert [tracks.tolist() for tracks, _ in answers] == [[0, 1], [1, 0], []]

    def test_without_features_there_is_nothing_to_learn_from(self, training):
        none = replace(training, features=training.features.head(0))
        with pytest.raises(UserError, match="no precomputed features"):
            make("features", none).fit(none)


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
