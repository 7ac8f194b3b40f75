"""Songs keep their ids: the rules on made-up files, without any sound."""

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from data.importers.library.files import FileRecord
from data.importers.library.same_songs import with_ids


def record(
    path: str, sound: str, size: int = 1, mtime_ns: int = 0, track_id: str = "", gone: bool = False
) -> FileRecord:
    return FileRecord(PurePosixPath(path), size, mtime_ns, sound, track_id=track_id, gone=gone)


def remembered(*records: FileRecord) -> dict[PurePosixPath, FileRecord]:
    return {each.path: each for each in records}


def ids(now: list[FileRecord], before: dict[PurePosixPath, FileRecord], prefix: str = "") -> dict[str, str]:
    named, _ = with_ids(now, before, prefix)
    return {str(each.path): each.track_id for each in named}


def test_new_files_are_called_by_their_paths():
    assert ids([record("a/b.mp3", "x")], {}) == {"a/b.mp3": "a/b.mp3"}
    assert ids([record("a/b.mp3", "x")], {}, "second/") == {"a/b.mp3": "second/a/b.mp3"}


def test_a_moved_song_keeps_its_id_and_the_new_one_in_its_place_gets_another():
    before = remembered(record("a.mp3", "x", track_id="a.mp3"))
    now = [record("a.mp3", "y", size=2), record("b/a.mp3", "x")]
    assert ids(now, before) == {"a.mp3": "a.mp3 (2)", "b/a.mp3": "a.mp3"}


def test_two_that_change_places_change_their_ids():
    before = remembered(record("a", "x", 1, track_id="a"), record("b", "y", 2, track_id="b"))
    assert ids([record("a", "y", 2), record("b", "x", 1)], before) == {"a": "b", "b": "a"}


def test_a_copy_is_a_song_of_its_own():
    before = remembered(record("a", "x", track_id="a"))
    assert ids([record("a", "x"), record("b", "x")], before) == {"a": "a", "b": "b"}


def test_another_sound_in_the_same_place_is_the_same_song():
    assert ids([record("a", "better", 2)], remembered(record("a", "x", track_id="a"))) == {"a": "a"}


def test_of_several_that_sound_alike_the_one_of_the_same_name_has_moved():
    before = remembered(record("1/a", "x", track_id="1/a"), record("1/b", "x", track_id="1/b"))
    assert ids([record("2/b", "x"), record("2/a", "x")], before) == {"2/b": "1/b", "2/a": "1/a"}


def test_a_song_that_comes_back_elsewhere_has_its_id_again():
    before = remembered(record("a", "x", track_id="a", gone=True))
    assert ids([record("b", "x")], before) == {"b": "a"}
    assert ids([record("b", "y")], before) == {"b": "b"}


def test_what_cannot_be_heard_is_nobody_else():
    before = remembered(record("a", "", track_id="a"))
    assert ids([record("b", "")], before) == {"b": "b"}


NAMES = st.sampled_from(["a", "b", "c", "d/a", "d/b"])
FILES = st.dictionaries(NAMES, st.tuples(st.sampled_from(["", "x", "y", "z"]), st.integers(1, 2)), max_size=5)


@given(st.lists(FILES, min_size=2, max_size=6))
def test_whatever_happens_between_scans(scans):
    before: dict[PurePosixPath, FileRecord] = {}
    for files in scans:
        now = [record(path, sound, size) for path, (sound, size) in sorted(files.items())]
        named, moved = with_ids(now, before)
        assert [each.path for each in named] == [each.path for each in now]
        assert len({each.track_id for each in named}) == len(named)
        for each in named:
            known = before.get(each.path)
            if known is not None and (known.size, known.fingerprint) == (each.size, each.fingerprint):
                assert each.track_id == known.track_id
            if each.path in moved:
                assert before[moved[each.path]].fingerprint == each.fingerprint
                assert before[moved[each.path]].track_id == each.track_id
        again, moved = with_ids(now, {each.path: each for each in named})
        assert (again, moved) == (named, {})
        here = {each.path for each in named}
        used = {each.track_id for each in named}
        left = [each.as_gone() for each in before.values() if each.path not in here and each.track_id not in used]
        before = {each.path: each for each in [*left, *named]}
