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

from encoders.model import HtclModel
from encoders.text import tokenize
from encoders.towers import Head


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


def fit_text_head(model: HtclModel, texts: Sequence[str], tokenizer: Any, steps: int = 300, seed: int = 0) -> float:
    """Fit the text head alone so that its vectors keep the cosines of the pre-trained tower's; for text without audio.

    Returns the root mean square error of the cosines at the end.
    """
    sample = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:4096]]
    with torch.no_grad():
        pooled = [model.pool_text(**tokenize(tokenizer, sample[at : at + 128]))[1] for at in range(0, len(sample), 128)]
    tower = torch.cat(pooled)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.text_head.parameters(), lr=1e-3)
    for _ in range(steps):
        rows = torch.randint(len(tower), (256,))
        wanted, vectors = normalize(tower[rows], dim=1), normalize(model.text_head(tower[rows]), dim=1)
        error = (vectors @ vectors.T - wanted @ wanted.T).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach().sqrt())
