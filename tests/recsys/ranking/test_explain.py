"""Explanations are the fusion's own numbers: the source named first really counted most."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset, load_dataset, save_dataset
from data.storage.workspace import Workspace
from data.tables import Imported
from recsys.candidates import REASONS
from recsys.candidates.votes import Votes
from recsys.listeners import Listeners
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.explain import Again, Explanation, explain
from recsys.ranking.fusion import PARTS, FusionSettings, Method, Proposals
from recsys.ranking.reasons import Known, reason_in_words
from recsys.recommender import Recommender

TRACKS, QUERIES = 30, 7
WEIGHTS = {"item-knn": 1.0, "popularity": 0.5, "htcl-stage2": 2.0}


def rankings(rng: np.random.Generator) -> dict[str, Ranked]:
    """Each source proposes between 0 and 12 songs to each query."""
    found = {}
    for name in WEIGHTS:
        rows = []
        for _ in range(QUERIES):
            tracks = rng.permutation(TRACKS)[: rng.integers(0, 13)].astype(np.int32)
            rows.append((tracks, np.sort(rng.random(len(tracks)))[::-1].astype(np.float32)))
        found[name] = Ranked.from_rows(rows)
    return found


def after(*songs: int) -> Query:
    """A query whose history is these songs."""
    return Query(history=np.array(songs, np.int32))


class Naming:
    """A source that names song 0 for even songs and none for the others."""

    def votes(self, query: Query, tracks: np.ndarray) -> Votes:
        return Votes.for_pairs(((at, 0) for at, track in enumerate(tracks) if track % 2 == 0), len(tracks))


@pytest.mark.parametrize("method", ["scores", "reciprocal-rank"])
@pytest.mark.parametrize("seed", range(5))
def test_sources_stand_by_what_each_added_to_the_score(method: Method, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, unplayed = rankings(rng), rng.random(TRACKS) < 0.3
    settings = FusionSettings(method=method, weights=WEIGHTS, unplayed_weights={"item-knn": 0.0, "popularity": 3.0})
    proposals = Proposals.gather(found, method, unplayed)
    fused = proposals.ranked(settings, 10)
    explained = explain(
        [after(0)] * QUERIES,
        fused,
        proposals,
        settings,
        {name: Naming() for name in WEIGHTS},
    )
    for row in range(QUERIES):
        tracks, scores = fused[row]
        for track, score, explanation in zip(tracks, scores, explained[row], strict=True):
            # By hand: the value of the song in each source's list times the weight for its kind of song.
            parts = {}
            for name, ranked in found.items():
                values = PARTS[method](ranked)[ranked.offsets[row] : ranked.offsets[row + 1]]
                weight = settings.weights_of(bool(unplayed[track]))[name]
                parts[name] = float(sum(weight * v for t, v in zip(ranked[row][0], values, strict=True) if t == track))
            assert sum(parts.values()) == pytest.approx(score, rel=1e-5)
            expected = sorted((name for name in parts if parts[name] > 0), key=lambda name: -parts[name])
            assert list(explanation.sources) == expected
            assert explanation.shares == pytest.approx([parts[name] / sum(parts.values()) for name in expected])
            assert explanation.because == (0 if track % 2 == 0 else None)
            assert explanation.by == (expected[0] if track % 2 == 0 else None)


class Voting:
    """A source for which songs 7, 8 and 9 of the history speak, the last one of them a fifth as loud."""

    def votes(self, query: Query, tracks: np.ndarray) -> Votes:
        given = np.tile(np.array([[1.0], [0.9], [0.2]], np.float32), len(tracks))
        return Votes(np.array([7, 8, 9], np.int32), given)


def named_for(tracks: list[int], again: Again | None = None) -> list[int | None]:
    """The songs that are named for a list which `Voting` alone proposes, in this order."""
    scores = np.arange(len(tracks), 0, -1).astype(np.float32)
    settings = FusionSettings(weights={"voting": 1.0})
    found = {"voting": Ranked.from_rows([(np.array(tracks, np.int32), scores)])}
    proposals = Proposals.gather(found, settings.method, np.zeros(10, np.bool_))
    ranked = proposals.ranked(settings, len(tracks))
    before = [np.array([*tracks, 5], np.int32)]
    explained = explain([after(7, 8, 9)], ranked, proposals, settings, {"voting": Voting()}, again, before)
    return [song.because for song in explained[0]]


def test_songs_that_speak_nearly_alike_are_named_in_turn() -> None:
    assert named_for([0, 1, 2, 3, 4]) == [7, 8, 7, 8, 7]


@pytest.mark.parametrize(("needed", "named"), [({7}, 7), ({8}, 8), ({7, 8}, 7), (set(), None)])
def test_a_song_is_named_where_the_list_is_another_without_it(needed: set[int], named: int | None) -> None:
    asked: list[list[int]] = []

    def again(rows: Sequence[int], queries: Sequence[Query]) -> list[np.ndarray]:
        asked.extend(query.history.tolist() for query in queries)
        assert list(rows) == [0] * len(queries)
        moved = [needed - set(query.history.tolist()) for query in queries]
        return [np.array([5, 0] if lost else [0, 5], np.int32) for lost in moved]

    assert named_for([0], again) == [named]
    assert asked == [[8, 9], [7, 9]]  # the ninth gives too little to be tried


def test_a_query_without_a_song_keeps_what_belongs_to_the_other_plays() -> None:
    three = np.array([3, 4, 3], np.int32)
    query = Query(three, np.array([1, 2, 3], np.float32), np.array([9, 8, 7], np.float32), exclude=three[:2])
    left = query.never_played(3)
    assert (left.history.tolist(), left.evidence, left.ages_days, left.exclude) == ([4], [2], [8], [4])
    assert replace(query, disliked=three[:1]).never_played(3).exclude.tolist() == [3, 4]
    assert after(1, 2).never_played(1).evidence is None


def test_leaving_out_the_song_that_is_named_puts_the_recommended_one_farther_down(recommender: Recommender) -> None:
    dataset, listeners = recommender.dataset, recommender._listeners
    everything, farther, songs = len(dataset.track_ids), [], 0
    for user in dataset.user_ids.names[:12]:
        row = dataset.user_ids.rows[user]
        found = recommender.recommend(user, 20)
        songs += len(found)
        for place, song in enumerate(found):
            if song.because is None:
                continue
            left_out = (pl.col("user") == row) & (pl.col("track") == dataset.track_ids.rows[song.because])
            recommender._listeners = Listeners(replace(dataset, listens=dataset.listens.filter(~left_out)))
            without = [other.track_id for other in recommender.recommend(user, everything, explain=False)]
            farther.append(without.index(song.track_id) > place)
            recommender._listeners = listeners
    assert len(farther) > songs / 2
    assert np.mean(farther) >= 0.9


def test_a_song_that_speaks_for_itself_is_named() -> None:
    assert named_for([7, 9]) == [7, 8]


def test_a_song_nobody_can_name_a_reason_for_has_sources_all_the_same() -> None:
    assert Explanation(("popularity",)).because is None


def test_no_listener_is_spoken_of_where_songs_alone_are_given() -> None:
    for source, reason in REASONS.items():
        assert "you" not in reason.words(about_songs=True).split(), source


class TestReasons:
    @pytest.fixture(scope="class")
    def dataset(self, tmp_path_factory) -> Dataset:
        tracks = pl.DataFrame(
            {
                "track_id": ["a", "b", "c", "d"],
                "title": ["One", "Two", "Slow River", "Wild River"],
                "artist": ["X", None, "Y", "y"],
                "genres": [["folk"], None, ["folk", "calm"], None],
                "audio_path": ["a.flac", "b.flac", "c.flac", None],
            }
        )
        workspace = Workspace(tmp_path_factory.mktemp("songs"))
        save_dataset(workspace, Imported({"tracks": tracks}), {"importer": "test"})
        return load_dataset(workspace)

    @pytest.mark.parametrize(
        ("explanation", "question", "known", "words"),
        [
            (Explanation(("item-knn", "ials"), 0, "item-knn"), "listener", Known(), "played with One by X"),
            # The largest part cannot name a song; the one that names it says in what way.
            (Explanation(("ials", "sequential-rules"), 0, "sequential-rules"), "listener", Known(),
             "listeners like you play it; played after One by X"),
            (Explanation(("ials", "sequential-rules"), 0, "sequential-rules"), "songs", Known(),
             "listeners of these songs play it; played after One by X"),
            (Explanation(("item-knn", "same-artist"), 0, "same-artist"), "listener", Known(),
             "by the artist of One by X"),
            (Explanation(("item-knn",), 1, "item-knn"), "listener", Known(9, 1), "you played it lately"),
            (Explanation(("item-knn",), 1, "item-knn"), "listener", Known(9, 1, 1.5), "you played it yesterday"),
            (Explanation(("item-knn",), 1, "item-knn"), "listener", Known(9, 4, 0.5),
             "4 of your last 9 plays, the latest today"),
            (Explanation(("item-knn",), 0, "item-knn"), "listener", Known(9, 4), "4 of your last 9 plays"),
            (Explanation(("item-knn",), 0, "item-knn"), "listener", Known(9, 1, 40),
             "you played it 40 days ago; played with One by X"),
            (Explanation(("item-knn",), 1, "item-knn"), "listener", Known(), "you have played it"),
            (Explanation(("item-knn",), 1, "item-knn"), "songs", Known(3, 1, 0), "it is among these songs"),
            (Explanation(("popularity",)), "songs", Known(), "popular"),
            (Explanation(("popularity", "item-knn"), 0, "item-knn"), "songs", Known(), "popular; played with One by X"),
            # Songs of which none alone stands behind the recommendation.
            (Explanation(("item-knn",), None, "item-knn", most=(0, 2)), "listener", Known(),
             "played with One and Slow River"),
            (Explanation(("item-knn",), None, "item-knn", most=(0,)), "listener", Known(), "played with One by X"),
            (Explanation(("htcl-imputed",), 0, "htcl-imputed"), "listener", Known(), "played with One by X"),
            (Explanation(("htcl-imputed",), 0, "htcl-imputed", of_likes=True), "listener", Known(),
             "resembles songs played with One by X"),
            (Explanation(("htcl-imputed",), 0, "htcl-imputed", of_likes=True), "songs", Known(unplayed=True),
             "nobody has played it yet; resembles songs played with One by X"),
            (Explanation(("htcl-stage2",), 0, "htcl-stage2"), "songs", Known(), "sounds much like One by X"),
            (Explanation(("htcl-stage2",), 2, "htcl-stage2"), "songs", Known(), "sounds like Slow River by Y"),
            (Explanation(("htcl-stage2",), 3, "htcl-stage2"), "songs", Known(), "reads a little like Wild River by y"),
            (Explanation(("htcl-stage2",)), "songs", Known(titled=True), "fits the title"),
            (Explanation(("htcl-stage2",)), "songs", Known(), "fits these songs"),
            (Explanation(("htcl-stage2",)), "listener", Known(), "fits what you play"),
        ],
    )  # fmt: skip
    def test_words_say_what_counted(self, dataset, explanation, question, known, words) -> None:
        how_near = {(1, 0): "much ", (1, 2): "", (1, 3): "a little "}
        assert reason_in_words(dataset, 1, explanation, question, known, lambda *two: how_near[two]) == words

    @pytest.mark.parametrize(
        ("because", "source", "known", "words"),
        [
            (0, "item-knn", Known(), "played with One by X (folk)"),
            (0, "item-knn", Known(9, by_artist=2), "played with One by X (folk)"),
            (0, "item-knn", Known(9, by_artist=3), "you play Y (3 of your last 9 plays); played with One by X (folk)"),
            (3, "item-knn", Known(9, by_artist=1), 'also by Y; played with Wild River ("river" in both titles)'),
            (3, "same-artist", Known(9, by_artist=1), 'also by Y; like Wild River ("river" in both titles)'),
            (None, None, Known(9, by_artist=2), "you play Y (2 of your last 9 plays)"),
        ],
    )
    def test_words_name_what_the_two_songs_share(self, dataset, because, source, known, words) -> None:
        explanation = Explanation(("item-knn", "same-artist"), because, source)
        assert reason_in_words(dataset, 2, explanation, "listener", known) == words

    def test_an_artist_who_is_played_often_says_more_than_several_songs(self, dataset) -> None:
        several = Explanation(("item-knn",), None, "item-knn", most=(0, 1))
        told = [reason_in_words(dataset, 2, several, "songs", Known(9, by_artist=plays)) for plays in (0, 2, 3)]
        assert told == ["played with One and Two", "by Y like 2 of these songs; played with One and Two",
                        "by Y like 3 of these songs"]  # fmt: skip

    def test_a_long_title_is_cut(self, dataset) -> None:
        titles = pl.Series(["Eleven more, " * 4, "Two", "x" * 40, None])
        long = replace(dataset, tracks=dataset.tracks.with_columns(title=titles))
        several = Explanation(("item-knn",), None, "item-knn", most=(0, 2))
        cut = "Eleven more, Eleven more, Eleven more…"
        assert reason_in_words(long, 1, several, "songs") == f"played with {cut} and {'x' * 40}"
        assert reason_in_words(long, 1, Explanation(("ease",), 3, "ease"), "songs") == "played with d by y"


def test_what_a_query_knows_of_a_song() -> None:
    artists, played = np.array([4, 4, -1, 5]), np.array([True, True, True, False])
    query = Query(np.array([0, 1, 2, 0, 2], np.int32), ages_days=np.array([9, 8, 7, 6, 5], np.float32), text="x")
    assert Known.of(query, 0, artists, played) == Known(5, 2, 6.0, by_artist=3, titled=True)
    assert Known.of(query, 2, artists, played) == Known(5, 2, 5.0, by_artist=0, titled=True)
    assert Known.of(after(0), 3, artists, played) == Known(1, unplayed=True)
    assert Known.of(after(0, 1), 1, artists, played) == Known(2, 1, None, by_artist=2)


class Lending:
    """A source for which song 7 speaks for song 0 itself, and for what is like song 1."""

    def votes(self, query: Query, tracks: np.ndarray) -> Votes:
        return Votes(np.array([7], np.int32), np.ones((1, len(tracks)), np.float32), tracks[None] == 1)


@pytest.mark.parametrize("named", [True, False])
def test_who_speaks_for_songs_like_the_recommended_one_is_told_apart(named: bool) -> None:
    found = {"lending": Ranked.from_rows([(np.array([0, 1], np.int32), np.array([2, 1], np.float32))])}
    settings = FusionSettings(weights={"lending": 1.0})
    proposals = Proposals.gather(found, settings.method, np.zeros(10, np.bool_))

    def again(rows: Sequence[int], queries: Sequence[Query]) -> list[np.ndarray]:
        return [np.array([5, 0, 1] if named else [0, 1], np.int32) for _ in queries]

    ranked, before = proposals.ranked(settings, 2), [np.array([0, 1], np.int32)]
    explained = explain([after(7)], ranked, proposals, settings, {"lending": Lending()}, again, before)[0]
    assert [each.of_likes for each in explained] == [False, True]
    assert [each.because for each in explained] == [7 if named else None] * 2
    assert [each.most for each in explained] == [() if named else (7,)] * 2


def test_the_only_song_given_is_named(recommender: Recommender) -> None:
    given = recommender.dataset.track_ids.names[0]
    found = [song for song in recommender.next_song([given], 10) if song.reason not in ("new", "popular")]
    assert found
    assert {song.because for song in found} == {given}
