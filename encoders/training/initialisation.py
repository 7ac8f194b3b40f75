"""Initialisation of untrained heads.

Random ones map all songs to nearly the same vector, and a contrastive loss then learns nothing for long: at first its
gradient only says that everything is alike.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from data.reporting import meter
from encoders.model.mel import band_statistics, standardised
from encoders.model.network import HtclNetwork
from encoders.model.text import tokenize
from encoders.model.towers import ShortcutHead

START = "2"
"""Raised where heads beside a pre-trained text tower start otherwise: what was trained from there is out of date."""
FITTED_TEXTS = 8192
"""Texts whose principal components the text head starts from; more change little."""
COMPARED = 1000
ALIKE = 1e-4
"""Deviation, as a share of the outputs' size, below which it is rounding: a batch of one recording several times tells
nothing of how songs lie, and dividing by it three times makes gradients that overflow. Outputs get size 1 instead."""


@torch.no_grad()
def spread_heads(model: HtclNetwork, batch: dict[str, Tensor]) -> None:
    """Scale and shift the audio and text heads so that every layer's outputs over a batch have mean 0 and deviation 1.

    batch: as `SongReader.read` gives it, a few hundred songs. Data-dependent initialisation, Salimans and Kingma 2016;
    the architecture stays as it is. A head with a shortcut starts from the principal components instead, and what reads
    band statistics beside it stays as the model makes it, near 0.
    """
    device = next(model.parameters()).device
    read = {name: value.to(device) for name, value in batch.items()}
    model.eval()
    heard, told = (read.get(name, slice(None)) for name in ("has_mel", "has_text"))  # not what fills the gaps
    if "input_features" in read and len(read["input_features"][heard]) > 1:  # a deviation needs two
        mask = read["audio_attention_mask"][heard]
        frames = standardised(read["input_features"][heard], mask)
        _spread(model.audio_head, model.audio_model(frames, mask)[1])
        if model.config.statistics_hidden:
            statistics = band_statistics(frames, mask)
            model.statistics_model.standardise_to(statistics)
            # A fresh text tower needs sounds that lie apart from the start. A pre-trained one lies apart itself, and
            # statistics that start small come to fit it without learning the training songs by heart.
            if not isinstance(model.text_head, ShortcutHead):
                _spread(model.statistics_model.layers, model.statistics_model.standardised(statistics))
    if "input_ids" in read and len(read["input_ids"][told]) > 1:
        pooled = model.pool_text(read["input_ids"][told], read["attention_mask"][told])[1]
        if isinstance(model.text_head, ShortcutHead):
            model.text_head.start_from(pooled)
        else:
            _spread(model.text_head, pooled)


def _spread(layers: nn.Sequential, x: Tensor) -> None:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            y = layer(x)
            mean, deviation = y.mean(dim=0), y.std(dim=0, correction=0)
            size = y.square().mean().sqrt()
            told = deviation > ALIKE * size
            mean, deviation = torch.where(told, mean, 0.0), torch.where(told, deviation, size if size > 0 else 1.0)
            layer.weight.div_(deviation[:, None])
            layer.bias.sub_(mean).div_(deviation)
        x = layer(x)


@torch.no_grad()
def start_fusion(model: HtclNetwork, seed: int) -> None:
    """Give the fusion head weights at the scale of its inputs (He et al. 2015), its own common scheme being far below.

    A gate's last layer starts at 0: both modalities count alike, as they did in stage 1.
    """
    torch.manual_seed(seed)
    layers = [layer for layer in model.fusion_head if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    if model.config.fusion == "gated":
        nn.init.zeros_(layers[-1].weight)


@torch.no_grad()
def start_text_head(model: HtclNetwork, texts: Sequence[str], tokenizer: Any, seed: int = 0) -> float:
    """Let a text head with a shortcut keep what the pre-trained tower knows: the principal components of its vectors.

    They are centred: a sentence encoder's vectors point mostly one way, which says nothing of the song. Returns the
    root mean square difference between the head's cosines and those of the tower's centred vectors.
    """
    assert isinstance(model.text_head, ShortcutHead)
    model.eval()
    sample = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:FITTED_TEXTS]]
    sample.sort(key=len)
    pooled = []
    with meter("text head", len(sample)) as progress:
        for at in range(0, len(sample), 64):
            pooled.append(model.pool_text(**tokenize(tokenizer, sample[at : at + 64]))[1])
            progress.to(min(at + 64, len(sample)))
    tower = torch.cat(pooled)
    model.text_head.start_from(tower)
    some = tower[torch.linspace(0, len(tower) - 1, min(COMPARED, len(tower))).long()]
    vectors, wanted = normalize(model.text_head(some), dim=1), normalize(some - tower.mean(dim=0), dim=1)
    return float((vectors @ vectors.T - wanted @ wanted.T).square().mean().sqrt())
