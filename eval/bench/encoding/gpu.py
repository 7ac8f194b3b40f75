"""The model on a GPU: bfloat16 against the peak of its matrix units, against the plain loop, and against the CPU."""

import gc
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from encoders.encoding.embed_catalogue import GPU_BATCH, encode_songs
from encoders.encoding.song_batches import SongReader
from encoders.model.mel import BANDS
from encoders.training.initialisation import spread_heads
from encoders.training.loop import TrainingSettings
from eval.bench.encoding.floors import layer_products, tower_flops
from eval.bench.encoding.sizes import Sizes
from eval.bench.encoding.songs import batch_of, cached_mels, noise_mels, noise_words, varied_mels
from eval.bench.encoding.suite import both_steps, fresh_model, in_bfloat16, on, our_step
from eval.bench.rows import Row, medians

PRODUCTS = 20
"Matrix products between two looks at the clock; one alone is over before a launch is paid for."


def gpu(sizes: Sizes, device: str = "cuda") -> list[Row]:
    """All measures of a GPU. Its tests run them on the CPU, tiny."""
    rows: list[Row] = []
    for measure in (tower_rate, cached_rate, step_rate, large_batch, agreement):
        rows += measure(sizes, device)
        gc.collect()  # a model whose forward is wrapped refers to itself, and would count as the next one's memory
    return rows


def peak_flops(side: int, device: str, repeats: int) -> float:
    """bfloat16 operations per second of one large square product."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))

    def products() -> None:
        for _ in range(PRODUCTS):
            a @ b
        wait(device)

    (seconds,) = medians([products], repeats)
    return 2 * side**3 * PRODUCTS / seconds


@torch.inference_mode()
def tower_rate(sizes: Sizes, device: str) -> list[Row]:
    """The tower on a batch that lies on the GPU already: what is left for everything around it."""
    model = on(device, fresh_model(sizes.full).eval())
    batch = min(GPU_BATCH, sizes.gpu_encode)
    features = torch.randn(batch, sizes.frames, BANDS, device=device)
    products, operations = layer_products(model.audio_model, batch, sizes.frames, like=features.bfloat16())

    def encode() -> None:
        with torch.autocast(device, torch.bfloat16):
            model.get_audio_features(features)
        wait(device)

    def alone() -> None:
        products()
        wait(device)

    ours, floor = medians([encode, alone], sizes.repeats)
    rate = batch * tower_flops(model.audio_model, sizes.frames) / ours / 1e12
    note = f"{batch / ours:,.0f} songs/s; floor: the products of its layers alone"
    return [Row("GPU: tower alone, bfloat16", rate, "TFLOP/s", operations / floor / 1e12, note=note)]


def cached_rate(sizes: Sizes, device: str) -> list[Row]:
    """Encoding from cached mels to vectors as `encoders.embed` does it, against the GPU's peak."""
    model = on(device, fresh_model(sizes.full).eval())
    in_bfloat16(model)
    peak = peak_flops(sizes.square, device, sizes.repeats)
    with tempfile.TemporaryDirectory() as scratch:
        mels = cached_mels(Path(scratch), sizes.gpu_encode, sizes.frames)
        reader = SongReader(mels, [None] * sizes.gpu_encode, tokenizer=None)  # type: ignore[arg-type]

        def encode() -> None:
            with tempfile.TemporaryDirectory() as blocks:
                encode_songs(model, reader, Path(blocks), "gpu")

        (seconds,) = medians([encode], sizes.repeats)
    rate = sizes.gpu_encode * tower_flops(model.audio_model, sizes.frames) / seconds / 1e12
    note = f"{sizes.gpu_encode / seconds:,.0f} songs/s"
    return [Row("GPU: encoding cached mels, bfloat16", rate, "TFLOP/s", peak / 1e12, 0.5, note=note)]


def step_rate(sizes: Sizes, device: str) -> list[Row]:
    """Training of the full-size model in bfloat16, against the plain loop in float32."""
    steps = both_steps(sizes.full, sizes.train_batch, sizes, device=device, bfloat16=True)

    def timed(number: int) -> None:
        steps[number]()
        wait(device)

    ours, floor = medians([lambda: timed(0), lambda: timed(1)], sizes.repeats)
    batch = sizes.train_batch
    return [Row("GPU: training, full size, bfloat16", batch / ours, "songs/s", batch / floor, 3.0)]


def large_batch(sizes: Sizes, device: str) -> list[Row]:
    """One step over 2 x `gpu_pairs` songs by gradient caching: the most memory it takes, and its seconds."""
    model = on(device, fresh_model(sizes.full))
    in_bfloat16(model)
    songs = 2 * sizes.gpu_pairs
    features = noise_mels(songs, sizes.frames)
    settings = TrainingSettings(at_once=sizes.gpu_at_once)
    step = our_step(model, batch_of(features, noise_words(sizes.full, songs)), settings)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def whole() -> None:
        step()
        wait(device)

    (seconds,) = medians([whole], 1)
    gib = torch.cuda.max_memory_reserved() / 2**30 if device == "cuda" else 0.0
    note = f"{songs:,} songs in {seconds:.1f} s, {sizes.gpu_at_once} at once"
    return [Row(f"GPU: {sizes.gpu_pairs:,} pairs a step", gib, "GiB", 70.0, 1.0, at_most=True, note=note)]


@torch.inference_mode()
def agreement(sizes: Sizes, device: str) -> list[Row]:
    """Smallest cosine between the vectors of the GPU in bfloat16 and of the CPU in float32.

    The heads are spread as training spreads them: fresh ones give all songs nearly one vector, which any finds.
    """
    count = sizes.gpu_cosines
    songs = batch_of(varied_mels(count, sizes.frames), noise_words(sizes.full, count))
    model = on(device, fresh_model(sizes.full).eval())
    spread_heads(model, songs)
    on_cpu = on("cpu", model)(**songs)
    apart = torch.corrcoef(on_cpu.audio)[~torch.eye(count, dtype=torch.bool)].abs().mean()
    in_bfloat16(on(device, model))
    on_gpu = model(**{name: value.to(device) for name, value in songs.items()})
    cosines = [_cosines(a, b) for a, b in zip(_vectors(on_cpu), _vectors(on_gpu), strict=True)]
    note = f"{count} songs; between different ones {apart:.2f} on average"
    return [Row("GPU: cosine with the CPU's float32", min(cosines), "", None, 0.999, note=note)]


def _vectors(songs: object) -> list[Tensor]:
    return [getattr(songs, name) for name in ("audio", "text", "fusion")]


def _cosines(a: Tensor, b: Tensor) -> float:
    return float(cosine_similarity(a.float(), b.cpu().float(), dim=1).min())


def wait(device: str) -> None:
    """Until the GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
