"""How fresh heads start.

Random ones map all songs to nearly the same vector, and a contrastive loss then learns nothing for long: at first its
gradient only says that everything is alike.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from data.progress import meter
from encoders.model import HtclModel
from encoders.text import tokenize
from encoders.towers import Head
from encoders.training import schedule

FITTED_TEXTS = 8192
"""Texts that the text head is fitted to; more change little."""


@torch.no_grad()
def spread_heads(model: HtclModel, batch: dict[str, Tensor]) -> None:
    """Scale and shift the audio and text heads so that every layer's outputs over a batch have mean 0 and deviation 1.

    batch: as `SongReader.read` gives it, audio and text of a few hundred songs. Data-dependent initialisation, Salimans
    and Kingma 2016; the architecture stays as it is.
    """
    device = next(model.parameters()).device
    read = {name: value.to(device) for name, value in batch.items()}
    model.eval()
    _spread(model.audio_head, model.audio_model(read["input_features"], read["audio_attention_mask"])[1])
    _spread(model.text_head, model.pool_text(read["input_ids"], read["attention_mask"])[1])


def _spread(head: Head, x: Tensor) -> None:
    for layer in head:
        if isinstance(layer, nn.Linear):
            y = layer(x)
            mean, deviation = y.mean(dim=0), y.std(dim=0, correction=0).clamp(min=1e-6)
            layer.weight.div_(deviation[:, None])
            layer.bias.sub_(mean).div_(deviation)
        x = layer(x)


def fit_text_head(model: HtclModel, texts: Sequence[str], tokenizer: Any, steps: int = 2000, seed: int = 0) -> float:
    """Fit the text head alone so that its vectors keep the pre-trained tower's cosines; for text without audio.

    The cosines are those of the centred vectors: a sentence encoder's point mostly one way, which says nothing of the
    song. Returns the root mean square error of the last step's cosines.
    """
    model.eval()
    sample = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:FITTED_TEXTS]]
    sample.sort(key=len)
    pooled = []
    with torch.no_grad(), meter("text head", len(sample)) as progress:
        for at in range(0, len(sample), 64):
            pooled.append(model.pool_text(**tokenize(tokenizer, sample[at : at + 64]))[1])
            progress.to(min(at + 64, len(sample)))
    tower = torch.cat(pooled)
    direction = normalize(tower, dim=1)
    centred = normalize(direction - direction.mean(dim=0), dim=1)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.text_head.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * schedule(step / steps, warmup=0.05)
        rows = torch.randint(len(tower), (256,))
        wanted, vectors = centred[rows], normalize(model.text_head(tower[rows]), dim=1)
        error = (vectors @ vectors.T - wanted @ wanted.T).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach().sqrt())
