"""One contract for every candidate source."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.candidates import SOURCES, CandidateSource
from recsys.queries import Query
from tests.recsys.candidates.source_toys import BLOCKS, assert_same, block_of, make, many_queries, songs

NAMES = (*SOURCES, "htcl", "htcl-imputed")
TASTELESS = ("random", "popularity")
"They do not look at the history."
NOTHING_NEW = ("repeat",)
"They answer songs of the history, and no others."
CONTENT = ("same-artist", "features", "tfidf", "centroid", "content-ridge")
COLLABORATIVE = tuple(name for name in SOURCES if name not in ("random", "repeat", *CONTENT))


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return str(request.param)


@pytest.fixture
def source(name, fitted) -> CandidateSource:
    return fitted(name)


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

    @pytest.mark.parametrize("name", [name for name in NAMES if name not in (*TASTELESS, *NOTHING_NEW)])
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

    def test_where_few_songs_are_allowed_they_are_ranked_as_among_all(self, source, training):
        allowed = np.arange(len(training.track_ids)) % 7 == 3
        queries = many_queries(training)
        narrow = source.candidates([replace(query, allowed=allowed) for query in queries], 5)
        for (tracks, _), (among_all, _) in zip(narrow, source.candidates(queries, len(allowed)), strict=True):
            assert tracks.tolist() == [track for track in among_all.tolist() if allowed[track]][:5]

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
            reasons = source.votes(query, tracks).best()
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
    for name in ("item-knn", "rp3beta", "ease", "same-artist", "features", "tfidf", "centroid", "htcl"):
        assert fitted(name).votes(query, asked).best() == [swing, metal]
