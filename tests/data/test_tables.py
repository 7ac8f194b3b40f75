import json

import polars as pl
import pytest
from hypothesis import given, settings

from data.tables import REQUIRED, SCHEMAS, STRINGS, Imported, Validated, reject, to_schema, validate
from tests.data.random_tables import NOON, some_tables


def validated(**tables: pl.DataFrame) -> Validated:
    return validate(Imported(tables))


def reasons(valid: Validated, table: str) -> list[str]:
    return valid.rejects.filter(table=table)["reason"].to_list()


def listen(**changed: object) -> pl.DataFrame:
    row = {"user_id": "u", "track_id": "t", "listened_at": NOON, "played_ratio": 0.5, "feedback": None}
    return pl.DataFrame([row | changed], infer_schema_length=None)


class TestContractForm:
    def test_tables_that_are_missing_come_back_empty_with_all_their_columns(self):
        tables = validated().tables
        assert {name: dict(frame.schema) for name, frame in tables.items()} == {
            name: dict(pl.DataFrame(schema=schema).schema) for name, schema in SCHEMAS.items()
        }
        assert all(frame.is_empty() for frame in tables.values())

    def test_columns_that_are_missing_are_null_and_unknown_ones_go(self):
        frame = to_schema("tracks", pl.DataFrame({"mood": ["odd"], "track_id": ["t"]}))
        assert frame.columns == list(SCHEMAS["tracks"])
        assert frame.row(0) == ("t", *[None] * (len(frame.columns) - 1))

    def test_types_become_those_of_the_contract(self):
        frame = to_schema("tracks", pl.DataFrame({"track_id": [7], "duration_s": [61], "genres": [["a"]]}))
        assert frame.schema["genres"] == STRINGS
        assert frame.select("track_id", "duration_s").row(0) == ("7", 61.0)

    def test_times_with_another_zone_keep_their_moment(self):
        elsewhere = pl.DataFrame({"at": [NOON]}).select(pl.col("at").dt.convert_time_zone("Asia/Tokyo")).to_series()
        frame = to_schema("listens", pl.DataFrame({"listened_at": elsewhere}))
        assert frame["listened_at"][0] == NOON


class TestRejects:
    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"user_id": None}, "no user_id"),
            ({"user_id": " "}, "no user_id"),
            ({"track_id": ""}, "no track_id"),
            ({"listened_at": None}, "neither a time nor a position"),
            ({"played_ratio": 1.5}, "played_ratio outside 0..1"),
            ({"played_ratio": -0.25}, "played_ratio outside 0..1"),
            ({"played_ratio": float("inf")}, "played_ratio outside 0..1"),
            ({"feedback": "meh"}, "feedback is none of like, dislike, skip"),
        ],
    )
    def test_a_bad_listen_leaves_with_its_reason_and_its_content(self, changed, reason):
        valid = validated(listens=pl.concat([listen(), listen(**changed)], how="vertical_relaxed"))
        assert valid.tables["listens"].height == 1
        assert reasons(valid, "listens") == [reason]
        content = json.loads(valid.rejects["content"][0])
        kept = {name: value for name, value in changed.items() if value is not None}
        assert content.items() >= {"track_id": "t", **kept}.items()

    @pytest.mark.parametrize("ratio", [0.0, 1.0, None, float("nan")])
    def test_the_bounds_of_the_ratio_and_unknown_ones_are_fine(self, ratio):
        valid = validated(listens=listen(played_ratio=ratio))
        assert valid.tables["listens"].height == 1
        assert valid.tables["listens"]["played_ratio"][0] == (None if ratio is None or ratio != ratio else ratio)

    def test_a_position_stands_in_for_a_time(self):
        assert validated(listens=listen(listened_at=None, position=3)).tables["listens"]["position"].to_list() == [3]

    @pytest.mark.parametrize("table", ["tracks", "playlists"])
    def test_a_row_without_its_id_is_rejected(self, table):
        key = REQUIRED[table][0]
        valid = validated(**{table: pl.DataFrame({key: ["a", None, "  "]})})
        assert valid.tables[table][key].to_list() == ["a"]
        assert reasons(valid, table) == [f"no {key}"] * 2

    def test_content_with_lists_and_foreign_letters_can_be_read_back(self):
        tracks = pl.DataFrame({"track_id": [None], "title": ["Ænima"], "genres": [["rock", "ambient"]]})
        content = json.loads(validated(tracks=tracks).rejects["content"][0])
        assert content == {"title": "Ænima", "genres": ["rock", "ambient"]}

    def test_what_the_importer_rejected_stays(self):
        mine = reject("tracks", "cut.flac", "ends after 0.4 s")
        valid = validate(Imported({"tracks": pl.DataFrame({"track_id": [None]}, {"track_id": pl.String})}, mine))
        assert valid.rejects.select("source", "reason").rows() == [
            ("cut.flac", "ends after 0.4 s"),
            ("", "no track_id"),
        ]


class TestFeatures:
    def features(self, *values: list[float | None] | None) -> Validated:
        names = [f"t{i}" for i in range(len(values))]
        frame = pl.DataFrame(
            {"track_id": names, "features": values}, {"track_id": pl.String, "features": pl.List(float)}
        )
        return validated(features=frame)

    def test_the_usual_width_counts_and_others_are_rejected(self):
        valid = self.features([1, 2], [3], [4, 5])
        assert valid.tables["features"]["track_id"].to_list() == ["t0", "t2"]
        assert reasons(valid, "features") == ["not 2 values wide"]

    @pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), -float("inf")])
    def test_a_value_that_is_no_number_is_rejected(self, bad):
        valid = self.features([1, 2], [3, bad])
        assert valid.tables["features"]["track_id"].to_list() == ["t0"]
        assert valid.rejects.height == 1

    @pytest.mark.parametrize("nothing", [None, []])
    def test_many_empty_rows_do_not_decide_the_width(self, nothing):
        valid = self.features(nothing, nothing, nothing, [1, 2], [1, 2, 3], [3, 4])
        assert valid.tables["features"]["track_id"].to_list() == ["t3", "t5"]

    def test_all_empty_leaves_none(self):
        valid = self.features(None, [])
        assert valid.tables["features"].is_empty()
        assert valid.rejects.height == 2


class TestMerges:
    def test_the_first_of_two_equal_ids_wins_and_the_other_is_counted(self):
        valid = validated(tracks=pl.DataFrame({"track_id": ["a", "b", "a"], "title": ["one", "two", "three"]}))
        assert valid.tables["tracks"]["title"].to_list() == ["one", "two"]
        assert valid.merged == {"tracks": 1}
        assert valid.rejects.is_empty()

    def test_a_rejected_row_does_not_win_over_a_good_one(self):
        features = pl.DataFrame({"track_id": ["a", "a"], "features": [[float("nan")], [1.0]]})
        valid = validated(features=features)
        assert valid.tables["features"]["features"].to_list() == [[1.0]]
        assert (valid.rejects.height, valid.merged) == (1, {})

    def test_a_track_twice_in_one_playlist_is_merged_and_in_two_playlists_is_not(self):
        entries = pl.DataFrame({"playlist_id": ["p", "p", "q"], "position": [0, 1, 0], "track_id": ["a", "a", "a"]})
        valid = validated(playlist_tracks=entries)
        assert valid.tables["playlist_tracks"].select("playlist_id", "position").rows() == [("p", 0), ("q", 0)]
        assert valid.merged == {"playlist_tracks": 1}

    def test_the_same_song_heard_again_is_another_listen(self):
        valid = validated(listens=pl.concat([listen(), listen()]))
        assert valid.tables["listens"].height == 2


class TestReferences:
    def test_rows_that_name_unknown_tracks_or_playlists_are_rejected(self):
        valid = validated(
            tracks=pl.DataFrame({"track_id": ["t"]}),
            playlists=pl.DataFrame({"playlist_id": ["p"]}),
            listens=pl.concat([listen(), listen(track_id="x")]),
            playlist_tracks=pl.DataFrame(
                {"playlist_id": ["p", "p", "q"], "position": [0, 1, 2], "track_id": ["t", "x", "t"]}
            ),
            features=pl.DataFrame({"track_id": ["t", "x"], "features": [[1.0], [2.0]]}),
        )
        assert reasons(valid, "listens") == ["track_id not in tracks"]
        assert sorted(reasons(valid, "playlist_tracks")) == ["playlist_id not in playlists", "track_id not in tracks"]
        assert reasons(valid, "features") == ["track_id not in tracks"]
        assert [valid.tables[name].height for name in ("listens", "playlist_tracks", "features")] == [1, 1, 1]

    def test_without_a_tracks_table_whatever_is_named_becomes_a_track(self):
        valid = validated(
            listens=listen(track_id="heard"),
            playlist_tracks=pl.DataFrame({"playlist_id": ["p"], "position": [0], "track_id": ["listed"]}),
            features=pl.DataFrame({"track_id": ["measured"], "features": [[1.0]]}),
        )
        assert sorted(valid.tables["tracks"]["track_id"]) == ["heard", "listed", "measured"]
        assert valid.tables["playlists"]["playlist_id"].to_list() == ["p"]
        assert valid.rejects.is_empty()

    def test_an_empty_tracks_table_is_a_table_all_the_same(self):
        valid = validated(tracks=pl.DataFrame(schema={"track_id": pl.String}), listens=listen())
        assert valid.tables["listens"].is_empty()
        assert reasons(valid, "listens") == ["track_id not in tracks"]


@settings(max_examples=30)
@given(some_tables())
def test_no_row_is_lost_silently(tables: dict[str, pl.DataFrame]):
    valid = validated(**tables)
    for name, frame in tables.items():
        rejected = valid.rejects.filter(table=name).height
        assert valid.tables[name].height + valid.merged.get(name, 0) + rejected == frame.height
    assert valid.rejects["reason"].null_count() == 0


@settings(max_examples=30)
@given(some_tables())
def test_what_is_kept_keeps_the_contract_and_is_accepted_again(tables: dict[str, pl.DataFrame]):
    valid = validated(**tables)
    kept = valid.tables
    tracks, playlists = set(kept["tracks"]["track_id"]), set(kept["playlists"]["playlist_id"])
    assert tracks >= {*kept["listens"]["track_id"], *kept["playlist_tracks"]["track_id"], *kept["features"]["track_id"]}
    assert playlists >= set(kept["playlist_tracks"]["playlist_id"])
    assert kept["features"]["features"].list.len().n_unique() <= 1
    again = validated(**kept)
    assert again.rejects.is_empty()
    assert not again.merged
    for name, frame in kept.items():
        assert again.tables[name].equals(frame)
