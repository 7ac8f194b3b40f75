"""A folder scanned again and again, as files come, move, grow and go."""

import os
import shutil
import threading
import time
from pathlib import Path, PurePosixPath

import mutagen
import pytest

from data.errors import UserError
from data.importers.library import looking, scanning
from data.importers.library.files import FILES, FileRecord, as_frame, read_records
from data.importers.library.importer import as_tables, import_folder
from data.importers.library.scanning import Scan, scan
from tests.data.audio.sound_files import tone, write

Records = dict[PurePosixPath, FileRecord]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Ten songs, each with a tone of its own, in two folders; and a letter that is no song."""
    for number in range(10):
        write(tmp_path / f"music/{number % 2}/{number}.flac", tone(1, hertz=200.0 + 20 * number))
    (tmp_path / "music/letter.mp3").write_text("Dear listener\n" * 99)
    return tmp_path / "music"


def known(scanned: Scan, folder: Path | None = None) -> Records:
    """What is remembered, there and back through its file."""
    if folder is None:
        return {each.path: each for each in scanned.records}
    folder.mkdir(exist_ok=True)
    as_frame(scanned.records).write_parquet(folder / f"{FILES}.parquet")
    return read_records(folder)


def again(music: Path, scanned: Scan, **how: bool) -> Scan:
    return scan(music, known(scanned), settled_s=0, **how)


def first(music: Path) -> Scan:
    return scan(music, {}, settled_s=0)


def ids(scanned: Scan) -> dict[str, str]:
    return {str(each.path): each.track_id for each in scanned.songs}


def test_the_first_scan_opens_all_and_the_next_none(music, tmp_path, monkeypatch):
    scanned = first(music)
    assert (len(scanned.songs), scanned.looked) == (10, 11)
    before = known(scanned, tmp_path / "kept")
    assert before == known(scanned)
    monkeypatch.setattr(looking, "probe", lambda file: pytest.fail(f"{file} was opened"))
    once_more = scan(music, before, settled_s=0)
    assert once_more.looked == 0
    assert once_more.songs == scanned.songs
    assert as_tables(music, once_more).tables["tracks"].equals(as_tables(music, scanned).tables["tracks"])
    assert as_tables(music, once_more).rejects["source"].to_list() == ["letter.mp3"]


def test_only_what_is_new_or_changed_is_opened(music):
    scanned = first(music)
    write(music / "new.flac", tone(1, hertz=999))
    file = mutagen.File(music / "0/0.flac")
    file["title"] = "Retagged"
    file.save()
    once_more = again(music, scanned)
    assert once_more.looked == 2
    assert ids(once_more) == {**ids(scanned), "new.flac": "new.flac"}
    titles = as_tables(music, once_more).tables["tracks"]["title"].to_list()
    assert (titles.count("Retagged"), len(titles)) == (1, 11)


def test_a_moved_song_keeps_its_id(music):
    scanned = first(music)
    (music / "0/0.flac").rename(music / "renamed.flac")
    once_more = again(music, scanned)
    assert ids(once_more)["renamed.flac"] == "0/0.flac"
    assert (len(once_more.songs), once_more.gone, once_more.looked) == (10, (), 1)
    told = as_tables(music, once_more).remarks.filter(what="read as").row(0, named=True)
    assert "the same id" in told["reason"]
    assert told["example"] == "0/0.flac -> renamed.flac"
    assert again(music, once_more).songs == once_more.songs


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "m4a"])
def test_a_song_that_moved_and_got_other_tags_on_the_way_keeps_its_id(kind, tmp_path):
    write(tmp_path / f"music/a.{kind}", tone(2))
    write(tmp_path / f"music/b.{kind}", tone(2, hertz=999))
    scanned = first(tmp_path / "music")
    moved = (tmp_path / f"music/a.{kind}").rename(tmp_path / f"music/c.{kind}")
    file = mutagen.File(moved, easy=True)
    if file.tags is None:
        file.add_tags()
    file["title"] = ["Another title than before"]
    file.save()
    assert ids(again(tmp_path / "music", scanned)) == {f"b.{kind}": f"b.{kind}", f"c.{kind}": f"a.{kind}"}


def test_the_imports_of_a_folder_scanned_or_read_once_are_the_same(music):
    (music / "list.m3u").write_text("0/0.flac\n1/1.flac\n")
    one, other = import_folder(music), as_tables(music, first(music))
    for name, frame in one.tables.items():
        assert frame.equals(other.tables[name], null_equal=True)
    second = as_tables(music, scan(music, {}, "second/", settled_s=0), "second/")
    assert second.tables["playlist_tracks"].rows() == [
        ("second/list.m3u", 0, "second/0/0.flac"),
        ("second/list.m3u", 1, "second/1/1.flac"),
    ]


class TestGone:
    def test_a_folder_that_is_missing_leaves_the_catalogue(self, music):
        scanned = first(music)
        music.rename(music.with_name("unmounted"))
        with pytest.raises(UserError, match=r"music is missing, and 10 songs with it.*\n.*--allow-gone"):
            again(music, scanned)
        music.mkdir()  # the mount point, empty
        with pytest.raises(
            UserError, match=r"10 of 10 songs are gone from .*music, such as 0/0.flac.*\n.*--allow-gone"
        ):
            again(music, scanned)
        assert again(music, scanned, allow_gone=True).songs == []

    def test_more_than_a_fifth_is_refused_and_a_fifth_is_not(self, music):
        scanned = first(music)
        for number in (0, 2):
            (music / f"0/{number}.flac").unlink()
        assert [str(path) for path in again(music, scanned).gone] == ["0/0.flac", "0/2.flac"]
        (music / "0/4.flac").unlink()
        with pytest.raises(UserError, match=r"3 of 10 songs are gone"):
            again(music, scanned)
        allowed = again(music, scanned, allow_gone=True)
        assert len(allowed.songs) == 7
        assert again(music, allowed).songs == allowed.songs

    def test_a_few_may_always_go(self, music):
        shutil.rmtree(music / "1")
        for number in (2, 4, 6):
            (music / f"0/{number}.flac").unlink()
        scanned = first(music)
        assert len(scanned.songs) == 2
        (music / "0/0.flac").unlink()
        assert len(again(music, scanned).songs) == 1

    def test_a_song_that_comes_back_elsewhere_is_the_same(self, music, tmp_path):
        scanned = first(music)
        (music / "0/0.flac").rename(tmp_path / "aside.flac")
        without = again(music, scanned)
        assert len(without.songs) == 9
        (tmp_path / "aside.flac").rename(music / "back.flac")
        assert ids(again(music, without))["back.flac"] == "0/0.flac"

    def test_songs_that_become_unreadable_are_gone_as_well(self, music):
        scanned = first(music)
        for number in (0, 2, 4):
            (music / f"0/{number}.flac").write_bytes(b"")
        with pytest.raises(UserError, match="3 of 10 songs are gone"):
            again(music, scanned)

    def test_a_folder_that_vanishes_in_the_middle_is_refused(self, music, monkeypatch):
        scanned = first(music)
        write(music / "new.flac", tone(1, hertz=999))

        def unmount(*arguments: object) -> object:
            music.rename(music.with_name("unmounted"))
            return looking.look(*arguments)

        monkeypatch.setattr(scanning, "look", unmount)
        with pytest.raises(UserError, match="music is missing"):
            again(music, scanned)

    @pytest.mark.parametrize("whole", [True, False])
    def test_what_lies_below_a_folder_that_cannot_be_listed_stays(self, music, monkeypatch, whole):
        scanned = first(music)
        walk = os.walk

        def refused(top: Path, onerror: object = None) -> object:
            # Permissions do not stop whoever runs the tests as root.
            for folder, folders, names in walk(top):
                closed = Path(folder) if whole else Path(folder, "1")
                if whole or "1" in folders:
                    onerror(PermissionError(13, "Permission denied", str(closed)))
                    folders[:] = [name for name in folders if name != "1"]
                if not whole:
                    yield folder, folders, names

        monkeypatch.setattr(os, "walk", refused)
        if whole:
            with pytest.raises(UserError, match="cannot be listed"):
                again(music, scanned)
            return
        once_more = again(music, scanned)
        assert once_more.songs == scanned.songs
        assert len(once_more.unseen) == 5
        assert "below a folder" in " ".join(as_tables(music, once_more).remarks["reason"])


class TestSettling:
    def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_scan(self, music, monkeypatch):
        scanned = first(music)
        write(music / "new.flac", tone(1, hertz=999))
        probe = looking.probe

        def grows(file: Path) -> object:
            facts = probe(file)
            with file.open("ab") as still:
                still.write(b"more")
            return facts

        monkeypatch.setattr(looking, "probe", grows)
        once_more = again(music, scanned)
        assert once_more.songs == scanned.songs
        assert once_more.unsettled == {PurePosixPath("new.flac")}
        told = as_tables(music, once_more).remarks.filter(what="passed over")
        assert told.select("reason", "rows", "example").rows() == [
            ("still being written: left for the next scan", 1, "new.flac")
        ]
        monkeypatch.setattr(looking, "probe", probe)
        assert len(again(music, once_more).songs) == 11

    def test_a_known_song_that_is_being_written_stays_as_it_was(self, music, monkeypatch):
        scanned = first(music)
        (music / "0/0.flac").write_bytes((music / "0/0.flac").read_bytes()[:5000])
        monkeypatch.setattr(scanning, "unsettled", lambda root, looked, wait: {each.path for each in looked})
        once_more = again(music, scanned)
        assert once_more.songs == scanned.songs
        monkeypatch.undo()
        assert again(music, once_more).looked == 1

    def test_what_was_written_a_moment_ago_is_looked_at_twice(self, music):
        path = write(music / "new.flac", tone(1, hertz=999))
        seen = looking.stamp(path)
        looked = [FileRecord(PurePosixPath("new.flac"), *seen)]
        later = threading.Timer(0.2, lambda: path.write_bytes(path.read_bytes() + b"more"))
        later.start()
        assert looking.unsettled(music, looked, 1.0) == {PurePosixPath("new.flac")}
        later.join()

    def test_a_clock_set_back_makes_nobody_wait(self, music):
        ahead = time.time_ns() + 10**15
        os.utime(music / "0/0.flac", ns=(ahead, ahead))
        assert len(scan(music, {}, settled_s=0.1).songs) == 10

    def test_a_scan_that_was_cut_off_goes_on(self, music, monkeypatch):
        kept: list[FileRecord] = []
        monkeypatch.setattr(scanning, "KEEP_EVERY_S", 0.0)
        scan(music, {}, settled_s=0, keep=lambda records: kept.append(records[-1]))
        half: Records = {each.path: each for each in kept[:6]}
        on = scan(music, {}, settled_s=0, unfinished=half)
        assert on.looked == 5
        assert on.songs == first(music).songs


def test_a_table_of_another_version_gives_ids_alone(music, tmp_path):
    scanned = first(music)
    (music / "0/0.flac").rename(music / "moved.flac")
    known(scanned, tmp_path / "kept")
    as_frame(scanned.records).drop("isrc", "title", strict=False).write_parquet(tmp_path / f"kept/{FILES}.parquet")
    once_more = scan(music, read_records(tmp_path / "kept"), settled_s=0)
    assert once_more.looked == 11
    assert ids(once_more)["moved.flac"] == "0/0.flac"
    assert read_records(tmp_path / "nowhere") == {}
