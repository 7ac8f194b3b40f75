"""Batches of random songs, and a small model to read them."""

from typing import Any

import torch
from torch import Tensor

from encoders.htcl import HtclModel
from tests.encoders.toys import tiny_model

Batch = dict[str, Tensor]


def batch(size: int = 4, seed: int = 0) -> Batch:
    """Songs of different lengths in both modalities."""
    torch.manual_seed(seed)
    lengths, words = torch.arange(size) * 3 + 20, torch.arange(size) % 4 + 3
    frames = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    tokens = (torch.arange(int(words.max())) < words[:, None]).long()
    return {
        "input_features": torch.randn(size, frames.shape[1], 128) * frames[..., None],
        "audio_attention_mask": frames,
        "input_ids": torch.randint(5, 64, tokens.shape) * tokens,
        "attention_mask": tokens,
    }


def audio_of(values: Batch) -> Batch:
    return {name: values[name] for name in ("input_features", "audio_attention_mask")}


def text_of(values: Batch) -> Batch:
    return {name: values[name] for name in ("input_ids", "attention_mask")}


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def settled(fusion: str = "mlp", **settings: Any) -> HtclModel:
    return tiny_model(fusion=fusion, **settings)
