"""Every method answers k songs to everybody, and says in a line what is wrong with an argument that means nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.dataset import Dataset
from data.errors import UserError
from data.ids import IdMap
from recsys.listeners import Listeners
from recsys.live.plays import DISLIKED
from recsys.recommend import songs_of
from recsys.recommender import Recommender
from recsys.wishes import Wishes


def ids(found: list[Any]) -> list[str]:
    return [song.track_id for song in found]


class TestFloor:
    @pytest.mark.parametrize("evidence", [-1.0, -0.5, 0.0])
    def test_who_only_disliked_skipped_or_broke_off_gets_songs_alone_and_in_a_batch(
        self, recommender: Recommender, user: str, evidence: float
    ) -> None:
        recommender._listeners._evidence = np.full_like(recommender._listeners._evidence, evidence)
        found = recommender.recommend(user, 10)
        assert len(set(ids(found))) == 10
        frame = recommender.recommend([user, "a stranger"], 10)
        assert frame.group_by("user_id").len()["len"].to_list() == [10, 10]

    def test_as_many_as_are_asked_for_up_to_what_is_left(self, recommender: Recommender, user: str) -> None:
        row = recommender.dataset.user_ids.rows[user]
        heard = set(recommender.dataset.listens.filter(user=row)["track"].to_list())
        names = recommender.dataset.track_ids.names
        found = recommender.recommend(user, 10 * len(names))
        assert len(found) == len(set(ids(found)))
        assert not {names[track] for track in heard} & set(ids(found))
        recordings = recommender._groups.recordings
        left = {int(recordings[track]) for track in range(len(names)) if track not in heard} - {
            int(recordings[track]) for track in heard
        }
        assert len({int(recordings[recommender.dataset.track_ids.rows[name]]) for name in ids(found)}) == len(left)

    def test_an_empty_session_and_a_title_that_says_nothing(self, recommender: Recommender) -> None:
        assert len(recommender.next_song([], 12)) == 12
        assert len(recommender.continue_playlist([], title="qwertyuiop", k=12)) == 12

    def test_a_long_playlist(self, recommender: Recommender) -> None:
        given = recommender.dataset.track_ids.names[:3]
        found = recommender.continue_playlist(given, k=40)
        assert len(found) == 40
        assert not set(given) & set(ids(found))


def test_a_disliked_song_is_never_answered_however_often_it_was_played(recommender: Recommender, user: str) -> None:
    favourite = recommender.recommend(user, 1, heard=True)[0].track_id
    row, track = recommender.dataset.user_ids.rows[user], recommender.dataset.track_ids.rows[favourite]
    listens = recommender.dataset.listens
    first = (
        listens.filter(user=row)
        .head(1)
        .with_columns(track=pl.lit(track, pl.Int32), feedback=pl.lit("dislike"), played_ratio=pl.lit(None, pl.Float32))
    )
    dataset = replace(recommender.dataset, listens=pl.concat([listens, first]).sort("user", maintain_order=True))
    changed = Recommender(dataset, recommender.models)
    assert favourite not in ids(changed.recommend(user, 60, heard=True))
    assert favourite not in changed.recommend([user], 60, heard=True)["track_id"].to_list()


def test_the_last_word_counts(publish: Callable[..., Dataset]) -> None:
    rows = [("u", "a", "dislike"), ("u", "b", "like"), ("u", "a", "like"), ("u", "b", "dislike"), ("v", "c", "skip")]
    listens = pl.DataFrame(rows, ["user_id", "track_id", "feedback"], orient="row").with_row_index("position")
    dataset = publish(listens=listens)
    who = Listeners(dataset)
    disliked = {user: dataset.track_ids.to_names(who.query(user, Wishes()).disliked) for user in ("u", "v")}
    assert disliked == {"u": ["b"], "v": []}


@pytest.mark.parametrize("k", [0, -1, 2.5, None, "3", True])
def test_how_many_is_a_whole_number_from_one_on(recommender: Recommender, user: str, k: Any) -> None:
    track = recommender.dataset.track_ids.names[0]
    asked: list[Callable[[], object]] = [
        lambda: recommender.recommend(user, k=k),
        lambda: recommender.recommend("a stranger", k=k),
        lambda: recommender.recommend([user], k=k),
        lambda: recommender.continue_playlist([track], k=k),
        lambda: recommender.next_song([track], k=k),
        lambda: recommender.similar(track, k=k),
        lambda: recommender.search("calm", k=k),
        lambda: recommender.popular_and_fresh(k),
    ]
    for ask in asked:
        with pytest.raises(UserError, match="k is"):
            ask()


def test_numpys_numbers_are_numbers(recommender: Recommender, user: str) -> None:
    assert len(recommender.recommend(user, np.int64(3))) == 3
    with pytest.raises(UserError, match="per_artist is -1"):
        recommender.recommend(user, 3, per_artist=-1)
    assert len(recommender.recommend(user, 3, per_artist=np.int64(0))) == 3


def test_ids_are_texts(recommender: Recommender) -> None:
    wrong: list[Callable[[], object]] = [
        lambda: recommender.recommend(17),  # type: ignore[call-overload]
        lambda: recommender.recommend([17]),  # type: ignore[list-item]
        lambda: recommender.search(None),  # type: ignore[arg-type]
        lambda: recommender.similar(3),  # type: ignore[arg-type]
        lambda: recommender.next_song(5),  # type: ignore[arg-type]
    ]
    for ask in wrong:
        with pytest.raises(UserError, match="of type"):
            ask()


def test_one_id_alone_is_a_list_of_it(recommender: Recommender) -> None:
    track = recommender.dataset.track_ids.names[0]
    assert ids(recommender.next_song(track, 5)) == ids(recommender.next_song([track], 5))


def test_blanks_and_the_form_of_accents_make_no_other_id() -> None:
    known = IdMap(("Zoë", "b", "b "))
    assert known.to_rows([" Zoe\u0308 ", "b", "b "]).tolist() == [0, 1, 2]
    assert known.find(" b") is None


def test_songs_with_commas_in_their_names_can_be_listed() -> None:
    class Known:
        track_ids = IdMap(("a,b", "c", "x"))
        tracks = pl.DataFrame({"title": ["One", "Two, too", None]})

    known: Any = Known()
    assert songs_of(known, "a,b,c") == ["a,b", "c"]
    assert songs_of(known, "two, TOO, x,one") == ["c", "x", "a,b"]
    with pytest.raises(UserError, match="nowhere"):
        songs_of(known, "c, nowhere")


class TestDislikes:
    """Who disliked songs of one kind, and liked songs of another or none at all."""

    def disliking(self, recommender: Recommender, user: str, songs: list[int]) -> Recommender:
        """The same world, in which the listener has said so of the songs, long ago."""
        row = recommender.dataset.user_ids.rows[user]
        listens = recommender.dataset.listens
        said = listens.filter(user=row).head(1).drop("track", "feedback", "played_ratio")
        said = said.join(pl.DataFrame({"track": songs}, {"track": pl.Int32}), how="cross").with_columns(
            feedback=pl.lit("dislike"), played_ratio=pl.lit(0.1, pl.Float32)
        )
        told = pl.concat([said.select(listens.columns), listens]).sort("user", maintain_order=True)
        return Recommender(replace(recommender.dataset, listens=told), recommender.models, recommender.words)

    def test_what_resembles_a_dislike_stands_behind_all_others(self, recommender: Recommender) -> None:
        dataset, pushed = recommender.dataset, 0
        for user in dataset.user_ids.names[:6]:
            first = recommender.recommend(user, 20)[0].track_id
            near = recommender._htcl.nearest(dataset.track_ids.to_rows([first]), 4)[0][0]
            never = [int(track) for track in near if dataset.track_ids.names[track] != first]
            changed = self.disliking(recommender, user, never)
            query = changed._listeners.query(user, Wishes())
            resembling = changed._dislikes.resembling(query.disliked, query.liked)
            found = changed.recommend(user, len(dataset.track_ids))
            assert not set(dataset.track_ids.to_names(query.disliked)) & set(ids(found))
            places = resembling[dataset.track_ids.to_rows(ids(found))]
            assert (np.diff(places.astype(int)) >= 0).all()
            pushed += places.sum()
        assert pushed

    def test_who_only_dislikes_gets_what_resembles_it_last(self, recommender: Recommender) -> None:
        dataset, user = recommender.dataset, recommender.dataset.user_ids.names[0]
        disliked = next(song for song in recommender.popular_and_fresh(30) if song.artist)
        changed = self.disliking(recommender, user, [dataset.track_ids.rows[disliked.track_id]])
        changed._listeners._played[:] = dataset.track_ids.rows[disliked.track_id]
        changed._listeners._evidence[:] = -1.0
        changed._listeners._wanted[:] = False
        changed._listeners._said[:] = DISLIKED
        found = changed.recommend(user, 15)
        assert len(found) == 15
        assert disliked.artist not in {song.artist for song in found}
