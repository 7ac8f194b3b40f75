"""Wishes: checked in a line each, kept by every method, and the same for one listener and for many."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from data.errors import UnknownIdError, UserError
from data.listening.clock import robust_now
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender
from recsys.wishes import Wishes

MONDAY = date(2026, 11, 30)


def ids(found: list[Recommendation]) -> list[str]:
    return [song.track_id for song in found]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"per_artist": -1}, "per_artist is -1"),
        ({"per_album": True}, "per_album is True"),
        ({"only": []}, "only names no song"),
        ({"released": 1999}, "released is 1999"),
        ({"released": (2001, "1999-05-01")}, "released ends on 1999-05-01"),
        ({"duration": (60, "long")}, "duration is 'long'"),
        ({"duration": (60, 30)}, "duration ends at 30"),
        ({"diversity": 1.5}, "diversity is 1.5"),
        ({"diversity": "much"}, "diversity is 'much'"),
        ({"discovery": -0.1}, "discovery is -0.1"),
        ({"genres": 3}, "genres is 3"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"day": "tomorrow"}, "day is 'tomorrow'"),
        ({"not_again_days": 0}, "not_again_days is 0"),
        ({"not_again_days": 7}, "says nothing here"),
        ({"blocked": 17}, "blocked is 17"),
    ],
)
def test_what_means_nothing_is_said_in_a_line(wish: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Wishes.of(**wish)


def test_a_wish_that_does_not_exist_is_the_programs_mistake() -> None:
    with pytest.raises(TypeError, match="no wish per_composer; there are heard, per_artist"):
        Wishes.of(per_composer=2)  # type: ignore[call-arg]


def test_nothing_and_0_set_no_limit_and_two_songs_by_an_artist_are_usual_but_in_a_search() -> None:
    assert [Wishes.of(per_artist=most).per_artist for most in (None, 0, 3)] == [None, None, 3]
    assert (Wishes.of().per_artist, Wishes.of("search").per_artist) == (2, None)


def test_a_year_is_its_first_and_its_last_day() -> None:
    assert Wishes.of(released=(1999, "2001")).released == (date(1999, 1, 1), date(2001, 12, 31))
    assert Wishes.of(released=(None, "2001-05-06")).released == (None, date(2001, 5, 6))


@pytest.mark.parametrize("day", [MONDAY, "2026-11-30", datetime(2026, 11, 30, 12, tzinfo=UTC)])
def test_a_day_is_a_date_or_its_name(day: Any) -> None:
    assert Wishes.of(day=day) == Wishes(day=MONDAY)


class TestBlocked:
    def test_blocked_songs_are_never_answered_by_any_method(self, recommender: Recommender, user: str) -> None:
        known = recommender.dataset.track_ids.names
        blocked = [*ids(recommender.recommend(user, 5)), *ids(recommender.popular_and_fresh(5)), *known[:5]]
        answers = [
            recommender.recommend(user, 20, blocked=blocked),
            recommender.recommend(user, 20, blocked=blocked, heard=True),
            recommender.recommend("a stranger", 20, blocked=blocked),
            recommender.continue_playlist([known[7]], "calm", 20, blocked=blocked),
            recommender.continue_playlist([], "calm", 20, blocked=blocked),
            recommender.next_song([known[7]], 20, blocked=blocked),
            recommender.next_song([], 20, blocked=blocked),
            recommender.popular_and_fresh(20, blocked=blocked),
        ]
        for found in answers:
            assert len(found) == 20
            assert not set(blocked) & set(ids(found))
        assert not set(blocked) & set(recommender.recommend([user], 20, blocked=blocked)["track_id"])

    def test_a_song_nobody_knows_is_said(self, recommender: Recommender, user: str) -> None:
        with pytest.raises(UnknownIdError):
            recommender.recommend(user, blocked=["no such song"])


class TestDays:
    @pytest.mark.parametrize("method", ["recommend", "stranger", "playlist", "title", "session", "popular"])
    def test_a_day_has_its_list_and_another_day_another_one(
        self, recommender: Recommender, user: str, method: str
    ) -> None:
        songs = recommender.dataset.track_ids.names[:3]
        ask = {
            "recommend": lambda **wishes: recommender.recommend(user, 10, **wishes),
            "stranger": lambda **wishes: recommender.recommend("a stranger", 10, **wishes),
            "playlist": lambda **wishes: recommender.continue_playlist(songs, k=10, **wishes),
            "title": lambda **wishes: recommender.continue_playlist([], "calm", 10, **wishes),
            "session": lambda **wishes: recommender.next_song(songs, 10, **wishes),
            "popular": lambda **wishes: recommender.popular_and_fresh(10, **wishes),
        }[method]
        week = [ids(ask(day=MONDAY + timedelta(days=n))) for n in range(7)]
        assert week[0] == ids(ask(day="2026-11-30"))
        assert all(len(set(songs)) == 10 for songs in week)
        assert len({tuple(songs) for songs in week}) > 3
        assert ids(ask(seed=1)) == ids(ask(seed=1))
        assert len({tuple(ids(ask(seed=n))) for n in range(7)}) > 3
        scores = [song.score for song in ask(day=MONDAY)]
        assert method == "stranger" or method == "popular" or scores == sorted(scores, reverse=True)

    def test_listeners_alike_have_lists_of_their_own_alone_and_in_a_batch(self, recommender: Recommender) -> None:
        users = ["stranger 1", "stranger 2", recommender.dataset.user_ids.names[0]]
        frame = recommender.recommend(users, 10, day=MONDAY)
        for user in users:
            assert frame.filter(user_id=user)["track_id"].to_list() == ids(recommender.recommend(user, 10, day=MONDAY))
        assert ids(recommender.recommend(users[0], 10, day=MONDAY)) != ids(
            recommender.recommend(users[1], 10, day=MONDAY)
        )

    def test_a_song_does_not_come_again_within_the_days_that_are_wished(self, recommender: Recommender) -> None:
        wishes: dict[str, Any] = {"not_again_days": 2, "heard": True}
        for ask in (
            lambda day: recommender.recommend("a stranger", 8, day=day, **wishes),
            lambda day: recommender.next_song(recommender.dataset.track_ids.names[:2], 8, day=day, **wishes),
        ):
            lists = [set(ids(ask(MONDAY + timedelta(days=n)))) for n in range(6)]
            assert all(len(songs) == 8 for songs in lists)
            for day, songs in enumerate(lists):
                assert not any(songs & other for other in lists[day + 1 : day + 3])

    def test_where_the_songs_do_not_last_others_come_again(self, recommender: Recommender) -> None:
        found = recommender.recommend("a stranger", 50, day=MONDAY, not_again_days=30)
        assert len(set(ids(found))) == 50


@pytest.mark.parametrize("days", [7, 30, 10_000])
def test_songs_heard_of_late_rest(recommender: Recommender, days: int) -> None:
    listens, names = recommender.dataset.listens, recommender.dataset.track_ids.names
    moments = listens["listened_at"].dt.epoch("s").to_numpy().astype(float)
    tomorrow = listens["listened_at"].max().date() + timedelta(days=1)  # type: ignore[union-attr]
    midnight = datetime(*tomorrow.timetuple()[:3], tzinfo=UTC).timestamp()
    rested = set()
    for user in recommender.dataset.user_ids.names[:8]:
        of_user = (listens["user"] == recommender.dataset.user_ids.rows[user]).to_numpy()
        for now, wish in ((robust_now(moments), {}), (midnight, {"day": tomorrow})):
            recent = {
                names[track] for track in listens["track"].filter(of_user & (moments >= now - days * 86_400)).unique()
            }
            asked: dict[str, Any] = {"heard": True, "not_again_days": days, **wish}
            found = set(ids(recommender.recommend(user, len(names), **asked)))
            assert not recent & found
            rested |= recent
    assert rested
