"""What keeping a mel in bytes costs: nearly nothing of a song's vector."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cosine_similarity

from encoders.htcl import HtclModel
from encoders.model.config import preset_config
from encoders.model.mel import LEVELS, log_mel, quantise
from encoders.model.processing import collate_mels
from encoders.training.initialisation import spread_heads
from tests.encoders.toys import sound

RATE, SECONDS = 16_000, 20


def signals() -> list[NDArray[np.float32]]:
    """Chords, noise, clicks, sweeps, tones that come and go; each once more so quiet that 16 bits hardly hold it."""
    rng = np.random.default_rng(0)
    time = np.arange(SECONDS * RATE) / RATE
    found = [sound(number, SECONDS) for number in range(8)]
    for number in range(4):
        hertz = 200 * 2**number
        noise = rng.standard_normal(len(time))
        found += [
            0.1 * noise * (1.1 + np.sin(2 * np.pi * time / 3)),
            np.cumsum(noise) / 500,
            (rng.random(len(time)) < (number + 1) / 8000) * 0.8,
            0.5 * np.sin(2 * np.pi * hertz * time * (1 + time)),
            0.5 * np.sin(2 * np.pi * hertz * time) * (np.sin(2 * np.pi * (1 + number) * time) > 0) + 1e-3 * noise,
        ]
    quiet = [np.rint(samples * 30) / 32_768 for samples in found]
    return [samples.astype(np.float32) for samples in (*found, *quiet)]


def test_levels_are_at_most_half_a_step_away() -> None:
    mel = np.concatenate([log_mel(samples) for samples in signals()])
    assert np.abs(LEVELS[quantise(mel)] - mel).max() <= 40 / 255 + 1e-5
    np.testing.assert_array_equal(quantise(LEVELS), np.arange(256))
    assert (LEVELS[0], LEVELS[255]) == (-80, 0)


def test_vectors_from_bytes_are_those_from_float32() -> None:
    exact = [log_mel(samples) for samples in signals()]
    torch.manual_seed(0)
    model = HtclModel(preset_config("small", 64)).eval()
    features, mask = collate_mels(exact)
    words = torch.randint(5, 64, (len(exact), 8))
    texts = {"input_ids": words, "attention_mask": torch.ones_like(words)}
    # Else all vectors would point one way, and no change could turn them.
    spread_heads(model, {"input_features": features, "audio_attention_mask": mask, **texts})

    def vectors(mels: list[NDArray[np.float32]]) -> Tensor:
        with torch.no_grad():
            found: Tensor = model.get_audio_features(*collate_mels(mels)).pooler_output
        return found

    wanted, found = vectors(exact), vectors([LEVELS[quantise(mel)] for mel in exact])
    assert cosine_similarity(wanted[:, None], wanted[None], dim=2).mean() < 0.1
    assert cosine_similarity(wanted, found).min() >= 0.999
    noise = [log_mel(np.random.default_rng(seed).standard_normal(SECONDS * RATE).astype(np.float32)) for seed in (1, 2)]
    # The worst case: it uses 20 of the 80 dB, and fresh heads magnify what little tells one noise from another.
    assert cosine_similarity(vectors(noise), vectors([LEVELS[quantise(mel)] for mel in noise])).min() >= 0.99
