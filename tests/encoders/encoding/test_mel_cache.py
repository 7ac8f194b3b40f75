"""The mel cache."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import encoders.encoding.decoding_pool as decoding
import encoders.encoding.mel_cache as features
from data.audio.reading import AudioError
from data.errors import DamagedError
from data.storage.hashing import sha256, short_hash
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.model.mel import log_mel
from tests.encoders.conftest import MakeCatalogue, World
from tests.encoders.toys import sound


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, in order; chunks of 3 songs, one thread."""
    names: list[str] = []
    load = features.load_mono

    def spy(path: Path, *args: object, trim: bool) -> object:
        names.append(path.name)
        return load(path, *args, trim=trim)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "load_mono", spy)
    monkeypatch.setattr(features, "CHUNK", 3)
    monkeypatch.setattr(decoding.joblib, "cpu_count", lambda: 1)
    return names


def mels_of(world: World) -> Mels:
    workspace, dataset = world
    return ensure_mels(workspace.mels, dataset)


def the_same(one: Mels, two: Mels) -> bool:
    if list(one.present) != list(two.present):
        return False
    return all(np.array_equal(one[track], two[track]) for track in np.flatnonzero(one.present))


def test_every_song_with_audio_has_its_mel_within_half_a_step(make_catalogue: MakeCatalogue) -> None:
    world = make_catalogue(5, audio=[0, 2, 4])
    mels = mels_of(world)
    assert mels.present.tolist() == [True, False, True, False, True]
    for track in (0, 2, 4):
        samples, _ = soundfile.read(world[0].root / "audio" / f"{track:02}.wav", dtype="float32")
        exact = log_mel(samples)
        assert mels[track].dtype == np.float32
        assert mels.frames(track) == len(exact) == 32
        assert np.abs(mels[track] - exact).max() <= 40 / 255 + 1e-5
        assert mels[track].max() == 0
    assert mels.frames(1) == 0
    with pytest.raises(KeyError, match="track 1"):
        mels[1]


def test_a_second_call_decodes_nothing(make_catalogue: MakeCatalogue, decoded: list[str]) -> None:
    world = make_catalogue(7)
    first = mels_of(world)
    assert sorted(decoded) == [f"{number:02}.wav" for number in range(7)]
    decoded.clear()
    again = mels_of(world)
    assert decoded == []
    assert again.fingerprint == first.fingerprint
    assert the_same(first, again)


def test_an_interrupted_run_goes_on_with_the_next_chunk(
    make_catalogue: MakeCatalogue, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_catalogue(8)
    write = features._write_chunk

    def stop_at_the_third(folder: Path, number: int, *rest: object) -> None:
        if number == 2:
            raise KeyboardInterrupt
        write(folder, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "_write_chunk", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        mels_of(world)
    monkeypatch.setattr(features, "_write_chunk", write)
    decoded.clear()
    mels = mels_of(world)
    assert decoded == ["06.wav", "07.wav"]
    assert mels.present.all()


def test_a_changed_file_alone_is_decoded_again(make_catalogue: MakeCatalogue, decoded: list[str]) -> None:
    world = make_catalogue(5)
    first = mels_of(world)
    decoded.clear()
    soundfile.write(world[0].root / "audio" / "03.wav", sound(9), 16_000)
    second = mels_of(world)
    assert decoded == ["03.wav"]
    assert second.fingerprint != first.fingerprint
    assert not np.array_equal(first[3], second[3])
    assert np.array_equal(first[2], second[2])


def test_another_sound_of_the_same_length_has_another_fingerprint_after_the_cache_is_lost(
    make_catalogue: MakeCatalogue,
) -> None:
    world = make_catalogue(2)
    first = mels_of(world).fingerprint
    soundfile.write(world[0].root / "audio" / "01.wav", sound(9), 16_000)
    for path in world[0].mels.iterdir():
        path.unlink()
    assert mels_of(world).fingerprint != first


def test_new_songs_are_added_and_the_old_ones_kept(make_catalogue: MakeCatalogue, decoded: list[str]) -> None:
    first = mels_of(make_catalogue(4, audio=[0, 2, 3]))
    decoded.clear()
    second = mels_of(make_catalogue(5))
    assert decoded == ["01.wav", "04.wav"]
    assert second.present.all()
    assert np.array_equal(first[3], second[3])


def _cut(folder: Path) -> None:
    path = folder / "chunk-00001.npy"
    path.write_bytes(path.read_bytes()[:-100])


def _no_rows(folder: Path) -> None:
    (folder / "chunk-00001.npy").unlink()


def _cut_description(folder: Path) -> None:
    path = folder / "chunk-00001.json"
    path.write_text(path.read_text()[:50])


def _no_description(folder: Path) -> None:
    (folder / "chunk-00001.json").unlink()


def _other_format(folder: Path) -> None:
    path = folder / "chunk-00001.json"
    content = json.loads(path.read_text()) | {"settings": features.SETTINGS | {"format": "float16 dB, 2"}}
    del content["checksum"]
    path.write_text(json.dumps(content | {"checksum": short_hash(content)}))


def _other_frames(folder: Path) -> None:
    path = folder / "chunk-00001.json"
    path.write_text(path.read_text().replace('"frames": 32', '"frames": 31'))


def _gone(folder: Path) -> None:
    _no_rows(folder)
    _no_description(folder)


@pytest.mark.parametrize(
    "damage", [_cut, _no_rows, _cut_description, _no_description, _other_format, _other_frames, _gone]
)
def test_a_damaged_chunk_alone_is_decoded_again_once(
    make_catalogue: MakeCatalogue,
    decoded: list[str],
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
) -> None:
    world = make_catalogue(9)
    first = mels_of(world)
    expected = [np.array(first[track]) for track in range(9)]
    damage(world[0].mels)
    decoded.clear()
    again = mels_of(world)
    assert decoded == ["03.wav", "04.wav", "05.wav"]
    assert all(np.array_equal(again[track], expected[track]) for track in range(9))
    assert again.fingerprint == first.fingerprint
    decoded.clear()
    capsys.readouterr()
    assert the_same(mels_of(world), again)
    assert decoded == []
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink])
def test_a_chunk_that_is_damaged_in_place_is_never_read_and_decoded_again_by_the_next_run(
    make_catalogue: MakeCatalogue, decoded: list[str], damage: Callable[[Path], None]
) -> None:
    world = make_catalogue(9)
    expected = [mels_of(world)[track] for track in range(9)]
    decoded.clear()
    mels = mels_of(world)
    damage(world[0].mels / "chunk-00001.npy")
    assert np.array_equal(mels[2], expected[2])
    with pytest.raises(DamagedError, match=r"chunk-00001\.npy is damaged"):
        mels[3]
    again = mels_of(world)
    assert decoded == ["03.wav", "04.wav", "05.wav"]
    assert all(np.array_equal(again[track], expected[track]) for track in range(9))


def test_a_chunk_is_hashed_once_and_few_files_are_held_open(
    make_catalogue: MakeCatalogue, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_catalogue(9)
    mels_of(world)
    hashed: list[str] = []
    monkeypatch.setattr(features, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    monkeypatch.setattr(features, "OPEN", 1)
    mels = mels_of(world)
    assert hashed == []
    for track in (0, 8, 1, 7, 0):
        mels[track]
    assert hashed == ["chunk-00000.npy", "chunk-00002.npy"]


def test_the_mel_is_the_same_wherever_it_is_computed(
    make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_catalogue(4)
    (world[0].root / "audio" / "02.wav").write_text("<html>Not found</html>")
    by_workers = mels_of(world)
    for path in world[0].mels.iterdir():
        path.unlink()
    monkeypatch.setattr(features, "read_levels", features.read_samples)  # as with a GPU: the parent gets samples
    assert mels_of(world).fingerprint == by_workers.fingerprint


@pytest.mark.usefixtures("listening")
def test_a_file_that_no_decoder_reads_is_remembered_with_its_reason(
    make_catalogue: MakeCatalogue, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_catalogue(4)
    audio = world[0].root / "audio"
    (audio / "01.wav").write_text("<html>Not found</html>")
    (audio / "02.wav").unlink()
    mels = mels_of(world)
    assert mels.present.tolist() == [True, False, False, True]
    assert "web page" in mels.rejects[1]
    assert "no such file" in mels.rejects[2]
    assert "song-01" in capsys.readouterr().err
    decoded.clear()
    again = mels_of(world)
    assert decoded == []
    assert again.rejects == mels.rejects
    assert again.fingerprint == mels.fingerprint
    soundfile.write(audio / "01.wav", sound(1), 16_000)
    assert mels_of(world).present.tolist() == [True, True, False, True]
    assert decoded == ["01.wav"]


def test_what_lies_with_the_machine_is_tried_again(
    make_catalogue: MakeCatalogue, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, load = make_catalogue(4), features.load_mono

    def forbidden(path: Path, *args: object, trim: bool) -> object:
        if path.name in ("01.wav", "03.wav"):
            try:
                raise PermissionError(13, "Permission denied")
            except PermissionError as error:
                raise AudioError("cannot be read (Permission denied)", path) from error
        return load(path, *args, trim=trim)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(features, "load_mono", forbidden)
        mels = mels_of(world)
    assert mels.present.tolist() == [True, False, True, False]
    assert "Permission denied" in mels.rejects[1]
    decoded.clear()
    again = mels_of(world)
    assert again.present.all()
    assert not again.rejects
    assert sorted(decoded) == ["01.wav", "03.wav"]


def test_files_that_were_moved_are_found_by_their_content(make_catalogue: MakeCatalogue, decoded: list[str]) -> None:
    workspace, dataset = make_catalogue(4)
    before = ensure_mels(workspace.mels, dataset)
    decoded.clear()
    folder = workspace.root / "audio"
    for number in range(4):
        (folder / f"{number:02}.wav").rename(workspace.root / f"moved-{number}.wav")
        (folder / f"{number:02}.wav").write_bytes((workspace.root / f"moved-{number}.wav").read_bytes())
    assert the_same(ensure_mels(workspace.mels, dataset), before)
    assert not decoded


def test_keys_that_were_lost_are_read_again(make_catalogue: MakeCatalogue, decoded: list[str]) -> None:
    workspace, dataset = make_catalogue(4)
    before = ensure_mels(workspace.mels, dataset)
    for damage in ("", "[1, 2", "[]"):
        (workspace.mels / "files.json").write_text(damage)
        decoded.clear()
        assert the_same(ensure_mels(workspace.mels, dataset), before)
        assert not decoded


def test_a_sound_whose_power_is_not_finite_is_a_reject_and_not_a_crash(make_catalogue: MakeCatalogue) -> None:
    world = make_catalogue(2)
    loud = sound(1)
    loud[1000] = 1e30
    soundfile.write(world[0].root / "audio" / "01.wav", loud, 16_000, subtype="FLOAT")
    mels = mels_of(world)
    assert mels.present.tolist() == [True, False]
    assert "finite" in mels.rejects[1]


def test_a_catalogue_without_audio_has_no_mels(make_catalogue: MakeCatalogue) -> None:
    mels = mels_of(make_catalogue(3, audio=[]))
    assert not mels.present.any()
    assert mels.rejects == {}


def test_threads_of_torch_are_left_as_they_were(make_catalogue: MakeCatalogue) -> None:
    import torch

    before = torch.get_num_threads()
    mels_of(make_catalogue(1))
    assert torch.get_num_threads() == before


def test_songs_at_any_rate_are_read_at_16_khz(make_catalogue: MakeCatalogue) -> None:
    world = make_catalogue(2)
    soundfile.write(world[0].root / "audio" / "01.wav", sound(0, rate=44_100), 44_100)
    mels = mels_of(world)
    assert mels.frames(1) == 32
    chord = mels[0] > -25  # what lies below is noise, another one at another rate
    assert chord.sum() > 100
    assert np.abs(mels[0] - mels[1])[chord].max() < 1
