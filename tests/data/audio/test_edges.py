"""Where sound begins and ends, and what is heard of channels that cancel."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data.audio.edges import BLOCK, mono, onset, without_silence
from data.audio.reading import AudioError, load_mono, read_audio

RATE = 16_000


def music(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def silence(samples: int, level: float = 0.0) -> np.ndarray:
    return np.random.default_rng(9).normal(0, level, samples).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(before=st.integers(0, 3 * BLOCK), behind=st.integers(0, 3 * BLOCK), level=st.sampled_from([0.0, 1e-5, 1e-4]))
def test_silence_at_either_end_changes_nothing(before: int, behind: int, level: float) -> None:
    song = music(1)
    padded = np.concatenate([silence(before, level), song, silence(behind, level)])
    np.testing.assert_array_equal(without_silence(padded, RATE), without_silence(song, RATE))


def test_silence_inside_a_song_stays() -> None:
    song = np.concatenate([music(1), silence(5 * RATE), music(1, 1)])
    assert len(without_silence(song, RATE)) == pytest.approx(len(song), abs=20)


@pytest.mark.parametrize("quiet", [np.zeros(RATE, np.float32), silence(RATE, 1e-4), np.zeros(0, np.float32)])
def test_what_is_nearly_silent_is_refused(quiet: np.ndarray) -> None:
    with pytest.raises(ValueError, match="silent"):
        without_silence(quiet, RATE)


def test_one_loud_channel_is_enough() -> None:
    song = np.stack([silence(RATE), music(1)], axis=1)
    assert onset(song, RATE) == onset(song[:, 1], RATE)


@pytest.mark.parametrize("other", [-1.0, -0.9, -0.75])
def test_channels_that_cancel_are_heard(other: float) -> None:
    song = music(1)
    heard = mono(np.stack([song, other * song], axis=1))
    np.testing.assert_array_equal(heard, song)


def test_channels_that_do_not_cancel_are_averaged() -> None:
    channels = np.stack([music(1, 1), music(1, 2)], axis=1)
    np.testing.assert_allclose(mono(channels), channels.mean(axis=1))


@pytest.mark.parametrize("ending", [".flac", ".wav", ".ogg", ".mp3"])
def test_files_are_read_from_their_first_sound(tmp_path: Path, ending: str) -> None:
    song = np.stack([music(3), -music(3)], axis=1)
    soundfile.write(tmp_path / f"own{ending}", song, RATE)
    lead = np.zeros((12 * RATE, 2), np.float32)
    soundfile.write(tmp_path / f"late{ending}", np.concatenate([lead, song, lead]), RATE)
    own, late = (load_mono(tmp_path / f"{name}{ending}", RATE, 2.5, trim=True) for name in ("own", "late"))
    assert len(own) == len(late) == 2.5 * RATE  # the seconds count from the first sound
    if ending in (".flac", ".wav"):
        np.testing.assert_array_equal(own, late)


def test_a_silent_file_is_refused_where_edges_are_trimmed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.flac", np.zeros(2 * RATE), RATE)
    assert len(read_audio(tmp_path / "silence.flac")[0]) == 2 * RATE
    with pytest.raises(AudioError, match=r"silence\.flac: silent: nothing in it is louder than -60 dB"):
        read_audio(tmp_path / "silence.flac", trim=True)
