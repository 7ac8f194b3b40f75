"""The front door, on a small workspace that build_index has finished."""

from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest

from data.errors import UnknownIdError, UserError
from recsys.fitted.store import FittedSources
from recsys.ranked import Ranked
from recsys.ranking.cold_listener import FRESH_EVERY
from recsys.ranking.fusion import FusionSettings
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender
from recsys.wishes import Wishes

NEWCOMER = "nobody has heard of me"


@pytest.fixture(scope="module")
def recommender(built) -> Recommender:
    return Recommender.load(built)


@pytest.fixture(scope="module")
def listeners(recommender) -> list[str]:
    return list(recommender.dataset.user_ids.names[:6])


def ids(found: list[Recommendation]) -> list[str]:
    return [song.track_id for song in found]


def heard_by(recommender: Recommender, user: str) -> set[str]:
    row = recommender.dataset.user_ids.rows[user]
    rows = recommender.dataset.listens.filter(user=row)["track"]
    return set(recommender.dataset.track_ids.to_names(rows))


def artist_of(recommender: Recommender, track: str) -> str | None:
    return recommender.dataset.tracks.row(by_predicate=pl.col("track_id") == track, named=True)["artist"]


def assert_sound(found: list[Recommendation], recommender: Recommender, k: int) -> None:
    assert len(found) <= k
    assert len(set(ids(found))) == len(found)
    for song in found:
        assert isinstance(song, Recommendation)
        row = recommender.dataset.tracks.row(by_predicate=pl.col("track_id") == song.track_id, named=True)
        assert (song.title, song.artist) == (row["title"], row["artist"])
        assert np.isfinite(song.score)
        assert song.sources
        assert song.because is None or song.because in recommender.dataset.track_ids


class TestRecommend:
    def test_one_listener_gets_songs_best_first(self, recommender, listeners):
        for user in listeners:
            found = recommender.recommend(user, 8, heard=True)
            assert len(found) == 8
            assert_sound(found, recommender, 8)
            scores = [song.score for song in found]
            assert scores == sorted(scores, reverse=True)

    def test_heard_songs_are_left_out_unless_wanted(self, recommender, listeners):
        everything = len(recommender.dataset.track_ids)
        for user in listeners:
            heard = heard_by(recommender, user)
            assert not heard & set(ids(recommender.recommend(user, everything)))
            assert heard & set(ids(recommender.recommend(user, everything, heard=True)))

    def test_many_listeners_get_one_frame_that_says_the_same(self, recommender, listeners):
        asked = [*listeners, NEWCOMER]
        frame = recommender.recommend(asked, 5, explain=True)
        assert isinstance(frame, pl.DataFrame)
        assert frame.columns == ["user_id", "rank", *(field.name for field in fields(Recommendation))]
        assert frame["user_id"].unique(maintain_order=True).to_list() == asked
        for user in asked:
            alone = recommender.recommend(user, 5)
            rows = frame.filter(user_id=user)
            assert rows["rank"].to_list() == list(range(1, len(alone) + 1))
            assert rows["track_id"].to_list() == ids(alone)
            assert rows["sources"].to_list() == [list(song.sources) for song in alone]
            assert all(sum(shares) == pytest.approx(1) for shares in rows["shares"] if len(shares))
            np.testing.assert_allclose(rows["score"], [song.score for song in alone], rtol=1e-4)

    def test_without_explanations_the_songs_are_the_same(self, recommender, listeners):
        unexplained = {"reason": "", "sources": (), "shares": (), "because": None}
        for user in [*listeners, NEWCOMER]:
            found = recommender.recommend(user, 8, explain=False)
            assert found == [replace(song, **unexplained) for song in recommender.recommend(user, 8)]
        frame = recommender.recommend(listeners, 8)
        assert frame.equals(recommender.recommend(listeners, 8, explain=False))
        explained = recommender.recommend(listeners, 8, explain=True)
        assert frame.drop(*unexplained).equals(explained.drop(*unexplained))
        assert set(frame["reason"]) == {""}

    def test_no_listeners_get_an_empty_frame(self, recommender):
        assert recommender.recommend([], 5).height == 0

    def test_someone_new_gets_what_is_popular_and_fresh(self, recommender):
        found = recommender.recommend(NEWCOMER, 12, per_artist=None)
        assert len(found) == 12
        assert_sound(found, recommender, 12)
        assert {song.sources for song in found} == {("popularity",), ("fresh",)}
        assert all(
            (song.sources == ("fresh",)) == (at % FRESH_EVERY == FRESH_EVERY - 1) for at, song in enumerate(found)
        )
        assert all(song.because is None for song in found)
        fresh = [song.track_id for song in found if song.sources == ("fresh",)]
        release = dict(recommender.dataset.tracks.select("track_id", "release_date").iter_rows())
        others = set(release) - set(ids(found))
        assert all(release[track] >= max(release[other] for other in others) for track in fresh)

    def test_someone_new_can_get_the_whole_catalogue(self, recommender):
        everything = len(recommender.dataset.track_ids)
        assert len(recommender.recommend(NEWCOMER, 10 * everything)) == everything

    @pytest.mark.parametrize("most", [1, 2])
    def test_at_most_so_many_songs_by_one_artist(self, recommender, listeners, most):
        for user in [*listeners, NEWCOMER]:
            found = recommender.recommend(user, 10, heard=True, per_artist=most)
            assert_sound(found, recommender, 10)
            assert len(found) == 10 or most == 1
            artists = [song.artist for song in found if song.artist]
            assert max(artists.count(artist) for artist in artists) <= most

    def test_the_reason_is_a_song_the_listener_played(self, recommender, listeners):
        for user in listeners:
            reasons = {song.because for song in recommender.recommend(user, 20)} - {None}
            assert reasons <= heard_by(recommender, user)

    def test_sources_that_weigh_nothing_are_never_named(self, recommender, listeners):
        chosen, unplayed = recommender.models.choices.fusion["discovery"], recommender.models.unplayed
        for user in listeners:
            for song in recommender.recommend(user, 20):
                if song.reason in ("popular", "new"):  # of the floor, where nothing better was left
                    continue
                weights = chosen.weights_of(unplayed[recommender.dataset.track_ids.rows[song.track_id]])
                assert song.sources
                assert all(weights[source] > 0 for source in song.sources)

    def test_a_recording_that_stands_in_the_catalogue_twice_is_answered_once(self, recommender, listeners, monkeypatch):
        rows = recommender.dataset.track_ids.rows
        twins = np.arange(len(rows), dtype=np.int32) // 2
        monkeypatch.setattr(recommender, "_groups", replace(recommender._groups, recordings=twins))
        track = recommender.dataset.track_ids.names[0]
        answers = [recommender.recommend(user, 8) for user in listeners]
        for found in (*answers, recommender.similar(track, 8), recommender.search("calm", 8)):
            assert found
            assert len({twins[rows[song.track_id]] for song in found}) == len(found)
        for user, found in zip(listeners, answers, strict=True):
            heard = {twins[rows[song]] for song in heard_by(recommender, user)}
            assert not heard & {twins[rows[song.track_id]] for song in found}
        assert len(recommender.similar(track, 8)) == len(recommender.search("calm", 8)) == 8
        assert recommender.dataset.track_ids.names[1] not in ids(recommender.similar(track, 8))

    def test_the_same_question_gets_the_same_answer(self, recommender, built, listeners):
        again = Recommender.load(built)
        assert recommender.recommend(listeners[0], 20) == recommender.recommend(listeners[0], 20)
        assert again.recommend(listeners[0], 20) == recommender.recommend(listeners[0], 20)


class TestPlaylists:
    def test_seeds_are_never_answered(self, recommender):
        seeds = list(recommender.dataset.track_ids.names[:5])
        found = recommender.continue_playlist(seeds, "late night", k=100)
        assert_sound(found, recommender, 100)
        assert found
        assert not set(seeds) & set(ids(found))
        assert {song.because for song in found} - {None} <= set(seeds)

    def test_a_title_alone_is_enough(self, recommender):
        assert_sound(recommender.continue_playlist([], "calm piano", k=10), recommender, 10)

    def test_a_title_gets_as_many_songs_as_are_asked_for_each_once(self, recommender, monkeypatch):
        nobody = Ranked.from_rows([(np.array([3, 5], np.int32), np.array([0.9, 0.8], np.float32))])
        monkeypatch.setattr(FittedSources, "rankings", lambda models, task, queries, settings: {"htcl-stage2": nobody})
        settings = FusionSettings(weights={"htcl-stage2": 1.0})
        monkeypatch.setattr(recommender.models.choices, "title_fusion", settings)
        monkeypatch.setattr(recommender, "search", lambda text, k: Recommender.search(recommender, text, 4))
        found = recommender.continue_playlist([], "calm piano", k=40)
        rows = recommender.dataset.track_ids.to_rows(ids(found))
        recordings = recommender.dataset.recordings[rows]
        assert len(found) == 40
        assert rows[:2].tolist() == [3, 5]
        assert "text" in {source for song in found for source in song.sources}
        assert len(np.unique(recordings[recordings >= 0])) == (recordings >= 0).sum()
        capped = recommender.continue_playlist([], "calm piano", k=40, per_artist=1)
        artists = [song.artist for song in capped if song.artist]
        assert len(set(artists)) == len(artists) == recommender.dataset.tracks["artist"].n_unique()

    def test_neither_songs_nor_title_is_the_users_mistake(self, recommender):
        with pytest.raises(UserError, match="songs or a title"):
            recommender.continue_playlist([])

    def test_per_artist_holds(self, recommender):
        found = recommender.continue_playlist(list(recommender.dataset.track_ids.names[:5]), k=10, per_artist=1)
        artists = [song.artist for song in found if song.artist]
        assert len(set(artists)) == len(artists)


class TestNextSong:
    def test_follows_a_session_without_repeating_it(self, recommender):
        session = list(recommender.dataset.track_ids.names[3:7])
        found = recommender.next_song(session, k=10)
        assert len(found) == 10
        assert_sound(found, recommender, 10)
        assert not set(session) & set(ids(found))

    def test_a_listener_with_the_same_plays_gets_the_same(self, recommender, listeners):
        query = recommender._listeners.query(listeners[0], Wishes())
        played = recommender.dataset.track_ids.to_names(query.history)
        if len(played) < 100 and set(played) == heard_by(recommender, listeners[0]):
            assert len(recommender.next_song(played, k=10)) == len(recommender.recommend(listeners[0], 10))


class TestSimilarAndSearch:
    def test_similar_is_nearest_by_cosine(self, recommender):
        vectors = recommender._htcl.vectors
        names = recommender.dataset.track_ids.names
        row = 7
        cosine = vectors.values.astype(np.float64) @ vectors.values[row].astype(np.float64)
        found = recommender.similar(names[vectors.tracks[row]], k=10, per_artist=None)
        assert_sound(found, recommender, 10)
        assert names[vectors.tracks[row]] not in ids(found)
        expected = np.sort(np.delete(cosine, row))[::-1][:10]
        np.testing.assert_allclose([song.score for song in found], expected, atol=1e-5)
        assert {song.because for song in found} == {names[vectors.tracks[row]]}
        assert {song.sources for song in found} == {("htcl-stage2",)}

    def test_an_artist_is_the_mean_of_their_songs(self, recommender):
        artists, vectors = recommender.dataset.tracks["artist"], recommender._htcl.vectors.values.astype(np.float64)
        artist = artists.drop_nulls().mode()[0]
        own = (artists == artist).fill_null(False).to_numpy()
        mean = vectors[own].mean(axis=0)
        expected = np.sort(vectors[~own] @ (mean / np.linalg.norm(mean)))[::-1][:10]
        found = recommender.similar(f"artist:{artist}", 10, per_artist=None)
        assert artist not in {song.artist for song in found}
        np.testing.assert_allclose([song.score for song in found], expected, atol=1e-5)
        assert {artist_of(recommender, song.because) for song in found} == {artist}

    def test_what_is_like_a_minus_seed_comes_last(self, recommender):
        names = recommender.dataset.track_ids.names
        found = ids(recommender.similar(names[0], 60, per_artist=None))
        against = ids(recommender.similar(names[0], 60, per_artist=None, less_like=[found[1]]))
        assert set(against) == set(found) - {found[1]}
        rows = recommender.dataset.track_ids.to_rows
        resembling = recommender._dislikes.resembling(rows([found[1]]), rows([names[0]]))
        pushed = {name for name in against if resembling[rows([name])[0]]}
        assert pushed
        kept = [name for name in found if name not in pushed and name != found[1]]
        assert against == [*kept, *(name for name in found if name in pushed)]

    def test_more_like_turns_a_list_toward_what_is_named(self, recommender, listeners):
        names = recommender.dataset.track_ids.names
        near = recommender._htcl.near
        for ask in (
            lambda **w: recommender.recommend(listeners[0], 10, **w),
            lambda **w: recommender.recommend(NEWCOMER, 10, **w),
            lambda **w: recommender.next_song(names[:2], 10, **w),
        ):
            seed = next(name for name in names if name not in ids(ask()))
            vector = near.of(recommender.dataset.track_ids.to_rows([seed]))[0]
            found, turned = ids(ask()), ids(ask(more_like=[seed]))
            assert seed not in turned
            before, after = (near.of(recommender.dataset.track_ids.to_rows(songs)) for songs in (found, turned))
            assert (after @ vector).mean() > (before @ vector).mean()

    def test_similar_to_everything_is_everything_else(self, recommender):
        assert len(recommender.similar(recommender.dataset.track_ids.names[0], k=1000)) == 59

    def test_search_ranks_by_the_words(self, recommender):
        found = recommender.search("calm orchestral", k=10)
        assert len(found) == 10
        assert_sound(found, recommender, 10)
        scores = [song.score for song in found]
        assert scores == sorted(scores, reverse=True)
        assert recommender.search("calm orchestral", k=10) == found

    @pytest.mark.parametrize("words", ["", "   "])
    def test_nothing_to_search_for_is_the_users_mistake(self, recommender, words):
        with pytest.raises(UserError, match="nothing to search for"):
            recommender.search(words)


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.similar("no-such-song"),
        lambda r: r.next_song([r.dataset.track_ids.names[0], "no-such-song"]),
        lambda r: r.continue_playlist(["no-such-song"], "title"),
    ],
    ids=["similar", "next_song", "continue_playlist"],
)
def test_an_unknown_song_is_a_lookup_error_that_names_it(recommender, ask):
    with pytest.raises(LookupError, match="no-such-song"):
        ask(recommender)
    with pytest.raises(UnknownIdError, match="60 known"):
        ask(recommender)


def test_answering_changes_nothing_in_the_workspace(built, listeners):
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    recommender = Recommender.load(built)
    recommender.recommend(listeners, 5)
    recommender.search("calm")
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before
