"""The losses against NumPy in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from encoders.model.outputs import SongVectors
from encoders.training.losses import PairTerms, Skipped, contrastive_loss, preference_loss, semantic_loss

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
SCALES = torch.tensor([2.6, 2.2, 3.0], dtype=torch.float64)


def oracle(
    x: Floats,
    y: Floats,
    log_scale: float,
    not_negative: Bools | None = None,
    skipped: tuple[Floats, list[int]] | None = None,
) -> float:
    """Row by row, without a matrix product."""
    beside = {} if skipped is None else dict(zip(skipped[1], skipped[0], strict=True))
    size = len(x)
    allowed = np.ones((size, size), np.bool_) if not_negative is None else ~not_negative | np.eye(size, dtype=np.bool_)
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y] for a in x]) * np.exp(log_scale)
    total = 0.0
    for row in range(size):
        across, down = cosine[row][allowed[row]], cosine[:, row][allowed[:, row]]
        if row in beside:
            told = x[row] @ beside[row] / np.linalg.norm(x[row]) / np.linalg.norm(beside[row])
            across = np.append(across, told * np.exp(log_scale))
        total += np.log(np.exp(across - cosine[row, row]).sum()) + np.log(np.exp(down - cosine[row, row]).sum())
    return total / size / 2


def oracle_preference(first: SongVectors, second: SongVectors, not_negative: Bools) -> float:
    """The three terms over songs that may lack a modality."""
    size = len(first.has_audio)
    audio = np.concatenate([array(first.audio), array(second.audio)])
    text = np.concatenate([array(first.text), array(second.text)])
    heard = np.concatenate([first.has_audio.numpy(), second.has_audio.numpy()])
    both = heard & np.concatenate([first.has_text.numpy(), second.has_text.numpy()])
    main = np.where(heard[:, None], audio, text)
    one, two, across = main[:size], main[size:], not_negative[:size, size:]
    semantic = oracle(audio[both], text[both], 2.6, not_negative[np.ix_(both, both)]) if both.sum() > 1 else 0.0
    fused = oracle(one, array(second.fusion), 3.0, across) + oracle(two, array(first.fusion), 3.0, across.T)
    return semantic + oracle(one, two, 2.2, across) + fused / 2


def array(values: Tensor | None) -> Floats:
    assert values is not None
    return values.detach().numpy()


def songs(
    rng: np.random.Generator, size: int, has_audio: Bools | None = None, has_text: Bools | None = None
) -> SongVectors:
    def vectors() -> Tensor:
        return torch.from_numpy(rng.standard_normal((size, 5)) * rng.uniform(0.1, 9))

    everyone = np.ones(size, np.bool_)
    heard = everyone if has_audio is None else has_audio
    read = everyone if has_text is None else has_text
    return SongVectors(vectors(), vectors(), vectors(), torch.from_numpy(heard), torch.from_numpy(read))


def symmetric(rng: np.random.Generator, size: int, share: float) -> Bools:
    mask = rng.random((size, size)) < share
    return mask | mask.T | np.eye(size, dtype=np.bool_)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 9), scale=st.floats(0, 4.6), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_contrastive_loss_is_the_oracles(seed: int, size: int, scale: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, size, 4)) * rng.uniform(0.01, 100)
    mask = rng.random((size, size)) < share
    given_to = torch.from_numpy(x), torch.from_numpy(y), torch.tensor(scale, dtype=torch.float64)
    assert contrastive_loss(*given_to).item() == pytest.approx(oracle(x, y, scale), rel=1e-9, abs=1e-9)
    masked = contrastive_loss(*given_to, torch.from_numpy(mask)).item()
    assert masked == pytest.approx(oracle(x, y, scale, mask), rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 8), scale=st.floats(0, 4.6), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_skipped_song_is_one_more_negative_of_its_row(seed: int, size: int, scale: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, size, 4)) * rng.uniform(0.01, 100)
    rows = np.sort(rng.permutation(size)[: rng.integers(size + 1)])
    others, mask = rng.standard_normal((len(rows), 4)), rng.random((size, size)) < share
    beside = torch.from_numpy(others), torch.from_numpy(rows)
    log_scale = torch.tensor(scale, dtype=torch.float64)
    found = contrastive_loss(torch.from_numpy(x), torch.from_numpy(y), log_scale, torch.from_numpy(mask), beside)
    expected = oracle(x, y, scale, mask, (others, rows.tolist()))
    assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_skipped_song_moves_its_row_and_no_other() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 6, 4))
    other = torch.from_numpy(values[0][2:3] + rng.standard_normal((1, 4)) / 2).requires_grad_()

    def gradient(beside: tuple[Tensor, Tensor] | None) -> Tensor:
        x, y = (torch.from_numpy(side.copy()).requires_grad_() for side in values)
        contrastive_loss(x, y, SCALES[0], None, beside).backward()
        assert x.grad is not None
        return x.grad

    plain, with_one = gradient(None), gradient((other, torch.tensor([2])))
    rest = [0, 1, 3, 4, 5]
    torch.testing.assert_close(with_one[rest], plain[rest], rtol=0, atol=1e-12)
    assert not torch.allclose(with_one[2], plain[2])
    assert other.grad is not None
    step = other.detach() - 0.1 * other.grad  # and pushes the two apart
    x = torch.from_numpy(values[0][2])
    assert torch.cosine_similarity(step, x[None]) < torch.cosine_similarity(other.detach(), x[None])


def test_both_directions_count_alike() -> None:
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.standard_normal((2, 6, 4)))
    assert contrastive_loss(x, y, SCALES[0]).item() == pytest.approx(contrastive_loss(y, x, SCALES[0]).item())


def test_length_of_the_vectors_does_not_matter() -> None:
    x, y = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6, 4)))
    assert contrastive_loss(100 * x, 0.01 * y, SCALES[0]).item() == pytest.approx(
        contrastive_loss(x, y, SCALES[0]).item()
    )


def test_equal_vectors_everywhere_cost_the_logarithm_of_the_batch() -> None:
    ones = torch.ones(8, 4)
    assert contrastive_loss(ones, ones, torch.tensor(2.6)).item() == pytest.approx(np.log(8))


def test_the_same_song_twice_is_no_negative() -> None:
    x = torch.eye(4)[[0, 1, 2, 0]]
    same = torch.tensor([0, 1, 2, 0])
    mask = same[:, None] == same[None]
    scale = torch.tensor(4.6)
    assert contrastive_loss(x, x, scale).item() > 0.3
    assert contrastive_loss(x, x, scale, mask).item() < 0.05


def test_everything_masked_but_the_diagonal_costs_nothing_and_has_a_finite_gradient() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    loss = contrastive_loss(x, torch.randn(4, 3), torch.tensor(2.6), torch.ones(4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_half_precision_is_computed_in_float32() -> None:
    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy(side).bfloat16() for side in rng.standard_normal((2, 32, 100)))
    scale = torch.tensor(4.6)
    with torch.autocast("cpu", torch.bfloat16):
        found = contrastive_loss(x, y, scale)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(contrastive_loss(x.double(), y.double(), scale.double()).item(), rel=1e-5)


@given(seed=st.integers(0, 10**6), size=st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_semantic_loss_is_the_oracles_over_the_songs_with_both(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    batch = songs(rng, size, rng.random(size) < 0.7, rng.random(size) < 0.7)
    mask = symmetric(rng, size, 0.2)
    both = (batch.has_audio & batch.has_text).numpy()
    found = semantic_loss(batch, SCALES, torch.from_numpy(mask)).item()
    if both.sum() < 2:
        assert found == 0
    else:
        expected = oracle(array(batch.audio)[both], array(batch.text)[both], 2.6, mask[np.ix_(both, both)])
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(seed=st.integers(0, 10**6), size=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_preference_loss_is_the_oracles_whatever_is_missing(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    heard, read = rng.random((2, 2 * size)) < 0.7
    read |= ~heard
    first = songs(rng, size, heard[:size], read[:size])
    second = songs(rng, size, heard[size:], read[size:])
    mask = symmetric(rng, 2 * size, 0.2)
    found = preference_loss(first, second, SCALES, PairTerms(torch.from_numpy(mask))).item()
    assert found == pytest.approx(oracle_preference(first, second, mask), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("fused_pairs", [0.0, 0.7])
def test_preference_loss_tells_skipped_songs_apart_in_the_pairs_terms(fused_pairs: float) -> None:
    rng = np.random.default_rng(0)
    first, second, skipped = songs(rng, 5), songs(rng, 5), songs(rng, 2, has_audio=np.array([True, False]))
    rows, mask = [1, 4], symmetric(rng, 10, 0.2)
    terms = PairTerms(torch.from_numpy(mask), fused_pairs=fused_pairs)
    told = replace(terms, skipped=Skipped(skipped, torch.tensor(rows)))
    across, audio, text = mask[:5, 5:], array(first.audio), array(skipped.text)
    primary = np.stack([array(skipped.audio)[0], text[1]])
    expected = oracle(audio, array(second.audio), 2.2, across, (primary, rows))
    expected -= oracle(audio, array(second.audio), 2.2, across)
    fusions = array(first.fusion), array(second.fusion)
    beside = array(skipped.fusion), rows
    expected += fused_pairs * (oracle(*fusions, 3.0, across, beside) - oracle(*fusions, 3.0, across))
    more = preference_loss(first, second, SCALES, told) - preference_loss(first, second, SCALES, terms)
    assert more.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("alignment", "fused_pairs"), [(0.0, 0.0), (2.5, 0.0), (1.0, 0.6)])
def test_preference_loss_weighs_its_terms(alignment: float, fused_pairs: float) -> None:
    rng = np.random.default_rng(0)
    first, second, mask = songs(rng, 5), songs(rng, 5), symmetric(rng, 10, 0.2)
    found = preference_loss(
        first, second, SCALES, PairTerms(torch.from_numpy(mask), alignment=alignment, fused_pairs=fused_pairs)
    )
    audio, text = (
        np.concatenate([array(one), array(two)])
        for one, two in ((first.audio, second.audio), (first.text, second.text))
    )
    expected = oracle_preference(first, second, mask) + (alignment - 1) * oracle(audio, text, 2.6, mask)
    expected += fused_pairs * oracle(array(first.fusion), array(second.fusion), 3.0, mask[:5, 5:])
    assert found.item() == pytest.approx(expected, rel=1e-9)


def test_preference_loss_of_texts_alone_is_the_pairs_term() -> None:
    rng = np.random.default_rng(0)
    silent = np.zeros(4, np.bool_)
    first = replace(songs(rng, 4, has_audio=silent), audio=None)
    second = replace(songs(rng, 4, has_audio=silent), audio=None)
    expected = oracle(array(first.text), array(second.text), 2.2)
    assert preference_loss(first, second, SCALES).item() == pytest.approx(expected)


def test_texts_alone_may_be_held_to_what_stage_1_made_of_them() -> None:
    rng = np.random.default_rng(0)
    silent = np.zeros(4, np.bool_)
    first = replace(songs(rng, 4, has_audio=silent), audio=None)
    second = replace(songs(rng, 4, has_audio=silent), audio=None)
    before, mask = rng.standard_normal((8, 5)), symmetric(rng, 8, 0.2)
    one, two = array(first.text), array(second.text)
    kept = oracle(np.concatenate([one, two]), before, 2.6, mask)
    found = preference_loss(first, second, SCALES, PairTerms(torch.from_numpy(mask), torch.from_numpy(before)))
    assert found.item() == pytest.approx(kept + oracle(one, two, 2.2, mask[:4, 4:]))


def test_where_no_song_of_the_batch_has_text_nothing_is_held_to_it() -> None:
    rng = np.random.default_rng(3)
    first, second = (songs(rng, 4, has_text=np.zeros(4, np.bool_)) for _ in range(2))
    before = torch.from_numpy(rng.standard_normal((8, 5)))
    assert preference_loss(first, second, SCALES, PairTerms(before=before)) == preference_loss(first, second, SCALES)


def test_preference_loss_of_sounds_alone_has_no_semantic_term() -> None:
    rng = np.random.default_rng(0)
    unread = np.zeros(4, np.bool_)
    first = replace(songs(rng, 4, has_text=unread), text=None)
    second = replace(songs(rng, 4, has_text=unread), text=None)
    one, two = array(first.audio), array(second.audio)
    fused = oracle(one, array(second.fusion), 3.0) + oracle(two, array(first.fusion), 3.0)
    assert preference_loss(first, second, SCALES).item() == pytest.approx(oracle(one, two, 2.2) + fused / 2)


@pytest.mark.parametrize("stage", ["semantic", "preference"])
def test_rows_of_a_missing_modality_reach_neither_loss_nor_gradient(stage: str) -> None:
    rng = np.random.default_rng(3)
    heard, read = np.array([1, 1, 1, 0, 1], np.bool_), np.array([1, 0, 1, 1, 1], np.bool_)

    def loss_with(filler: float) -> tuple[float, list[Tensor]]:
        local = np.random.default_rng(3)
        batches = [songs(local, 5, heard, read), songs(local, 5, heard[::-1].copy(), read[::-1].copy())]
        leaves = []
        for batch in batches:
            assert batch.audio is not None
            assert batch.text is not None
            batch.audio[~batch.has_audio] = filler
            batch.text[~batch.has_text] = filler
            leaves += [batch.audio.requires_grad_(), batch.text.requires_grad_()]
        mask = torch.from_numpy(symmetric(rng, 10, 0.0))
        scales = SCALES.clone().requires_grad_()
        loss = (
            preference_loss(*batches, scales, PairTerms(mask))
            if stage == "preference"
            else semantic_loss(batches[0], scales)
        )
        loss.backward()
        return loss.item(), [leaf.grad for leaf in [*leaves, scales] if leaf.grad is not None]

    clean, clean_gradients = loss_with(1.0)
    dirty, dirty_gradients = loss_with(float("nan"))
    assert dirty == clean
    assert len(clean_gradients) == len(dirty_gradients) > 2
    for ours, theirs in zip(clean_gradients, dirty_gradients, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_songs_with_both_cost_nothing_and_can_be_trained_on(count: int) -> None:
    has_text = np.arange(4) < count
    batch = songs(np.random.default_rng(0), 4, has_text=has_text)
    scales = SCALES.clone().requires_grad_()
    loss = semantic_loss(batch, scales)
    loss.backward()
    assert loss.item() == 0
    assert scales.grad is not None
    assert not scales.grad.any()


def test_halves_take_a_batch_apart_row_by_row() -> None:
    batch = songs(np.random.default_rng(0), 6, np.arange(6) % 2 == 0, np.arange(6) < 5)
    first, second = batch.halves()
    for name in ("audio", "text", "fusion", "has_audio", "has_text"):
        assert torch.equal(torch.cat([getattr(first, name), getattr(second, name)]), getattr(batch, name)), name
