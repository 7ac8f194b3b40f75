"""A sound is known again when its file was renamed or tagged anew, and a changed file is read again."""

from pathlib import Path

import mutagen
import pytest

from data.audio import file_keys
from data.audio.file_keys import content_keys
from tests.data.audio.sound_files import tone, write


def test_a_file_that_was_tagged_anew_or_moved_keeps_its_key(tmp_path: Path) -> None:
    song, other = write(tmp_path / "a.ogg", tone(2)), write(tmp_path / "b.ogg", tone(3))
    keys = content_keys(tmp_path, [song, None, other])
    assert keys[1] is None
    assert len(set(keys)) == 3
    file = mutagen.File(song)
    file["title"] = "Rain"
    file.save()
    assert content_keys(tmp_path, [song.rename(tmp_path / "c.ogg"), other]) == [keys[0], keys[2]]


def test_what_is_as_it_was_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = write(tmp_path / "a.ogg", tone(2))
    keys = content_keys(tmp_path, [song])
    monkeypatch.setattr(file_keys, "audio_fingerprint", lambda path: "read")
    assert content_keys(tmp_path, [song]) == keys
    write(song, tone(2.5))
    assert content_keys(tmp_path, [song]) == ["read"]


def test_a_missing_file_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = content_keys(tmp_path, [tmp_path / "a.mp3", tmp_path / "b.mp3"])
    assert None not in keys
    assert keys[0] != keys[1]
