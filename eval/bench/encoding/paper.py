"""The full-size model on this machine: a step of each stage, encoding, and the way through the published names."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from encoders.htcl import HtclModel
from encoders.model.original_weights import original_parts
from encoders.model.outputs import SongVectors
from encoders.training.gradient_cache import loss_and_gradient
from encoders.training.loop import TrainingSettings, descend, parameter_groups
from encoders.training.losses import preference_loss, semantic_loss
from eval.bench.children import in_a_child, peak_mib
from eval.bench.encoding.sizes import Sizes
from eval.bench.encoding.songs import batch_of, noise_mels, noise_words
from eval.bench.encoding.suite import fresh_model
from eval.bench.rows import Row

STEP_BATCH = 2
"Songs in stage 1, pairs in stage 2."


def paper(sizes: Sizes) -> list[Row]:
    """Seconds and the peak of memory of each, in a process of its own; parity in the last row."""
    rows = []
    for name, work in (
        ("step of stage 1", semantic_step),
        ("step of stage 2", preference_step),
        (f"encoding {sizes.full_encode} songs", encode_some),
    ):
        seconds, mib = in_a_child(_measured, work, sizes)
        rows += [Row(f"full size: {name}", seconds, "s"), Row(f"full size: {name}, peak memory", mib, "MiB")]
    largest = in_a_child(parity, sizes)
    return [*rows, Row("full size: difference through published names", largest, "", None, 1e-6, at_most=True)]


def semantic_step(sizes: Sizes) -> Callable[[], object]:
    """Stage 1 on two songs."""
    return _step(sizes, STEP_BATCH, lambda vectors, scales: semantic_loss(vectors, scales))


def preference_step(sizes: Sizes) -> Callable[[], object]:
    """Stage 2 on two pairs, fusion included."""
    return _step(sizes, 2 * STEP_BATCH, lambda vectors, scales: preference_loss(*vectors.halves(), scales))


def encode_some(sizes: Sizes) -> Callable[[], object]:
    """Audio and text vectors of 64 songs, 8 at a time."""
    model = fresh_model(sizes.full).eval()

    def encode() -> None:
        with torch.inference_mode():
            for start in range(0, sizes.full_encode, 8):
                size = min(8, sizes.full_encode - start)
                vectors = model(**batch_of(noise_mels(size, sizes.frames), noise_words(sizes.full, size))).fusion
                if not torch.isfinite(vectors).all():
                    raise FloatingPointError("a vector is not finite")

    return encode


@torch.inference_mode()
def parity(sizes: Sizes) -> float:
    """Largest difference of any output between a model and one loaded from its weights in the published names."""
    config = sizes.full
    config.fusion = "mlp"
    model = fresh_model(config).eval()
    again = HtclModel.from_published(**original_parts(model), config=config)
    songs = batch_of(noise_mels(STEP_BATCH, sizes.frames), noise_words(config, STEP_BATCH))
    ours, theirs = model(**songs), again(**songs)
    return max(float((a - b).abs().max()) for a, b in ((getattr(ours, n), getattr(theirs, n)) for n in VECTORS))


VECTORS = ("audio", "text", "fusion")


def _step(sizes: Sizes, songs: int, loss: Callable[[SongVectors, Tensor], Tensor]) -> Callable[[], object]:
    sizes.full.fusion = "mlp"
    model = fresh_model(sizes.full).train()
    settings = TrainingSettings()
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay, fused=True)
    batch = batch_of(noise_mels(songs, sizes.frames), noise_words(sizes.full, songs))

    def step() -> None:
        loss_and_gradient(model, batch, lambda vectors: loss(vectors, model.log_scales))
        descend(model, optimizer, settings.clip)

    return step


def _measured(prepare: Callable[[Sizes], Callable[[], object]], sizes: Sizes) -> tuple[float, float]:
    """Seconds of the work without its preparation, and the process's peak in MiB."""
    work = prepare(sizes)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started, peak_mib()
