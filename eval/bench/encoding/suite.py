"""The encoder's speed and memory: decoding, encoding and training against floors of this machine."""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.dataset import Dataset
from encoders.encoding.embed_catalogue import encode_songs
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.config import HtclConfig
from encoders.model.mel import SAMPLE_RATE
from encoders.model.outputs import SongVectors
from encoders.training.gradient_cache import loss_and_gradient
from encoders.training.loop import TrainingSettings, descend, parameter_groups
from encoders.training.losses import semantic_loss
from eval.bench.children import in_a_child, peak_mib
from eval.bench.encoding.floors import decode_all, layer_products, tower_flops
from eval.bench.encoding.plain_training import plain_step
from eval.bench.encoding.sizes import Sizes
from eval.bench.encoding.songs import (
    batch_of,
    cached_mels,
    catalogue_of,
    found_files,
    music_files,
    noise_mels,
    noise_words,
)
from eval.bench.rows import Row, medians


def decoding(sizes: Sizes, audio: Path | None = None) -> list[Row]:
    """Files to cached mels, against the bare decoders in a process per core.

    Both sides start up in their own way, which would count for more the fewer files there are. So each is timed on a
    few files and on all, and its rate is that of the files between.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root, number = Path(scratch), count()
        files = found_files(audio) if audio else music_files(root / "music", sizes.files, sizes.seconds)
        first = files[: min(sizes.first_files, len(files) // 2)]
        few, every = catalogue_of(root / "few", first), catalogue_of(root / "every", files)

        def ours(dataset: Dataset) -> None:
            ensure_mels(root / f"mels-{next(number)}", dataset)

        calls: list[Callable[[], object]] = [
            partial(ours, few),
            partial(decode_all, first),
            partial(ours, every),
            partial(decode_all, files),
        ]
        seconds = medians(calls, sizes.repeats, warm=False)
        between = len(files) - len(first)
        rates = [between / max(seconds[2 + side] - seconds[side], 1e-9) for side in (0, 1)]
    what = f"decoding, {len(files)} files{'' if audio else f' of {sizes.seconds:g} s'}"
    note = f"all files, start-up counted: {len(files) / seconds[2]:.2f} against {len(files) / seconds[3]:.2f} songs/s"
    return [Row(what, rates[0], "songs/s", rates[1], 0.9, note=note)]


def encoding(sizes: Sizes) -> list[Row]:
    """The full-size audio tower's arithmetic per second, against the matrix products of its layers alone."""
    model = fresh_model(sizes.full).eval()
    tower, size = model.audio_model, sizes.encode_batch
    songs = batch_of(noise_mels(size, sizes.frames), noise_words(sizes.full, size))
    products, operations = layer_products(tower, size, sizes.frames, like=songs["input_features"])

    def encode() -> None:
        model.get_audio_features(songs["input_features"], songs["audio_attention_mask"])

    with torch.inference_mode():
        ours, floor = medians([encode, products], sizes.repeats)
    rate = size * tower_flops(tower, sizes.frames) / ours / 1e9
    note = f"{size / ours:.2f} songs/s, {tower_flops(tower, sizes.frames) / 1e9:.1f} GFLOP each, batches of {size}"
    return [Row("encoding, full size, float32", rate, "GFLOP/s", operations / floor / 1e9, 0.8, note=note)]


def training(sizes: Sizes, full: bool = False) -> list[Row]:
    """Steps of stage 1 per second, against the published loop on the same songs.

    Once on songs that all fill 120 s, where there is no padding to be spared, and once on songs of all lengths.
    """
    kinds = [("small", sizes.small, sizes.train_batch)]
    kinds += [("full size", sizes.full, sizes.full_train_batch)] if full else []
    rows = []
    for name, config, batch in kinds:
        for songs, shortest in (("whole songs", None), ("mixed lengths", sizes.frames // 4)):
            ours, floor = both_steps(config, batch, sizes, shortest)
            rates = medians([ours, floor], sizes.train_repeats)
            rows.append(Row(f"training, {name}, {songs}", batch / rates[0], "songs/s", batch / rates[1], 1.0))
    return rows


def both_steps(
    config: HtclConfig,
    batch: int,
    sizes: Sizes,
    shortest: int | None = None,
    device: str = "cpu",
    bfloat16: bool = False,
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Our training step and the published one, each on a model of its own with the same weights, on the same songs.

    bfloat16: ours runs its forward pass in it, as `encoders.training.loop` does on a GPU.
    """
    mels = noise_mels(batch, sizes.frames, shortest)
    words = noise_words(config, batch)
    ours, plain = on(device, fresh_model(config)), on(device, fresh_model(config))
    if bfloat16:
        in_bfloat16(ours)
    return our_step(ours, batch_of(mels, words)), plain_step(plain, mels, words)


def our_step(
    model: HtclModel, songs: dict[str, Tensor], settings: TrainingSettings | None = None
) -> Callable[[], None]:
    """A step of stage 1 as `encoders.training.loop` takes it, on one batch, to be called again and again."""
    chosen = settings or TrainingSettings()
    optimizer = torch.optim.AdamW(parameter_groups(model, chosen), weight_decay=chosen.weight_decay, fused=True)
    arguments = {name: value.to(model.device) for name, value in songs.items()}

    def loss_of(vectors: SongVectors) -> Tensor:
        return semantic_loss(vectors, model.log_scales)

    def step() -> None:
        model.train()
        loss_and_gradient(model, arguments, loss_of, chosen.at_once)
        descend(model, optimizer, chosen.clip)

    return step


def memory(sizes: Sizes) -> list[Row]:
    """What encoding adds to a process's memory, for many tracks against few: it must not depend on their number."""
    rows = []
    for what, encode in (("cached mels", _encode_cached), ("files", _encode_files)):
        many, few = (in_a_child(_growth, encode, sizes, tracks) for tracks in (sizes.many, sizes.few))
        measure = f"memory of encoding {what}, {sizes.many:,} songs against {sizes.few}"
        rows.append(Row(measure, many, "MiB", few, 1.1, at_most=True))
    return rows


def _growth(encode: Callable[[HtclModel, Sizes, int, Path], object], sizes: Sizes, tracks: int) -> float:
    """MiB, at least 1, by which encoding raises the peak of this process above the model and one song encoded."""
    model = fresh_model(sizes.small).eval()
    with tempfile.TemporaryDirectory() as scratch:
        for name, songs in (("first", 1), ("all", tracks)):
            folder = Path(scratch) / name
            folder.mkdir()
            before = peak_mib()
            encode(model, sizes, songs, folder)
    return max(peak_mib() - before, 1.0)


def _encode_cached(model: HtclModel, sizes: Sizes, tracks: int, folder: Path) -> None:
    mels = cached_mels(folder, tracks, sizes.frames)
    # Songs without words need no tokenizer.
    reader = SongReader(mels, [None] * tracks, tokenizer=None)  # type: ignore[arg-type]
    encode_songs(model, reader, folder, "memory")


def _encode_files(model: HtclModel, sizes: Sizes, tracks: int, folder: Path) -> None:
    """One file many times over: what is read does not matter here, how much is kept does."""
    path = folder / "song.flac"
    samples: NDArray[np.float64] = np.random.default_rng(0).uniform(-0.5, 0.5, int(sizes.seconds / 4 * SAMPLE_RATE))
    soundfile.write(path, samples, SAMPLE_RATE)
    model.encode_audio([path] * tracks, batch_size=16)


def fresh_model(config: HtclConfig) -> HtclModel:
    """The same random weights every time."""
    torch.manual_seed(0)
    return HtclModel(config)


def on(device: str, model: HtclModel) -> HtclModel:
    """The model, moved."""
    torch.nn.Module.to(model, device)
    return model


def in_bfloat16(model: HtclModel) -> None:
    """Run the model's forward pass under autocast, as accelerate does."""
    device = model.device.type
    model.forward = torch.autocast(device, torch.bfloat16)(model.forward)  # type: ignore[method-assign]
