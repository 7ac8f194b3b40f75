"""EASE, logistic factorisation and repeats against plain NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from implicit.cpu.lmf import LogisticMatrixFactorization

from data.errors import UserError
from recsys.candidates.collaborative import ease, ease_weights
from recsys.candidates.collaborative.interactions import interactions
from recsys.candidates.simple.repeat import _overlap
from recsys.queries import EVIDENCE, Query
from tests.recsys.candidates.source_toys import (
    answer_of_history,
    block_of,
    history_weights,
    make,
    many_queries,
    songs,
    training_matrix,
    without_themselves,
)


class TestEase:
    @pytest.mark.parametrize("regularization", [0.5, 100.0])
    def test_is_the_ridge_regression_of_each_song_on_the_others(self, training, regularization):
        matrix = training_matrix(training)
        count = matrix.shape[1]
        expected = np.zeros((count, count))
        for song in range(count):
            others = np.arange(count) != song
            x = matrix[:, others]
            left = x.T @ x + regularization * np.eye(count - 1)
            expected[others, song] = np.linalg.solve(left, x.T @ matrix[:, song])
        asked = {"half_life": 5.0, "again": 0.5, "again_half_life": 9.0}
        source = make("ease", training, regularization=regularization, **asked).fit(training)
        others, known = without_themselves(expected), matrix.any(axis=0)
        queries = many_queries(training)
        answered = 0
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            wanted = answer_of_history(query, others, known, **asked)[tracks]
            np.testing.assert_allclose(scores, wanted, rtol=1e-3, atol=1e-5)
            played = np.flatnonzero(matrix.any(axis=0))
            if np.isin(query.history, played).any():
                answered += set(tracks.tolist()) == set(np.setdiff1d(played, query.exclude).tolist())
        assert answered > 10

    def test_in_blocks_as_in_one_piece(self, training, monkeypatch):
        whole = make("ease", training).fit(training).state()["weights"]
        monkeypatch.setattr(ease_weights, "BLOCK_ROWS", 7)
        np.testing.assert_allclose(make("ease", training).fit(training).state()["weights"], whole, rtol=1e-6)

    @pytest.mark.usefixtures("listening")
    def test_with_little_memory_the_most_played_songs_take_part_and_it_says_so_once(self, training, capsys):
        ease._say_once.cache_clear()
        counts = (training_matrix(training) > 0).sum(axis=0)
        room = 20
        few = {"memory_gb": (room + 0.5) ** 2 * ease.BYTES_PER_PAIR / 1e9}
        sources = [make("ease", training, regularization=lam, **few).fit(training) for lam in (1.0, 10.0)]
        said = capsys.readouterr().err
        assert said.count("ease: the 20 most played of 48 songs take part") == 1
        assert "memory_gb" in said
        state = sources[0].state()
        assert len(state["songs"]) == room
        assert int(state["left_out"]) == np.count_nonzero(counts) - room
        assert counts[state["songs"]].min() >= np.sort(counts)[-room]
        queries = many_queries(training)
        answer = sources[0].candidates(queries, 60)
        assert np.isin(answer.tracks, state["songs"]).all()
        assert len(answer.tracks)
        without = [
            Query(history=np.setdiff1d(np.arange(60), state["songs"]).astype(np.int32)),
            Query(history=state["songs"][:3]),
        ]
        assert [len(tracks) > 0 for tracks, _ in sources[0].candidates(without, 5)] == [False, True]
        for query, (tracks, _) in zip(queries, answer, strict=True):
            assert all(why is None or why in state["songs"] for why in sources[0].votes(query, tracks).best())
        assert sources[0].votes(queries[3], np.arange(60, dtype=np.int32)).best().count(None) >= 40

    def test_where_all_fit_it_says_nothing(self, training, capsys):
        ease._say_once.cache_clear()
        assert int(make("ease", training).fit(training).state()["left_out"]) == 0
        assert capsys.readouterr().err == ""

    def test_the_inverse_takes_no_second_matrix(self):
        gram = np.random.default_rng(0).random((30, 30))
        gram = gram @ gram.T
        kept = gram.copy()
        inverse = ease_weights.invert(gram, 0.1)
        assert np.shares_memory(inverse, gram)
        np.testing.assert_allclose(inverse, np.linalg.inv(kept + 0.1 * np.eye(30)), rtol=1e-6, atol=1e-9)

    def test_a_lambda_lost_in_rounding_is_refused(self):
        with pytest.raises(UserError, match="Take a larger one"):
            ease_weights.invert(np.full((50, 50), 1e12), 1e-9)


class TestLmf:
    def test_factors_are_those_of_implicit(self, training):
        state = make("lmf", training, factors=8, alpha=2.0, iterations=5).fit(training).state()
        model = LogisticMatrixFactorization(8, iterations=5, num_threads=1, random_state=20260101)
        model.fit(interactions(training) * 2, show_progress=False)
        np.testing.assert_array_equal(state["items"], model.item_factors)
        np.testing.assert_array_equal(state["users"], model.user_factors[: len(training.user_ids)])

    def test_scores_the_mean_of_the_history_and_the_bias(self, fitted):
        source = fitted("lmf")
        items = source.state()["items"].astype(np.float64)
        queries = [Query(history=np.array([3, 3, 7], np.int32)), Query(history=np.array([20], np.int32))]
        for query, (tracks, scores) in zip(queries, source.candidates(queries, 60), strict=True):
            weights = history_weights(query, 60, 20.0)
            mean = weights @ items / weights.sum()
            expected = items[:, :-2] @ mean[:-2] + items[:, -2] + mean[-1]
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-5)

    def test_scores_a_known_listener_by_probability(self, training):
        source = make("lmf", training, history=False).fit(training)
        played = training_matrix(training) > 0
        state = source.state()
        logits = state["users"].astype(np.float64) @ state["items"].T
        probability = 1 / (1 + np.exp(-logits))
        known = played.any(axis=0)
        for user in range(len(training.user_ids)):
            tracks, scores = source.candidates([Query(user=user)], 60)[0]
            np.testing.assert_allclose(scores, logits[user, tracks], rtol=1e-4, atol=1e-4)
            assert set(tracks.tolist()) == set(np.flatnonzero(known).tolist())
        # What listeners play is what the model holds likely: a pair of played and not played is in the right order.
        mine, other = probability[:, known][played[:40][:, known]], probability[:, known][~played[:40][:, known]]
        assert np.mean(mine[:, None] > other[None]) > 0.95


class TestRepeat:
    @pytest.mark.parametrize("half_life", [3.0, 20.0, None])
    def test_counts_the_whole_row_of_plays_once_wherever_the_history_begins(self, training, half_life):
        """Ask as of some play before, at and after the end of training; the history holds the last 10 plays."""
        listens = training.listens.with_columns(EVIDENCE.alias("evidence"))
        source = make("repeat", training, half_life=half_life).fit(training)
        rng = np.random.default_rng(4)
        for user in range(0, len(training.user_ids), 3):
            plays = listens.filter(user=user)
            later = rng.integers(60, size=15)
            row = np.concatenate([plays["track"].to_numpy(), later]).astype(np.int32)
            evidence = np.concatenate([plays["evidence"].to_numpy(), np.ones(15)]).astype(np.float32)
            for asked in (plays.height, plays.height + 4, plays.height + 15):
                expected = np.zeros(60)
                for place in range(asked):
                    age = asked - 1 - place
                    expected[row[place]] += evidence[place] * (1 if half_life is None else 0.5 ** (age / half_life))
                history = slice(max(asked - 10, 0), asked)
                query = Query(history=row[history], evidence=evidence[history], user=user)
                tracks, scores = source.candidates([query], 60)[0]
                if asked <= plays.height + 10:  # else plays lie between training and the history, unknown to both
                    np.testing.assert_allclose(scores, expected[tracks], rtol=1e-4, atol=1e-6)
                    assert set(tracks.tolist()) == set(np.flatnonzero(expected > 1e-6).tolist())

    def test_an_unknown_listener_is_known_by_the_history_alone(self, fitted, training):
        for query in (query for query in many_queries(training) if query.user is None):
            tracks, scores = fitted("repeat").candidates([query], 60)[0]
            expected = history_weights(query, 60, None)
            expected[query.exclude] = 0
            assert set(tracks.tolist()) == set(np.flatnonzero(expected > 0).tolist())
            np.testing.assert_allclose(scores, expected[tracks], rtol=1e-5)

    def test_a_listener_of_the_training_part_needs_no_history(self, fitted, training):
        fan = training.user_ids.rows["fan-of-swing-2"]
        tracks, _ = fitted("repeat").candidates([Query(user=fan)], 60)[0]
        played = training.listens.filter(user=fan)["track"].unique().to_list()
        assert set(tracks.tolist()) <= set(played)
        assert block_of(training, tracks[:5]) == ["swing"] * 5

    def test_where_heard_songs_are_excluded_it_answers_nothing(self, fitted, training):
        heard = songs(training, "swing-00", "metal-00")
        fan = training.user_ids.rows["fan-of-swing-2"]
        played = training.listens.filter(user=fan)["track"].unique().sort().to_numpy()
        queries = [Query(history=heard, exclude=heard), Query(history=played, user=fan, exclude=played)]
        assert len(fitted("repeat").candidates(queries, 10).tracks) == 0

    def test_remembers_the_latest_plays(self, training):
        fan = training.user_ids.rows["fan-of-swing-2"]
        latest = training.listens.filter(user=fan).tail(3)
        source = make("repeat", training, remembered=3).fit(training)
        assert len(source.state()["played"]) == 3 * training.listens["user"].n_unique()
        tracks, _ = source.candidates([Query(user=fan)], 60)[0]
        assert set(tracks.tolist()) <= set(latest["track"].to_list())
        assert len(tracks)

    @given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), max_size=8))
    def test_the_overlap_is_the_longest_there_is(self, before, after):
        shared = [n for n in range(min(len(before), len(after)) + 1) if before[len(before) - n :] == after[:n]]
        assert _overlap(np.array(before, np.int32), np.array(after, np.int32)) == max(shared)
