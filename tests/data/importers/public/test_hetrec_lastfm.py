"""The .dat files of hetrec2011-lastfm-2k: ends of lines CRLF, tags.dat in Latin-1."""

import pytest

from data.errors import UserError
from data.importers.formats import delimited as lines
from data.importers.public.hetrec_lastfm import DATA_SET, MOST_TAGS, read
from data.split import ensure_split
from data.storage.workspace import Workspace
from tests.data.part_tables import checked, gathered, reasons, rows, write

ARTISTS = (
    "id\tname\turl\tpictureURL\r\n"
    "18\tThe Crüxshadows\thttp://www.last.fm/music/The+Cr%C3%BCxshadows\thttp://userserve-ak.last.fm/serve/252/1.jpg\r\n"
    "51\tDuran Duran\thttp://www.last.fm/music/Duran+Duran\thttp://userserve-ak.last.fm/serve/252/155668.jpg\r\n"
    '52\t"Weird Al" Yankovic\thttp://www.last.fm/music/Weird\t\r\n'
    "111\tPleq & Anna Rose Carter\thttp://www.last.fm/music/+noredirect/Pleq\r\n"
    "112\tone\ttab\ttoo\tmany\r\n"
)
TAGS = "tagID\ttagValue\r\n1\tmetal\r\n2\tespañol\r\n13\tchillout\r\n206\t<3\r\n"
PLAYS = (
    "userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t11690\r\n"
    "3\t51\t0\r\n3\t52\tmany\r\n\t51\t7\r\n4\t999\t5\r\n4\t18\t1\r\n"
)
TIMES = (
    "userID\tartistID\ttagID\ttimestamp\r\n"
    "2\t52\t13\t1238536800000\r\n"
    "2\t52\t2\t1238536800000\r\n"
    "3\t52\t2\t-428720400000\r\n"
    "4\t51\t206\t1238536800000\r\n"
    "4\t51\t1\t1238536800000\r\n"
    "4\t7777\t1\t1238536800000\r\n"
    "4\t51\t9999\t1238536800000\r\n"
)


@pytest.fixture
def folder(tmp_path):
    files = {"artists.dat": ARTISTS, "user_artists.dat": PLAYS, "user_taggedartists-timestamps.dat": TIMES}
    write(tmp_path, files | {"user_friends.dat": "userID\tfriendID\r\n2\t275\r\n"})
    return write(tmp_path, {"tags.dat": TAGS}, "latin-1")


def test_artists_are_the_items_and_carry_their_tags(folder):
    tracks = checked(read(folder)).tables["tracks"]
    assert rows(tracks, "track_id", "title", "artist", "tags") == [
        ("18", "The Crüxshadows", "The Crüxshadows", None),
        ("51", "Duran Duran", "Duran Duran", ["metal", "<3"]),
        ("52", '"Weird Al" Yankovic', '"Weird Al" Yankovic', ["español", "chillout"]),
        ("111", "Pleq & Anna Rose Carter", "Pleq & Anna Rose Carter", None),
        ("999", None, None, None),
    ]


def test_each_weight_is_one_listen_without_a_time(folder):
    listens = checked(read(folder)).tables["listens"]
    assert rows(listens, "user_id", "track_id") == [("2", "51"), ("2", "52"), ("4", "999"), ("4", "18")]
    assert listens["listened_at"].null_count() == listens.height
    assert listens["position"].null_count() == 0


def test_broken_lines_are_rejected_with_their_reason(folder):
    valid = checked(read(folder))
    assert reasons(valid, "listens")[:2] == [("not played once", "3\t51\t0"), ("count cannot be read", "3\t52\tmany")]
    assert [reason for reason, _ in reasons(valid, "listens")[2:]] == ["no user_id"]
    assert sorted(reasons(valid, "tracks")) == [
        ("a tag of an artist that artists.dat does not have", "4\t7777\t1\t1238536800000"),
        ("a tag that tags.dat does not have", "4\t51\t9999\t1238536800000"),
        ("more than 4 fields", "112\tone\ttab\ttoo\tmany"),
    ]
    assert valid.rejects.height == 6


def test_days_of_tags_do_as_well_as_their_times(folder, monkeypatch):
    expected, _ = gathered(read(folder))
    (folder / "user_taggedartists-timestamps.dat").unlink()
    days = [line.rsplit("\t", 1)[0] + "\t1\t4\t2009" for line in TIMES.splitlines()[1:]]
    days = "\r\n".join(["userID\tartistID\ttagID\tday\tmonth\tyear", *days, ""])
    write(folder, {"user_taggedartists.dat": days})
    monkeypatch.setattr(lines, "BLOCK", 16)
    found, _ = gathered(read(folder))
    assert found["tracks"].equals(expected["tracks"])


def test_the_tags_given_most_often_are_kept(folder):
    tags = "".join(f"{number}\ttag {number}\r\n" for number in range(30))
    given = "".join(f"{user}\t51\t{number}\t0\r\n" for number in range(30) for user in range(number + 1))
    header = "userID\tartistID\ttagID\ttimestamp\r\n"
    write(folder, {"tags.dat": f"tagID\ttagValue\r\n{tags}", "user_taggedartists-timestamps.dat": header + given})
    tracks = checked(read(folder)).tables["tracks"]
    assert tracks.filter(track_id="51")["tags"][0].to_list() == [f"tag {29 - place}" for place in range(MOST_TAGS)]


def test_without_names_and_tags_the_plays_are_read(folder):
    for name in ("artists.dat", "tags.dat"):
        (folder / name).unlink()
    assert checked(read(folder)).tables["tracks"]["track_id"].to_list() == ["51", "52", "999", "18"]


def test_it_can_be_published_and_split(folder, publish):
    tables, _ = gathered(read(folder))
    dataset = publish(**tables)
    assert ensure_split(Workspace(dataset.root), dataset).order == "position"


def test_a_folder_without_the_plays_is_named_with_what_belongs_there(tmp_path):
    with pytest.raises(UserError, match=r"holds none of user_artists\.dat[\s\S]*artists\.dat, tags\.dat"):
        next(DATA_SET.read(tmp_path))
    with pytest.raises(UserError, match="is not a folder"):
        next(DATA_SET.read(tmp_path / "nowhere"))
