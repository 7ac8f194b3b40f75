"""What the machine does by itself: matrix products at the tower's shapes, and decoders with nothing around."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import joblib
import torch
from torch import nn

from data.audio.reading import load_mono
from encoders.model.towers import AudioTower


def conv_lengths(tower: AudioTower, frames: int) -> list[int]:
    """Length of the sequence after each convolution."""
    lengths = []
    for kernel, stride in zip(tower.config.conv_kernels, tower.config.conv_strides, strict=True):
        frames = (frames - kernel) // stride + 1
        lengths.append(frames)
    return lengths


def tower_flops(tower: AudioTower, frames: int) -> int:
    """Floating-point operations of one song, a multiplication and an addition counted as two; norms and GELU left out.

    29 GFLOP at full size and 1251 frames.
    """
    config = tower.config
    size, inner = config.hidden_size, config.intermediate_size
    channels = [config.num_mel_bins, *config.conv_filters]
    lengths = conv_lengths(tower, frames)
    convs = sum(
        length * kernel * before * after
        for length, kernel, before, after in zip(lengths, config.conv_kernels, channels, channels[1:], strict=False)
    )
    places = lengths[-1] * config.positional_kernel * size * size // config.positional_groups
    projection, tokens = lengths[-1] * channels[-1] * size, lengths[-1] + 1
    layer = tokens * (4 * size * size + 2 * size * inner) + 2 * tokens * tokens * size
    products: int = convs + projection + places + config.num_hidden_layers * layer
    return 2 * products


def layer_products(tower: AudioTower, batch: int, frames: int, like: torch.Tensor) -> tuple[Callable[[], None], int]:
    """The matrix products of all Transformer layers and nothing else, and how many operations they are.

    like: a tensor of the dtype and device wanted. They make nine tenths of the tower's arithmetic.
    """
    rows = batch * (conv_lengths(tower, frames)[-1] + 1)
    linear = [layer for layer in tower.layers.modules() if isinstance(layer, nn.Linear)]
    shapes = Counter((layer.in_features, layer.out_features) for layer in linear)
    given = {width: torch.randn(rows, width).to(like) for width, _ in shapes}
    weights = {shape: torch.randn(*shape).to(like) for shape in shapes}

    def run() -> None:
        for (width, out), times in shapes.items():
            for _ in range(times):
                torch.mm(given[width], weights[width, out])

    return run, sum(2 * rows * width * out * times for (width, out), times in shapes.items())


def decode_all(files: Sequence[Path]) -> int:
    """Decode to 16 kHz mono with a process per core and nothing around it; returns how many samples that gives."""
    cores = joblib.cpu_count()  # that this process may use, as ours
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return sum(pool.map(_decode, files))


def _decode(path: Path) -> int:
    return len(load_mono(path))
