"""The front end against librosa."""

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from encoders.model.mel import (
    LEVELS,
    MAX_FRAMES,
    band_statistics,
    log_mel,
    quantise,
    standardise,
    standardise_levels,
    standardised,
)
from encoders.model.processing import collate_levels, collate_mels

RATE = 16_000


def librosa_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    power = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=2048, hop_length=1536, n_mels=128, pad_mode="constant"
    )
    return librosa.power_to_db(power, ref=np.max, top_db=80.0).T


def signals() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE) / RATE
    noise = rng.standard_normal(4 * RATE)
    sweep = np.sin(2 * np.pi * (50 * time + 950 * time**2))
    click = np.zeros(2 * RATE)
    click[RATE] = 1.0
    return {
        name: np.asarray(signal, np.float32)
        for name, signal in {
            "noise": 0.1 * noise,
            "sweep": 0.5 * sweep,
            "click": click,
            "half silent": np.where(time < 2, 0.3 * noise, 0.0),
            "constant": np.full(RATE, 0.25),
            "clipped": np.clip(5 * sweep, -1, 1),
            "as loud as 16 bit integers": 30_000 * sweep,
            "barely audible": 1e-4 * noise,
            "under the floor": 1e-7 * noise,
            "one second": 0.2 * noise[:RATE],
            "shorter than a window": 0.2 * noise[:700],
            "one sample": noise[:1],
            "silence": np.zeros(RATE),
        }.items()
    }


@pytest.mark.parametrize("name", signals())
def test_decibels_are_librosas(name: str) -> None:
    samples = signals()[name]
    mel = log_mel(samples)
    assert mel.dtype == np.float32
    assert mel.shape == (1 + len(samples) // 1536, 128)
    np.testing.assert_allclose(mel, librosa_mel(samples), atol=0.01)
    np.testing.assert_allclose(standardise(mel), standardise(librosa_mel(samples)), atol=0.005)


def test_two_minutes_are_1251_frames() -> None:
    samples = np.random.default_rng(1).standard_normal(120 * RATE).astype(np.float32)
    assert log_mel(samples).shape == (1251, 128)
    assert MAX_FRAMES == 1251


def test_gain_does_not_matter_above_the_floor() -> None:
    samples = signals()["noise"]
    np.testing.assert_allclose(log_mel(samples), log_mel(samples * 4), atol=1e-3)


def test_values_lie_between_minus_80_and_0() -> None:
    for name, samples in signals().items():
        mel = log_mel(samples)
        assert mel.max() == 0, name
        assert mel.min() >= -80, name


def test_standardised_has_mean_0_and_deviation_1() -> None:
    standard = standardise(log_mel(signals()["sweep"]))
    assert standard.mean() == pytest.approx(0, abs=1e-5)
    assert standard.std() == pytest.approx(1, abs=1e-5)


def test_bytes_are_standardised_as_their_decibels_each_song_over_its_own_frames() -> None:
    mels = [quantise(log_mel(signals()[name])) for name in ("sweep", "one second", "silence")]
    levels, mask = collate_levels(mels)
    together = standardise_levels(levels, mask)
    for row, mel in enumerate(mels):
        filled = np.pad(mel, ((0, max(0, 17 - len(mel))), (0, 0)))
        np.testing.assert_allclose(together[row, : len(filled)], standardise(LEVELS[filled]), atol=1e-5)
        assert not together[row, len(filled) :].any()
        torch.testing.assert_close(standardise_levels(torch.from_numpy(filled[None]))[0], together[row, : len(filled)])


def test_band_statistics_are_numpys_and_padding_is_no_frame() -> None:
    mels = [log_mel(samples) for samples in signals().values() if len(samples) > 20_000]
    found = band_statistics(*collate_mels(mels)).numpy()
    frames = [standardise(mel) for mel in mels]
    wanted = [np.concatenate([x.mean(axis=0), x.std(axis=0), np.diff(x, axis=0).std(axis=0)]) for x in frames]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(band_statistics(torch.from_numpy(frames[0])[None])[0], wanted[0], atol=1e-5)


def test_band_statistics_of_bytes_are_those_of_their_decibels() -> None:
    levels = [quantise(log_mel(samples)) for samples in signals().values() if len(samples) > 20_000]
    cached, mask = collate_levels(levels)
    decibels = collate_mels([LEVELS[level] for level in levels])[0]
    found = band_statistics(standardised(cached, mask), mask)
    torch.testing.assert_close(found, band_statistics(decibels, mask), atol=1e-4, rtol=0)


def test_silence_standardises_to_zeros() -> None:
    assert not standardise(log_mel(np.zeros(RATE, np.float32))).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_without_finite_power_are_refused(bad: float) -> None:
    samples = np.zeros(RATE, np.float32)
    samples[100] = bad
    with pytest.raises(ValueError, match="finite"):
        log_mel(samples)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        log_mel(np.zeros(0, np.float32))
