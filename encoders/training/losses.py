"""HTCL's contrastive losses: stage 1 aligns audio with text, stage 2 adds what listeners respond to alike."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from encoders.model.outputs import SongVectors


@dataclass(frozen=True)
class Skipped:
    """Hard negatives: songs that listeners skip where they play another.

    songs: M of them. rows: (M,) int64, the first song of which pair each was skipped beside, each row once at most.
    """

    songs: SongVectors
    rows: Tensor


def contrastive_loss(
    x: Tensor,
    y: Tensor,
    log_scale: Tensor,
    not_negative: Tensor | None = None,
    skipped: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Symmetric InfoNCE between matching rows of `x` and `y`; HTCL's L(x, y; tau).

    x, y: (B, D), any length; normalised here. log_scale: scalar, similarity is multiplied by its exponential.
    not_negative: (B, B) bool, pairs beside the diagonal that must not count as negatives (the same song twice in a
    batch, or songs known to go together). skipped: (M, D) vectors and (M,) rows of x; each is one more negative of that
    row alone. Returns a scalar in nats. Radford et al. 2021, fig. 3.
    """
    with torch.autocast(x.device.type, enabled=False):  # 8 bits of a cosine times 100 are off by half a nat
        x, y = (side.float() if side.dtype in (torch.bfloat16, torch.float16) else side for side in (x, y))
        logits = normalize(x, dim=1) @ normalize(y, dim=1).T * log_scale.exp()
        if not_negative is not None:
            off_diagonal = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
            logits = logits.masked_fill(not_negative & off_diagonal, float("-inf"))
        with_skipped = logits
        if skipped is not None:
            vectors, rows = skipped
            beside = (normalize(x[rows], dim=1) * normalize(vectors.to(x.dtype), dim=1)).sum(dim=1) * log_scale.exp()
            column = torch.full_like(logits[:, 0], float("-inf")).index_put((rows,), beside)
            with_skipped = torch.cat([logits, column[:, None]], dim=1)
    target = torch.arange(len(x), device=x.device)
    return (cross_entropy(with_skipped, target) + cross_entropy(logits.T, target)) / 2


def semantic_loss(songs: SongVectors, log_scales: Tensor, not_negative: Tensor | None = None) -> Tensor:
    """Stage 1: L(audio, text; tau1) over the songs that have both. log_scales: (3,). 0 where fewer than two have."""
    both = songs.has_audio & songs.has_text
    if songs.audio is None or songs.text is None or int(both.sum()) < 2:
        return log_scales[0] * 0
    masked = None if not_negative is None else not_negative[both][:, both]
    return contrastive_loss(songs.audio[both], songs.text[both], log_scales[0], masked)


@dataclass(frozen=True)
class PairTerms:
    """What the stage 2 loss knows beside the vectors, and how much its terms count.

    not_negative: (2B, 2B) bool over [first; second]. before: (2B, D) text vectors that stage 1 gave the songs.
    """

    not_negative: Tensor | None = None
    before: Tensor | None = None
    skipped: Skipped | None = None
    alignment: float = 1.0
    "Weight of the term that keeps the semantic space; 1 in the paper."
    fused_pairs: float = 0.0
    "Weight of L(fusion1, fusion2; tau3), which the paper does not have: the fused vectors are what is recommended by."


def preference_loss(
    first: SongVectors, second: SongVectors, log_scales: Tensor, terms: PairTerms = PairTerms()
) -> Tensor:
    """Stage 2 over pairs of songs that listeners respond to alike: the paper's three terms with weights 1, 1, 1.

    L([audio1; audio2], [text1; text2]; tau1) keeps the semantic space; L(audio1, audio2; tau2) brings pairs together;
    (L(audio1, fusion2; tau3) + L(audio2, fusion1; tau3)) / 2 trains the fused vector. Songs without audio take part
    with their text vector. log_scales: (3,). Where `terms.before` is given the first term also holds the texts to those
    vectors; in a catalogue of texts alone listening would wash out what the words say without it.
    """
    both, size = _stack(first, second), len(first.has_audio)
    across = None if terms.not_negative is None else terms.not_negative[:size, size:]
    pairs = contrastive_loss(first.primary, second.primary, log_scales[1], across, _beside(terms.skipped, "primary"))
    semantic = semantic_loss(both, log_scales, terms.not_negative)
    if terms.before is not None and both.text is not None and bool(both.has_text.any()):
        read = both.has_text
        masked = None if terms.not_negative is None else terms.not_negative[read][:, read]
        semantic = semantic + contrastive_loss(both.text[read], terms.before[read], log_scales[0], masked)
    loss = terms.alignment * semantic + pairs
    if first.audio is None:
        return loss  # the fused vector is the text's
    fused = contrastive_loss(first.primary, second.fusion, log_scales[2], across)
    fused = fused + contrastive_loss(second.primary, first.fusion, log_scales[2], None if across is None else across.T)
    loss = loss + fused / 2
    if terms.fused_pairs:
        beside = _beside(terms.skipped, "fusion")
        own = contrastive_loss(first.fusion, second.fusion, log_scales[2], across, beside)
        loss = loss + terms.fused_pairs * own
    return loss


def _beside(skipped: Skipped | None, which: Literal["primary", "fusion"]) -> tuple[Tensor, Tensor] | None:
    return None if skipped is None else (getattr(skipped.songs, which), skipped.rows)


def _stack(first: SongVectors, second: SongVectors) -> SongVectors:
    def cat(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else torch.cat([a, b])

    return SongVectors(
        audio=cat(first.audio, second.audio),
        text=cat(first.text, second.text),
        fusion=torch.cat([first.fusion, second.fusion]),
        has_audio=torch.cat([first.has_audio, second.has_audio]),
        has_text=torch.cat([first.has_text, second.has_text]),
    )
