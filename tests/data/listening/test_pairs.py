from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset
from data.ids import IdMap
from data.listening.pairs import PairSettings, are_pairs, mine_pairs, mine_skips, pair_keys
from data.storage.manifest import Manifest

START = datetime(2025, 1, 1, tzinfo=UTC)
TRACKS, USERS, PLAYLISTS = 8, 4, 3

Play = tuple[int, int, int, float | None, str | None]
"User, minute, track, played ratio, feedback."
Entry = tuple[int, int, int]
"Playlist, position, track."


def listening(plays: Iterable[Play] = (), entries: Iterable[Entry] = ()) -> Dataset:
    """A dataset in memory with nothing but plays and playlists."""
    rows = [
        (user, track, START + timedelta(minutes=minute), None, ratio, feedback)
        for user, minute, track, ratio, feedback in sorted(plays, key=lambda play: play[:2])
    ]
    time = pl.Datetime("us", "UTC")
    heard = {"user": pl.Int32, "track": pl.Int32, "listened_at": time, "position": pl.Int64}
    listed = {"playlist": pl.Int32, "position": pl.Int32, "track": pl.Int32}
    names = {kind: tuple(map(str, range(n))) for kind, n in (("t", TRACKS), ("u", USERS), ("p", PLAYLISTS))}
    return Dataset(
        root=Path("nowhere"),
        tracks=pl.DataFrame({"track_id": names["t"]}),
        listens=pl.DataFrame(rows, heard | {"played_ratio": pl.Float32, "feedback": pl.String}, orient="row"),
        playlists=pl.DataFrame({"playlist_id": names["p"]}),
        playlist_tracks=pl.DataFrame(sorted(entries), listed, orient="row").with_columns(
            added_at=pl.lit(None, dtype=time)
        ),
        features=pl.DataFrame(),
        track_ids=IdMap(names["t"]),
        user_ids=IdMap(names["u"], "listener"),
        playlist_ids=IdMap(names["p"], "playlist"),
        manifest=Manifest(step="dataset"),
    )


def session(user: int, *tracks: int, day: int = 0) -> list[Play]:
    """Songs played to the end, one after the other."""
    return [(user, 1440 * day + 3 * place, track, 1.0, None) for place, track in enumerate(tracks)]


def mined(dataset: Dataset, **changed: float) -> dict[tuple[int, int], tuple[float, float]]:
    """Pair -> support, weight; no song dropped for having too many partners unless asked."""
    frame = mine_pairs(dataset, PairSettings.model_validate({"per_song": 100} | changed))
    assert frame.select("first", "second").rows() == sorted(frame.select("first", "second").rows())
    return {(first, second): (support, weight) for first, second, support, weight in frame.iter_rows()}


def by_hand(plays: list[Play], entries: list[Entry], s: PairSettings) -> dict[tuple[int, int], tuple[float, float]]:
    """The definition, without SQL."""
    places: list[tuple[str, tuple[int, int], int, int, int]] = []  # kind, context, owner, place, track
    counted: dict[int, tuple[int, int, int]] = {}  # of a listener: session, place and minute of the last play
    for user, minute, track, ratio, feedback in sorted(plays, key=lambda play: play[:2]):
        before, place, last = counted.get(user, (0, -1, minute))
        counted[user] = (before + 1, 0, minute) if minute - last > 30 else (before, place + 1, minute)
        if feedback == "like" or ((ratio is None or ratio >= 0.5) and feedback not in ("skip", "dislike")):
            places.append(("session", (user, counted[user][0]), user, counted[user][1], track))
    places += [("playlist", (playlist, 0), playlist, position, track) for playlist, position, track in entries]
    evidence = defaultdict(set)
    for (kind, context, owner, place, track), (kind_2, context_2, _, place_2, track_2) in combinations(places, 2):
        reach = s.window if kind == "session" else 5 * s.window
        if (kind, context) == (kind_2, context_2) and track != track_2 and abs(place - place_2) <= reach:
            evidence[min(track, track_2), max(track, track_2)].add((kind, owner))
    fans = defaultdict(set)
    for kind, _, owner, _, track in places:
        fans[track].add((kind, owner))
    found = {}
    for (first, second), owners in evidence.items():
        support = sum(1.0 if kind == "session" else s.playlist_support for kind, _ in owners)
        if support >= s.min_support:
            together = (len(fans[first]) * len(fans[second])) ** (s.popularity_power / 2)
            found[first, second] = (support, support / together)
    return found


PLAYS = st.tuples(
    st.integers(0, USERS - 1),
    st.integers(0, 120),
    st.integers(0, TRACKS - 1),
    st.sampled_from([None, 1.0, 0.5, 0.25]),
    st.sampled_from([None, None, "like", "dislike", "skip"]),
)
ENTRIES = st.tuples(st.integers(0, PLAYLISTS - 1), st.integers(0, 25), st.integers(0, TRACKS - 1))


@settings(max_examples=40)
@given(
    st.lists(PLAYS, max_size=40, unique_by=lambda play: play[:2]),
    st.lists(ENTRIES, max_size=20, unique_by=lambda entry: (entry[0], entry[2])),
    st.integers(1, 4),
    st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.75, 1.0]),
)
def test_agrees_with_counting_by_hand(plays, entries, window, min_support, playlist_support, power):
    wanted = PairSettings(
        window=window,
        min_support=min_support,
        playlist_support=playlist_support,
        popularity_power=power,
        per_song=100,
    )
    expected = by_hand(plays, entries, wanted)
    found = mined(listening(plays, entries), **wanted.model_dump(exclude={"memory"}))
    assert found.keys() == expected.keys()
    for pair, numbers in expected.items():
        assert found[pair] == pytest.approx(numbers)


class TestEvidence:
    def test_one_enthusiastic_listener_cannot_make_a_pair_and_two_can(self):
        alone = [play for day in range(50) for play in session(0, 1, 2, day=day)]
        assert mined(listening(alone)) == {}
        assert mined(listening(alone + session(1, 2, 1)))[1, 2][0] == 2.0

    def test_one_playlist_is_enough_by_default_and_not_where_it_counts_less(self):
        dataset = listening(entries=[(0, 0, 1), (0, 1, 2)])
        assert mined(dataset)[1, 2][0] == 2.0
        assert mined(dataset, playlist_support=1.0) == {}

    def test_listeners_and_playlists_add_up(self):
        dataset = listening(session(0, 1, 2), [(0, 0, 1), (0, 1, 2)])
        assert mined(dataset, playlist_support=1.5)[1, 2][0] == 2.5

    def test_a_listener_is_no_playlist_of_the_same_number(self):
        dataset = listening(session(0, 1, 2), [(0, 0, 1), (0, 1, 2)])
        assert mined(dataset, popularity_power=1.0)[1, 2] == pytest.approx((3.0, 3.0 / 2))

    def test_songs_further_apart_than_the_window_are_not_together(self):
        plays = [*session(0, 0, 1, 2, 3), *session(1, 0, 1, 2, 3)]
        assert mined(listening(plays), window=2).keys() == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)}

    @pytest.mark.parametrize(("distance", "together"), [(10, True), (11, False)])
    def test_a_playlist_reaches_five_windows(self, distance, together):
        found = mined(listening(entries=[(0, 0, 1), (0, distance, 2)]), window=2)
        assert bool(found) is together

    def test_entries_of_a_playlist_at_the_same_position_are_together(self):
        assert mined(listening(entries=[(0, 0, 1), (0, 0, 2)])).keys() == {(1, 2)}

    def test_other_sessions_of_the_same_listener_are_not_together(self):
        plays = [
            play for user in range(4) for day, track in enumerate((1, 2)) for play in session(user, track, day=day)
        ]
        assert mined(listening(plays)) == {}

    @pytest.mark.parametrize(("ratio", "feedback"), [(1.0, "skip"), (1.0, "dislike"), (0.3, None)])
    def test_what_was_not_wanted_is_no_evidence_and_does_not_make_popular(self, ratio, feedback):
        wanted = [play for user in range(4) for play in session(user, 1, 2)]
        unwanted = [(user, 9, 3, ratio, feedback) for user in range(4)]
        assert mined(listening(wanted + unwanted)) == mined(listening(wanted))

    def test_a_like_is_evidence_however_little_was_played(self):
        plays = [(user, minute, minute, ratio, "like") for user in range(2) for minute, ratio in ((1, 1.0), (2, 0.3))]
        assert mined(listening(plays)).keys() == {(1, 2)}

    @pytest.mark.parametrize("window", [2**31 // 5 + 1, 2**31 - 1, 2**40])
    def test_a_window_of_any_size_is_the_whole_session(self, window):
        assert mined(listening(session(0, *range(8)) + session(1, *range(8))), window=window).keys() == {
            (first, second) for first in range(8) for second in range(first + 1, 8)
        }

    def test_a_song_is_never_its_own_partner(self):
        assert mined(listening(session(0, 1, 1, 1) + session(1, 1, 1))) == {}

    def test_popular_songs_weigh_less_for_the_same_support(self):
        popular = [*session(0, 1, 2), *session(1, 1, 2), *session(2, 2), *session(3, 2)]
        rare = [*session(0, 4, 5, day=9), *session(1, 4, 5, day=9)]
        found = mined(listening(popular + rare))
        assert found[1, 2][0] == found[4, 5][0]
        assert found[1, 2][1] < found[4, 5][1]
        even = mined(listening(popular + rare), popularity_power=0.0)
        assert even[1, 2][1] == even[4, 5][1] == 2.0

    def test_without_listening_there_are_none_but_the_columns_stay(self):
        frame = mine_pairs(listening())
        assert frame.is_empty()
        assert frame.schema == mine_pairs(listening(entries=[(0, 0, 1), (0, 1, 2)])).schema


class TestPerSong:
    HUB = tuple(
        (user, 1440 * user + 3 * place, track, 1.0, None) for user in range(4) for place, track in enumerate(range(8))
    )

    def test_what_is_dropped_is_never_better_than_what_is_kept(self):
        plays = [
            *session(0, 0, 1),
            *session(1, 0, 1),
            *session(2, 0, 1),
            *session(0, 0, 2, day=1),
            *session(1, 0, 2, day=1),
        ]
        plays += [*session(2, 1, 2, day=2), *session(3, 1, 2, day=2)]
        everything, few = mined(listening(plays)), mined(listening(plays), per_song=1)
        assert few.items() <= everything.items()
        best = max(everything, key=lambda pair: everything[pair][1])
        assert best in few

    def test_enough_room_keeps_all(self):
        dataset = listening(self.HUB)
        assert len(mined(dataset, per_song=7)) == 8 * 7 // 2

    @pytest.mark.parametrize("per_song", [1, 3])
    def test_no_song_has_more_partners_than_asked(self, per_song):
        found = mined(listening(self.HUB), per_song=per_song)
        assert np.bincount(np.array(list(found)).ravel()).max() <= per_song


def beside(user: int, *tracks: int, refused: int, feedback: str = "skip", day: int = 0) -> list[Play]:
    """A session of which one song is not wanted."""
    return [
        (owner, minute, track, 0.1 if track == refused else ratio, feedback if track == refused else None)
        for owner, minute, track, ratio, _ in session(user, *tracks, day=day)
    ]


def told_apart(dataset: Dataset, **changed: float) -> dict[tuple[int, int], float]:
    """Played, skipped -> support."""
    frame = mine_skips(dataset, PairSettings.model_validate(changed))
    assert frame.schema == {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64}
    assert frame.select("first", "second").rows() == sorted(frame.select("first", "second").rows())
    return {(first, second): support for first, second, support in frame.iter_rows()}


def skips_by_hand(plays: list[Play], s: PairSettings) -> dict[tuple[int, int], float]:
    """The definition, without SQL; no song with too many."""
    places: list[tuple[tuple[int, int], int, int, bool, bool]] = []  # session, place, track, wanted, refused
    counted: dict[int, tuple[int, int, int]] = {}
    for user, minute, track, ratio, feedback in sorted(plays, key=lambda play: play[:2]):
        before, place, last = counted.get(user, (0, -1, minute))
        counted[user] = (before + 1, 0, minute) if minute - last > 30 else (before, place + 1, minute)
        refused = feedback in ("skip", "dislike")
        wanted = feedback == "like" or ((ratio is None or ratio >= 0.5) and not refused)
        places.append(((user, counted[user][0]), counted[user][1], track, wanted, refused))
    found = defaultdict(set)
    for context, place, track, wanted, _ in places:
        for context_2, place_2, track_2, _, refused in places:
            if wanted and refused and context == context_2 and track != track_2 and abs(place - place_2) <= s.window:
                found[track, track_2].add(context[0])
    pairs = by_hand(plays, [], s).keys()
    return {
        (first, second): float(len(users))
        for (first, second), users in found.items()
        if len(users) >= s.skip_support and (min(first, second), max(first, second)) not in pairs
    }


@settings(max_examples=40)
@given(
    st.lists(PLAYS, max_size=40, unique_by=lambda play: play[:2]), st.integers(1, 4), st.sampled_from([1.0, 2.0, 3.0])
)
def test_skips_agree_with_counting_by_hand(plays, window, skip_support):
    wanted = PairSettings(window=window, skip_support=skip_support, per_song=100)
    found = told_apart(listening(plays), **wanted.model_dump(exclude={"memory"}))
    assert found == skips_by_hand(plays, wanted)


class TestSkips:
    def test_one_listener_is_not_enough_however_often_and_two_are(self):
        alone = [play for day in range(9) for play in beside(0, 1, 2, refused=2, day=day)]
        assert told_apart(listening(alone)) == {}
        assert told_apart(listening(alone + beside(1, 2, 1, refused=2))) == {(1, 2): 2.0}
        assert told_apart(listening(alone), skip_support=1) == {(1, 2): 1.0}

    def test_a_dislike_is_as_good_as_a_skip(self):
        plays = beside(0, 1, 2, refused=2) + beside(1, 1, 2, refused=2, feedback="dislike")
        assert told_apart(listening(plays)) == {(1, 2): 2.0}

    def test_further_apart_than_the_window_does_not_count(self):
        plays = [play for user in range(2) for play in beside(user, 0, 1, 2, 3, refused=3)]
        assert told_apart(listening(plays), window=2).keys() == {(1, 3), (2, 3)}

    @pytest.mark.parametrize("per_song", [1, 50])
    def test_songs_with_the_support_of_a_pair_are_left_out_kept_as_one_or_not(self, per_song):
        plays = [play for user in range(2) for play in beside(user, 3, 1, 2, refused=2)]
        assert told_apart(listening(plays)).keys() == {(1, 2), (3, 2)}
        plays += [play for user in range(2) for play in session(user, 2, 3, day=1)]
        plays += [play for user in range(4) for play in session(user, 3, 4, 2, 5, 3, day=2)]  # better partners for both
        assert (2, 3) in mined(listening(plays))
        assert ((2, 3) in mined(listening(plays), per_song=per_song)) == (per_song == 50)
        assert told_apart(listening(plays), per_song=per_song).keys() == {(1, 2)}

    def test_the_most_frequent_of_a_song_stay(self):
        plays = [play for user in range(4) for play in beside(user, 1, 2, refused=2)]
        plays += [play for user in range(3) for play in beside(user, 1, 3, refused=3, day=1)]
        plays += [play for user in range(2) for play in beside(user, 1, 4, refused=4, day=2)]
        plays += [play for user in range(2) for play in beside(user, 5, 4, refused=4, day=3)]
        assert told_apart(listening(plays), per_song=2) == {(1, 2): 4.0, (1, 3): 3.0, (5, 4): 2.0}

    def test_plays_that_are_not_wanted_are_beside_nothing(self):
        plays = [
            (user, 3 * place, track, ratio, feedback)
            for user in range(3)
            for place, (track, ratio, feedback) in enumerate(
                [(1, 0.2, None), (2, 0.1, "skip"), (3, 1.0, "dislike"), (4, 1.0, "like")]
            )
        ]
        assert told_apart(listening(plays)).keys() == {(4, 2), (4, 3)}

    def test_without_feedback_there_are_none(self):
        assert told_apart(listening([*session(0, 1, 2), *session(1, 1, 2)])) == {}
        assert told_apart(listening()) == {}


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1])), st.data())
def test_are_pairs_knows_both_directions_and_the_song_itself(pairs, data):
    songs = st.lists(st.integers(0, 9), max_size=6).map(lambda rows: np.array(rows, np.int64))
    rows, columns = data.draw(songs), data.draw(songs)
    frame = pl.DataFrame(sorted(pairs), {"first": pl.Int32, "second": pl.Int32}, orient="row")
    expected = [[r == c or (r, c) in pairs or (c, r) in pairs for c in columns] for r in rows]
    found = are_pairs(pair_keys(frame, 10), rows, columns, 10)
    assert found.shape == (len(rows), len(columns))
    assert found.tolist() == expected


def test_are_pairs_in_a_catalogue_too_large_for_32_bits():
    n = 3_000_000
    frame = pl.DataFrame({"first": [n - 2], "second": [n - 1]}, {"first": pl.Int32, "second": pl.Int32})
    rows = np.array([n - 1, n - 3], np.int64)
    assert are_pairs(pair_keys(frame, n), rows, np.array([n - 2]), n).tolist() == [[True], [False]]
