"""The log-mel front end: 16 kHz mono -> decibels over 128 Slaney bands, one frame every 96 ms (librosa's defaults)."""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.transforms import MelSpectrogram

SAMPLE_RATE = 16_000
N_FFT = 2048
HOP = 1536
BANDS = 128
TOP_DB = 80.0
MAX_SECONDS = 120.0
MAX_FRAMES = 1251
"""1 + floor(120 * 16000 / 1536)."""
QUIETEST = 1e-10
LEVELS = np.linspace(-TOP_DB, 0, 256, dtype=np.float32)
"The decibels that a byte stands for, 0.31 dB apart."


def log_mel(samples: NDArray[np.float32], device: str = "cpu") -> NDArray[np.float32]:
    """Decibels below the track's loudest cell, (T, 128) in [-80, 0]; T = 1 + floor(len / 1536).

    samples: (n,) float32 at 16 kHz. device: where it is computed. Equals librosa.power_to_db(melspectrogram(...),
    ref=np.max, top_db=80). Raises ValueError for no samples, for samples that are not finite, and where their power is
    not.
    """
    if samples.size == 0 or not np.isfinite(samples).all():
        raise ValueError("samples are empty or not finite")
    power = _transform(device)(torch.from_numpy(np.ascontiguousarray(samples)).to(device))
    if not torch.isfinite(power).all():
        raise ValueError(f"samples reach {np.abs(samples).max():.0e}, their power is not finite")
    decibels = 10 * torch.log10(power.clamp(min=QUIETEST))
    decibels = (decibels - decibels.max()).clamp(min=-TOP_DB)
    mel: NDArray[np.float32] = decibels.T.contiguous().cpu().numpy()
    return mel


def quantise(mel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels in [-80, 0] as the number of the nearest of LEVELS, at most 0.16 dB away."""
    levels: NDArray[np.uint8] = np.rint((mel + TOP_DB) * (255 / TOP_DB)).astype(np.uint8)
    return levels


def standardise(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(x - mean) / (std + 1e-8) over all the cells given; as published if padding is among them."""
    standard: NDArray[np.float32] = (mel - mel.mean()) / (mel.std() + 1e-8)
    return standard


def standardise_levels(levels: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """`standardise` of the cache's bytes where they lie: levels (B, T, 128) uint8 -> float32, 0 where mask (B, T) is 0.

    A level is a line through its decibels, and the mean and the deviation take the line away.
    """
    x = levels.float()
    kept = torch.ones_like(x[..., 0]) if mask is None else mask.float()
    cells = kept.sum(dim=1)[:, None, None] * levels.shape[-1]
    x = (x - (x * kept[..., None]).sum(dim=(1, 2), keepdim=True) / cells) * kept[..., None]
    return x / (x.square().sum(dim=(1, 2), keepdim=True) / cells).sqrt().clamp(min=1e-8)


def standardised(frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(B, T, 128) what the towers read: the cache's bytes standardised, and mels that are so already as they are."""
    return standardise_levels(frames, mask) if frames.dtype == torch.uint8 else frames


def band_statistics(frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """(B, 3 x 128) mean and deviation over time of each band, and the deviation of its change from frame to frame.

    frames: (B, T, 128) standardised; mask: (B, T), 1 for frames of the song. Computed in float32.
    Statistics pooling as of x-vectors (Snyder et al. 2018, ICASSP), of the input instead of hidden layers.
    """
    x = frames.float()
    kept = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].float()
    mean, deviation = _moments(x, kept)
    _, change = _moments(x[:, 1:] - x[:, :-1], kept[:, 1:])
    return torch.cat([mean, deviation, change], dim=1)


def _moments(x: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation over the kept frames, (B, 128) each."""
    frames = kept.sum(dim=1).clamp(min=1)
    mean = (x * kept).sum(dim=1) / frames
    variance = ((x - mean[:, None]).square() * kept).sum(dim=1) / frames
    return mean, variance.sqrt()


@cache
def _transform(device: str) -> MelSpectrogram:
    transform = MelSpectrogram(
        SAMPLE_RATE,
        n_fft=N_FFT,
        hop_length=HOP,
        n_mels=BANDS,
        power=2.0,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    return transform.to(device)
