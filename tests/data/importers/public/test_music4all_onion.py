"""Music4All-Onion's tab-separated files, packed as published, with and without the metadata of Music4All."""

import bz2
from datetime import UTC, date, datetime

import pytest

from data.errors import UserError
from data.importers.formats import delimited as lines
from data.importers.public.music4all_onion import DATA_SET, FEATURES, read
from data.split import ensure_split
from data.storage.workspace import Workspace
from tests.data.part_tables import checked, gathered, reasons, rows, write

ONE, TWO, SIX = "0009fFIM1eYThaPg", "0010xmHR6UICBOYT", "006TYKNjNxWjfKjy"
TIMES = (
    "user_id\ttrack_id\ttimestamp\n"
    f"user_007XIjOr\t{TWO}\t2019-08-21 09:01:00\n"
    f"user_007XIjOr\t{ONE}\t2013-01-27 21:42:38\n"
    f"user_00Bw0Xt\t{ONE}\tnever\n"
    f"user_00Bw0Xt\t{ONE}\n"
    f"user_00Bw0Xt\t{ONE}\t2013-02-30 00:00:00\n"
    f"\t{ONE}\t2013-01-27 21:42:38\n"
    f"user_00Bw0Xt\t{SIX}\t2012-12-31 23:59:59\n"
)
COUNTS = f"user_id\ttrack_id\tcount\nuser_007XIjOr\t{ONE}\t31\nuser_007XIjOr\t{TWO}\t1\nuser_00Bw0Xt\t{ONE}\t0\n"
TAG_WEIGHTS = (
    "id\t(tag, weight)\n"
    f"{ONE}\t{{'pop': 55, 'rock': 100}}\n"
    f'{TWO}\t"{{""80\'s"": 3, \'soul\': 7}}"\n'
    f"{SIX}\t{{broken\n"
)
ESSENTIA = (
    "id\tlowlevel.average_loudness\trhythm.bpm\ttonal.key_edma.strength\n"
    f"{ONE}\t0.91\t120.5\t-1.5e-3\n"
    f"{TWO}\t0.5\tnan\t0.25\n"
    f"{SIX}\t0.5\t99\n"
)
INFORMATION = (
    "id\tartist\tsong\talbum_name\n"
    f"{ONE}\tKylie Minogue\tCan't Get You Out of My Head\tFever\n"
    f'{TWO}\t"""Weird Al"" Yankovic"\tFat\t\n'
)
METADATA = (
    "id\tspotify_id\tpopularity\trelease\tdanceability\tenergy\tkey\tmode\tvalence\ttempo\tduration_ms\n"
    f"{ONE}\t3E7ZwUMJFqpsDOJzEkBrQ7\t66.0\t2001\t0.763\t0.561\t9.0\t1.0\t0.965\t126.0\t230640\n"
)


def pack(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.bz2").write_bytes(bz2.compress(text.encode()))


@pytest.fixture
def onion(tmp_path):
    pack(tmp_path, "userid_trackid_timestamp.tsv", TIMES)
    pack(tmp_path, "userid_trackid_count.tsv", COUNTS)
    pack(tmp_path, "id_essentia.tsv", ESSENTIA)
    pack(tmp_path, "id_tags_dict.tsv", TAG_WEIGHTS)
    return tmp_path


@pytest.fixture
def music4all(onion):
    genres, tags = f"id\tgenres\n{ONE}\tpop,dance pop\n", f"id\ttags\n{ONE}\tpop, disco,,pop\n{TWO}\t\n"
    files = {"id_information.csv": INFORMATION, "id_genres.csv": genres, "id_tags.csv": tags}
    return write(onion, files | {"id_metadata.csv": METADATA, "id_lang.csv": f"id\tlang\n{ONE}\ten\n{SIX}\tpt\n"})


def test_listens_have_the_published_times(onion):
    assert rows(checked(read(onion)).tables["listens"], "user_id", "track_id", "listened_at", "position") == [
        ("user_007XIjOr", TWO, datetime(2019, 8, 21, 9, 1, tzinfo=UTC), None),
        ("user_007XIjOr", ONE, datetime(2013, 1, 27, 21, 42, 38, tzinfo=UTC), None),
        ("user_00Bw0Xt", SIX, datetime(2012, 12, 31, 23, 59, 59, tzinfo=UTC), None),
    ]


def test_broken_lines_are_rejected(onion):
    valid = checked(read(onion))
    assert [reason for reason, _ in reasons(valid, "listens")] == [
        "timestamp cannot be read",
        "timestamp cannot be read",
        "timestamp cannot be read",
        "no user_id",
    ]
    assert [reason for reason, _ in reasons(valid, "features")] == [
        "2 values, the first line names 3",
        "a value is missing or not finite",
    ]


def test_counts_are_read_where_there_are_no_times_and_have_no_order(onion, publish):
    (onion / "userid_trackid_timestamp.tsv.bz2").unlink()
    valid = checked(read(onion))
    listens = valid.tables["listens"]
    assert rows(listens, "user_id", "track_id") == [("user_007XIjOr", ONE), ("user_007XIjOr", TWO)]
    assert listens["listened_at"].null_count() == 2
    assert [reason for reason, _ in reasons(valid, "listens")] == ["not played once"]
    dataset = publish(**gathered(read(onion))[0])
    assert ensure_split(Workspace(dataset.root), dataset).order == "position"


def test_without_music4all_tracks_have_tags_by_weight(onion):
    assert rows(checked(read(onion)).tables["tracks"], "track_id", "title", "tags") == [
        (ONE, None, ["rock", "pop"]),
        (TWO, None, ["soul", "80's"]),
        (SIX, None, None),
    ]


def test_music4all_tells_the_rest(music4all):
    tracks = checked(read(music4all)).tables["tracks"]
    assert tracks.row(0, named=True) == {
        "track_id": ONE,
        "title": "Can't Get You Out of My Head",
        "artist": "Kylie Minogue",
        "album": "Fever",
        "genres": ["pop", "dance pop"],
        "tags": ["pop", "disco"],
        "language": "en",
        "description": None,
        "release_date": date(2001, 1, 1),
        "duration_s": pytest.approx(230.64),
        "audio_path": None,
        "mbid": None,
        "isrc": None,
    }
    assert rows(tracks, "track_id", "artist", "title", "album", "tags", "language")[1:] == [
        (TWO, '"Weird Al" Yankovic', "Fat", None, None, None),
        (SIX, None, None, None, None, "pt"),
    ]


def test_features_are_the_numbers_of_the_file(onion):
    features = checked(read(onion)).tables["features"]
    assert features["track_id"].to_list() == [ONE]
    assert features["features"][0].to_list() == pytest.approx([0.91, 120.5, -1.5e-3])


@pytest.mark.usefixtures("listening")
def test_of_several_feature_files_the_first_choice_is_taken_and_said(onion, capsys):
    for name in ("id_ivec256", "id_lyrics_bert", "id_maest"):
        pack(onion, f"{name}.tsv", f"id\t0\n{ONE}\t{len(name)}\n")
    order = ["id_essentia", "id_maest", "id_ivec256", "id_lyrics_bert"]
    assert [FEATURES.index(name[3:]) for name in order[:3]] == sorted(FEATURES.index(name[3:]) for name in order[:3])
    while order:
        tables, _ = gathered(read(onion))
        assert tables["features"]["features"][0].to_list() == pytest.approx(
            [0.91, 120.5, -1.5e-3] if order[0] == "id_essentia" else [len(order[0])]
        )
        also = f" (also there: {', '.join(f'{name}.tsv.bz2' for name in order[1:])})" if order[1:] else ""
        assert capsys.readouterr().err == f"features: {order[0]}.tsv.bz2{also}\n"
        (onion / f"{order.pop(0)}.tsv.bz2").unlink()
    assert "features" not in gathered(read(onion))[0]


def test_unpacked_and_in_small_blocks_it_reads_the_same(music4all, monkeypatch):
    tables, rejects = gathered(read(music4all))
    for packed in music4all.glob("*.bz2"):
        packed.with_suffix("").write_bytes(bz2.decompress(packed.read_bytes()))
        packed.unlink()
    monkeypatch.setattr(lines, "BLOCK", 64)
    again, bad = gathered(read(music4all))
    assert {name: frame.equals(again[name]) for name, frame in tables.items()} == dict.fromkeys(tables, True)
    assert bad["reason"].to_list() == rejects["reason"].to_list()


def test_it_can_be_published_and_split_by_time(music4all, publish):
    tables, _ = gathered(read(music4all))
    dataset = publish(**tables)
    assert ensure_split(Workspace(dataset.root), dataset).order == "time"
    assert dataset.feature_matrix() is not None


def test_a_folder_with_nothing_of_it_is_named_with_what_belongs_there(tmp_path):
    with pytest.raises(UserError, match=r"holds none of userid_trackid_timestamp\.tsv[\s\S]*id_information\.csv"):
        next(DATA_SET.read(tmp_path))
