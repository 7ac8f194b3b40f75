"""Odd files through the whole pipeline, by processes: each has a mel or a reason, and none harms the others."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import encoders.encoding.decoding_pool as decoding
import encoders.encoding.mel_cache as features
from encoders.encoding.mel_cache import ensure_mels
from encoders.model.mel import log_mel
from encoders.model.processing import collate_mels
from tests.encoders import readers
from tests.encoders.conftest import MakeCatalogue
from tests.encoders.toys import sound, tiny_model


def write_odd_files(folder: Path) -> None:
    """In the place of all songs but 09."""
    (folder / "00.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "01.wav").write_bytes(b"")
    soundfile.write(folder / "02.wav", np.zeros(48_000, np.float32), 16_000)
    soundfile.write(folder / "03.wav", sound(3, 1.1), 16_000)
    soundfile.write(folder / "04.wav", sound(4, 3, 8_000), 8_000)
    soundfile.write(folder / "05.wav", sound(5, 3, 192_000), 192_000)
    soundfile.write(folder / "06.wav", np.stack([sound(6)] * 6, axis=1), 16_000)  # 5.1
    (folder / "07.wav").write_bytes((folder / "09.wav").read_bytes()[:20_044])  # cut after 0.6 s
    (folder / "08.wav").write_bytes(b"killer")
    unknown = bytearray((folder / "10.wav").read_bytes())
    unknown[20:22] = b"\x34\x12"  # the codec's number
    (folder / "10.wav").write_bytes(unknown)


def test_each_has_a_mel_or_a_reason(make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, dataset = make_catalogue(11)
    write_odd_files(workspace.root / "audio")
    monkeypatch.setattr(decoding, "MIN_FOR_WORKERS", 0)
    monkeypatch.setattr(features, "CHUNK", 4)
    monkeypatch.setattr(features, "read_levels", readers.levels_unless_killer)
    mels = ensure_mels(workspace.mels, dataset, workers=1)
    assert {track: mels.frames(track) for track in np.flatnonzero(mels.present)} == {
        3: 12, 4: 32, 5: 32, 6: 32, 9: 32
    }  # fmt: skip
    assert "not audio" in mels.rejects[0]
    assert "empty file" in mels.rejects[1]
    assert "silent" in mels.rejects[2]
    assert "ends after 0.6 s" in mels.rejects[7]
    assert "decoding it ends the process (SIGSEGV)" in mels.rejects[8]
    assert "codec" in mels.rejects[10]
    for track in (4, 5, 6):  # the same chord as at 16 kHz in mono; other noise below it
        expected = log_mel(sound(track))
        chord = expected > -20
        assert np.abs(mels[track] - expected)[chord].max() < 1.5
    values, mask = collate_mels([mels[int(track)] for track in np.flatnonzero(mels.present)])
    with torch.no_grad():
        assert torch.isfinite(tiny_model().get_audio_features(values, mask).pooler_output).all()
