"""Cached gradients against plain ones."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.outputs import SongVectors
from encoders.training.gradient_cache import loss_and_gradient
from encoders.training.losses import PairTerms, preference_loss, semantic_loss
from tests.encoders.toys import build_reader, tiny_model, toy_mels, toy_texts

ROWS = np.arange(12, dtype=np.int32)


@pytest.fixture(params=["all have both", "some lack one", "texts alone", "sounds alone"])
def reader(request: pytest.FixtureRequest, tmp_path) -> SongReader:
    mels, texts = list(toy_mels(12)), list(toy_texts(12))
    if request.param == "some lack one":
        mels[:4], texts[4:7] = [None] * 4, [None] * 3
    if request.param == "texts alone":
        mels = [None] * 12
    if request.param == "sounds alone":
        texts = [*texts[:1], *[None] * 11]
    return build_reader(tmp_path, mels, texts)


def semantic(model: HtclModel) -> Callable[[SongVectors], Tensor]:
    return lambda vectors: semantic_loss(vectors, model.log_scales)


def preference(model: HtclModel) -> Callable[[SongVectors], Tensor]:
    return lambda vectors: preference_loss(
        *vectors.halves(), model.log_scales, PairTerms(torch.eye(12, dtype=torch.bool))
    )


def gradients(model: HtclModel) -> dict[str, Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("stage", [semantic, preference])
@pytest.mark.parametrize("at_once", [1, 5, 12, 100])
def test_the_gradient_is_the_plain_one(reader: SongReader, stage: Callable[..., object], at_once: int) -> None:
    model = tiny_model(vocabulary=len(reader.tokenizer)).double().train()
    model.config.fusion = "mlp"
    songs = {name: value.double() if value.is_floating_point() else value for name, value in reader.read(ROWS).items()}
    plain = loss_and_gradient(model, songs, stage(model))
    expected = gradients(model)
    cached = loss_and_gradient(model, songs, stage(model), at_once)
    assert cached.item() == pytest.approx(plain.item(), rel=1e-6)
    found = gradients(model)
    assert found.keys() >= {name for name, value in expected.items() if value.abs().max() > 0}
    for name, value in found.items():
        torch.testing.assert_close(value, expected.get(name, torch.zeros_like(value)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stage", [semantic, preference])
def test_under_autocast_the_gradient_is_the_plain_one_to_bf16(tmp_path, stage: Callable[..., object]) -> None:
    reader = build_reader(tmp_path, toy_mels(12), toy_texts(12))
    model = tiny_model(vocabulary=len(reader.tokenizer)).train()
    model.config.fusion = "gated"
    songs = reader.read(ROWS)
    with torch.autocast("cpu", torch.bfloat16):
        plain = loss_and_gradient(model, songs, stage(model))
        expected = gradients(model)
    with torch.autocast("cpu", torch.bfloat16):  # anew: the first one keeps the weights it has cast
        cached = loss_and_gradient(model, songs, stage(model), 5)
        found = gradients(model)
    assert cached.item() == pytest.approx(plain.item(), rel=2e-2)
    whole = [torch.cat([of[name].flatten() for name in sorted(expected)]) for of in (expected, found)]
    assert torch.isfinite(whole[1]).all()
    assert torch.nn.functional.cosine_similarity(*whole, dim=0) > 0.99


@pytest.mark.parametrize("stage", [semantic, preference])
def test_a_text_tower_that_stays_has_no_gradient_and_does_no_harm(tmp_path, stage: Callable[..., object]) -> None:
    reader = build_reader(tmp_path, toy_mels(12), toy_texts(12))
    model = tiny_model(vocabulary=len(reader.tokenizer)).train()
    for part in (model.text_model, model.text_head):
        part.requires_grad_(False)
    songs = reader.read(ROWS)
    loss_and_gradient(model, songs, stage(model))
    expected = gradients(model)
    loss_and_gradient(model, songs, stage(model), 5)
    found = gradients(model)
    assert found.keys() == expected.keys()
    assert not any(name.startswith("text_") for name in found)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-5)


def test_dropout_is_the_same_in_both_passes(tmp_path) -> None:
    reader = build_reader(tmp_path, toy_mels(12), toy_texts(12))
    model = tiny_model(vocabulary=len(reader.tokenizer), dropout=0.3, head_dropout=0.3).train()
    seen: list[Tensor] = []
    forward = model.forward

    def spy(**arguments: Tensor) -> SongVectors:
        songs = forward(**arguments)
        seen.append(songs.audio.detach().clone())
        return songs

    model.forward = spy  # type: ignore[method-assign]
    torch.manual_seed(0)
    loss_and_gradient(model, reader.read(ROWS), semantic(model), 4)
    after = torch.rand(3)
    assert len(seen) == 6
    for first, second in zip(seen[:3], seen[3:], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(seen[0], seen[1])
    torch.manual_seed(0)
    loss_and_gradient(model, reader.read(ROWS), semantic(model), 4)
    assert torch.equal(torch.rand(3), after)
