"""Gradient caching: the exact gradient of a contrastive loss over a large batch, in the memory that a part of it takes.

Every song's loss depends on every other song of the batch, so accumulating gradients over small batches is not the same
thing: it has fewer negatives. Instead the vectors are computed part by part without a graph, the loss and its gradient
by the vectors follow, and a second pass, part by part, carries that gradient into the weights. Gao et al. 2021
(arXiv 2101.06983).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from encoders.model.outputs import SongVectors


def loss_and_gradient(
    model: Callable[..., SongVectors],
    songs: Mapping[str, Tensor],
    loss_of: Callable[[SongVectors], Tensor],
    at_once: int | None = None,
) -> Tensor:
    """Add the gradient of loss_of(model(**songs)) to the weights; returns the loss, detached.

    songs: the model's arguments, a row for every song. at_once: songs that go through the towers together; None takes
    all. Dropout is the same in both passes.
    """
    rows = len(songs["has_text"])
    if at_once is None or rows <= at_once:
        loss = loss_of(model(**songs))
        loss.backward()
        return loss.detach()
    parts = [
        {name: value[start : start + at_once] for name, value in songs.items()} for start in range(0, rows, at_once)
    ]
    states, vectors = [], []
    with torch.no_grad():
        for part in parts:
            states.append(_random_state())
            vectors.append(model(**part))
    whole = _joined(vectors)
    loss = loss_of(whole)
    loss.backward()
    start = 0
    for part, state in zip(parts, states, strict=True):
        _set_random_state(state)
        found = model(**part)
        stop = start + len(found.has_audio)
        made, gradients = [], []
        for ours, theirs in zip(_tensors(found), _tensors(whole), strict=True):
            # A modality whose tower and head both stay as they are has no graph.
            if ours is not None and ours.requires_grad and theirs is not None and theirs.grad is not None:
                made.append(ours)
                gradients.append(theirs.grad[start:stop])
        torch.autograd.backward(made, gradients)
        start = stop
    return loss.detach()


def _tensors(songs: SongVectors) -> tuple[Tensor | None, Tensor | None, Tensor]:
    return songs.audio, songs.text, songs.fusion


def _joined(parts: list[SongVectors]) -> SongVectors:
    """All parts as one batch whose vectors collect a gradient."""

    def join(values: list[Tensor | None]) -> Tensor | None:
        present = [value for value in values if value is not None]
        return torch.cat(present).requires_grad_() if present else None

    audio, text, fusion = (join(list(values)) for values in zip(*map(_tensors, parts), strict=True))
    assert fusion is not None
    heard, read = (torch.cat([getattr(part, name) for part in parts]) for name in ("has_audio", "has_text"))
    return SongVectors(audio, text, fusion, heard, read)


def _random_state() -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


def _set_random_state(state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
