"""The published training loop, written again plainly: float32, Adam, every song padded, no clipping and no masks."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from encoders.htcl import HtclModel
from encoders.model.mel import band_statistics
from encoders.model.processing import collate_mels


def plain_optimizer(model: HtclModel) -> torch.optim.Optimizer:
    """Adam with the paper's rates of stage 1: the text tower 1e-5, everything else 1e-4."""
    text = list(model.text_model.parameters())
    inside = set(map(id, text))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    return torch.optim.Adam([{"params": text, "lr": 1e-5}, {"params": rest, "lr": 1e-4}])


def plain_loss(model: HtclModel, frames: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Symmetric cross-entropy of the cosines of a batch. frames: (B, 1251, 128); ids, mask: (B, T)."""
    audio = model.audio_head(model.audio_model(frames)[1])
    if model.config.statistics_hidden:
        audio = audio + model.statistics_model(band_statistics(frames))
    text = model.text_head(model.pool_text(ids, mask)[1])
    logits = normalize(audio, dim=1) @ normalize(text, dim=1).T * model.log_scales[0].exp()
    target = torch.arange(len(frames), device=frames.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def plain_step(model: HtclModel, mels: Sequence[NDArray[np.float32]], words: dict[str, Tensor]) -> Callable[[], None]:
    """A step on one batch, to be called again and again. mels: (T, 128) decibels, filled up with silence to 1251."""
    device = next(model.parameters()).device
    frames = collate_mels(mels, published=True)[0].to(device)
    ids, mask = words["input_ids"].to(device), words["attention_mask"].to(device)
    optimizer = plain_optimizer(model)

    def step() -> None:
        model.train()
        plain_loss(model, frames, ids, mask).backward()
        optimizer.step()
        # At the end, and not before the next one: the side whose turn is next would have less memory at hand.
        optimizer.zero_grad()

    return step
