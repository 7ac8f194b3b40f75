"""A file's key is its sound's: tags and places change nothing, another sound does."""

import shutil
from pathlib import Path
from typing import Any

import mutagen
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import numpy as np
import pytest

from data.identity.fingerprint import audio_fingerprint
from tests.data.audio.sound_files import KINDS, cut, tone, write

LONG = "a comment that needs more room than there is " * 2000
PICTURE = b"\xff\xd8\xff" + bytes(70_000)


def retag(path: Path, title: str, comment: str) -> None:
    """Tags of the kind that belongs into the file, by mutagen, so long that what follows has to move."""
    kind = path.suffix[1:]
    if kind in ("mp3", "wav", "aac"):
        tags = mutagen.id3.ID3() if kind != "wav" else None
        opened: Any = mutagen.File(path) if kind == "wav" else None
        if opened is not None:
            opened.add_tags() if opened.tags is None else None
            tags = opened.tags
        assert tags is not None
        tags.setall("TIT2", [mutagen.id3.TIT2(text=title)])
        tags.setall("COMM", [mutagen.id3.COMM(text=comment)])
        tags.setall("APIC", [mutagen.id3.APIC(mime="image/jpeg", type=3, data=PICTURE)])
        opened.save() if opened is not None else tags.save(path, v1=2)
        return
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    keys = ("\xa9nam", "\xa9cmt") if kind == "m4a" else ("title", "comment")
    file[keys[0]], file[keys[1]] = title, comment
    if kind == "flac":
        picture = mutagen.flac.Picture()
        picture.data, picture.mime = PICTURE, "image/jpeg"
        file.add_picture(picture)
    file.save()


@pytest.mark.parametrize("kind", KINDS)
def test_tags_and_places_do_not_change_a_file_s_key(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"song.{kind}", tone(3))
    key, before = audio_fingerprint(path), path.read_bytes()
    assert len(key) == 32
    retag(path, "Rain", "short")
    assert audio_fingerprint(path) == key
    retag(path, "Snow", LONG)
    assert path.stat().st_size > len(before) + len(LONG) // 2
    assert audio_fingerprint(path) == key
    moved = tmp_path / "other folder" / f"Ännchen 07.{kind}"
    moved.parent.mkdir()
    shutil.move(path, moved)
    assert audio_fingerprint(moved) == key


def test_an_ape_tag_behind_an_mp3_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "song.mp3", tone(3))
    key = audio_fingerprint(path)
    tags = mutagen.apev2.APEv2()
    tags["Title"] = "Rain"
    tags.save(path)
    assert audio_fingerprint(path) == key


@pytest.mark.parametrize("kind", KINDS)
def test_another_sound_has_another_key_and_the_same_sound_the_same(kind: str, tmp_path: Path) -> None:
    one, again = write(tmp_path / f"1.{kind}", tone(2)), tmp_path / f"2.{kind}"
    shutil.copy(one, again)
    louder = write(tmp_path / f"3.{kind}", tone(2) * np.float32(0.5))
    longer = write(tmp_path / f"4.{kind}", tone(2.5))
    keys = [audio_fingerprint(path) for path in (one, again, louder, longer)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_the_kind_of_file_is_part_of_the_key(tmp_path: Path) -> None:
    keys = {audio_fingerprint(write(tmp_path / f"song.{kind}", tone(2))) for kind in KINDS}
    assert len(keys - {""}) >= len(KINDS) - 1  # AAC alone and AAC in an MP4 may be the same packets


def test_a_file_that_is_cut_or_no_sound_has_a_key_of_what_is_there(tmp_path: Path) -> None:
    whole = audio_fingerprint(write(tmp_path / "song.flac", tone(3)))
    assert audio_fingerprint(cut(tmp_path / "song.flac", 0.5)) not in (whole, "")
    text = tmp_path / "letter.mp3"
    text.write_text("Dear listener\n" * 99)
    other = tmp_path / "other.mp3"
    other.write_text("Dear Ann\n" * 99)
    assert "" not in (audio_fingerprint(text), audio_fingerprint(other))
    assert audio_fingerprint(text) != audio_fingerprint(other)
    (tmp_path / "empty.ogg").touch()
    assert audio_fingerprint(tmp_path / "empty.ogg")


def test_where_nothing_can_be_read_there_is_no_key(tmp_path: Path) -> None:
    assert audio_fingerprint(tmp_path / "missing.mp3") == ""
    assert audio_fingerprint(tmp_path) == ""
