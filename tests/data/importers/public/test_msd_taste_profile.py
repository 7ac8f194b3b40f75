"""The Taste Profile's triplets, the Million Song Dataset's list of tracks, and its list of wrong matches."""

import zipfile

import pytest

from data.errors import UserError
from data.importers.formats import delimited as lines
from data.importers.public.msd_taste_profile import DATA_SET, read
from data.split import ensure_split
from data.storage.workspace import Workspace
from tests.data.part_tables import checked, gathered, reasons, rows, write

ANN, BOB = "b80344d063b5ccb3212f76538f3d9e43d87dca9e", "85c1f87fea955d09b4bec2e36aee110927aedf9a"
TRIPLETS = (
    f"{ANN}\tSOAKIMP12A8C130995\t1\n"
    f"{ANN}\tSOUMNSI12AB0182807\t12\n"
    f"{ANN}\tSOBBMDR12A8C13253B\t2\n"
    f"{BOB}\tSOAKIMP12A8C130995\t0\n"
    f"{BOB}\tSOBBMDR12A8C13253B\tx\n"
    f"{BOB}\tSOBBMDR12A8C13253B\n"
    f"{BOB}\tSONOTLISTED0000000\t3\n"
    f"{BOB}\tSOUMNSI12AB0182807\t5\textra\n"
    "\n"
)
TRACKS = (
    "TRMMMYQ128F932D901<SEP>SOQMMHC12AB0180CB8<SEP>Faster Pussy cat<SEP>Silent Night\n"
    "TRMMMKD128F425225D<SEP>SOAKIMP12A8C130995<SEP>Björk<SEP>Jóga\n"
    "TRMMMRX128F93187D9<SEP>SOAKIMP12A8C130995<SEP>Björk<SEP>Jóga (Live)\n"
    'TRMMMCH128F425532C<SEP>SOBBMDR12A8C13253B<SEP>The "Band"<SEP>\n'
    "TRMMGKQ128F9325E10<SEP>SOUMNSI12AB0182807<SEP>Linkwood<SEP>Whats up with the Underground\n"
)
WRONG = (
    "ERROR: <SOUMNSI12AB0182807 TRMMGKQ128F9325E10> Digital Underground  -  The Way We Swing  !=  Linkwood  -  Whats\n"
    "ERROR: <SOCMRBE12AB018C546 TRMMREB12903CEB1B1> Jimmy Reed  -  The Sun Is Shining  !=  Slim Harpo  -  I Got Love\n"
    "something else\n"
)


@pytest.fixture
def folder(tmp_path):
    files = {"train_triplets.txt": TRIPLETS, "unique_tracks.txt": TRACKS, "sid_mismatches.txt": WRONG}
    return write(tmp_path, files)


def test_counts_become_one_listen_each(folder):
    listens = checked(read(folder)).tables["listens"]
    assert rows(listens, "user_id", "track_id") == [
        (ANN, "SOAKIMP12A8C130995"),
        (ANN, "SOBBMDR12A8C13253B"),
        (BOB, "SONOTLISTED0000000"),
    ]
    assert listens["listened_at"].null_count() == listens.height
    assert listens["position"].null_count() == 0


def test_songs_that_are_played_have_the_title_of_their_first_track(folder):
    assert rows(checked(read(folder)).tables["tracks"], "track_id", "artist", "title") == [
        ("SOAKIMP12A8C130995", "Björk", "Jóga"),
        ("SOBBMDR12A8C13253B", 'The "Band"', None),
        ("SONOTLISTED0000000", None, None),
    ]


def test_wrong_matches_and_broken_lines_are_rejected(folder):
    valid = checked(read(folder))
    assert sorted(reasons(valid, "listens")) == [
        ("count cannot be read", f"{BOB}\tSOBBMDR12A8C13253B\t"),
        ("count cannot be read", f"{BOB}\tSOBBMDR12A8C13253B\tx"),
        ("more than 3 fields", f"{BOB}\tSOUMNSI12AB0182807\t5\textra"),
        ("not played once", f"{BOB}\tSOAKIMP12A8C130995\t0"),
        ("song matched wrongly (sid_mismatches.txt)", f"{ANN}\tSOUMNSI12AB0182807\t12"),
    ]
    assert reasons(valid, "tracks") == [("names no song and track", "something else")]


def test_without_the_list_of_wrong_matches_all_songs_stay(folder):
    (folder / "sid_mismatches.txt").unlink()
    valid = checked(read(folder))
    assert (ANN, "SOUMNSI12AB0182807") in rows(valid.tables["listens"], "user_id", "track_id")
    assert valid.tables["tracks"].filter(track_id="SOUMNSI12AB0182807")["artist"].to_list() == ["Linkwood"]


def test_packed_as_published_and_in_small_blocks_it_reads_the_same(folder, monkeypatch):
    tables, rejects = gathered(read(folder))
    with zipfile.ZipFile(folder / "train_triplets.txt.zip", "w") as archive:
        archive.write(folder / "train_triplets.txt", "train_triplets.txt")
    (folder / "train_triplets.txt").unlink()
    monkeypatch.setattr(lines, "BLOCK", 50)
    parts = list(read(folder))
    assert max(rows.height for _, rows in parts) <= 2
    packed, bad = gathered(parts)
    assert packed["listens"].equals(tables["listens"])
    assert packed["tracks"].sort("track_id", "title").equals(tables["tracks"].sort("track_id", "title"))
    assert sorted(bad["content"]) == sorted(rejects["content"])


def test_it_can_be_published_and_split(folder, publish):
    dataset = publish(**gathered(read(folder))[0])
    assert ensure_split(Workspace(dataset.root), dataset).order == "position"


def test_a_folder_without_triplets_is_named_with_what_belongs_there(tmp_path):
    with pytest.raises(UserError, match=r"holds none of train_triplets\.txt[\s\S]*unique_tracks\.txt"):
        next(DATA_SET.read(tmp_path))
