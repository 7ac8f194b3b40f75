"""Short generated sounds, toy songs, and a model small enough to train in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig

from encoders.encoding.mel_cache import Mels
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.config import HtclAudioConfig, HtclConfig
from encoders.model.mel import quantise
from encoders.model.text import train_wordpiece

GOLDEN = Path(__file__).parents[1] / "golden"
WORDS = ("calm", "furious", "cheerful", "driving", "distant", "bright")


def sound(number: int, seconds: float = 3.0, rate: int = 16_000) -> NDArray[np.float32]:
    """A chord that differs from song to song, with a little noise; (seconds * rate,)."""
    rng = np.random.default_rng(number)
    time = np.arange(int(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * 110 * (1 + number % 12) * overtone * time) / overtone for overtone in (1, 2, 3))
    return (0.2 * chord + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def tiny_config(vocabulary: int = 64, **settings: Any) -> HtclConfig:
    """Both towers with one layer of 32; every part of the real model is there."""
    audio = HtclAudioConfig(
        conv_filters=[32, 32, 32],
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        positional_groups=4,
        dropout=settings.pop("dropout", 0.0),
    )
    text = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    given = {"projection_dim": 16, "text_pooling": "mean", "statistics_hidden": 24, "head_dropout": 0.0, **settings}
    return HtclConfig(audio_config=audio, text_config=text, **given)


def tiny_model(seed: int = 0, **settings: Any) -> HtclModel:
    torch.manual_seed(seed)
    return HtclModel(tiny_config(**settings)).eval()


def mels_of(values: Sequence[NDArray[np.float32] | None]) -> Mels:
    """Mels without files: one chunk for each song that has one."""
    chunks = [quantise(value) for value in values if value is not None]
    where, digests, at = [], [], 0
    for value in values:
        where.append(None if value is None else (at, 0, len(value)))
        digests.append(None if value is None else str(at))
        at += value is not None
    return Mels(chunks.__getitem__, where, {}, digests)


def toy_mels(count: int, frames: int = 24, seed: int = 0) -> list[NDArray[np.float32]]:
    """Songs that are told apart by the band that is loud; decibels below the loudest cell."""
    rng = np.random.default_rng(seed)
    songs = []
    for number in range(count):
        mel = rng.uniform(-80, -50, (frames + number % 5, 128))
        mel[:, 4 * number % 128 : 4 * number % 128 + 6] = rng.uniform(-5, 0, (len(mel), 6))
        mel[0, 4 * number % 128] = 0
        songs.append(mel.astype(np.float32))
    return songs


def toy_texts(count: int) -> list[str]:
    return [f"{WORDS[number % 6]} {WORDS[number // 6 % 6]} number {number}" for number in range(count)]


def build_reader(folder: Path, mels: Sequence[NDArray[np.float32] | None], texts: Sequence[str | None]) -> SongReader:
    tokenizer = train_wordpiece([text for text in texts if text], folder / "vocabulary", vocabulary=200)
    return SongReader(mels_of(mels), texts, tokenizer)
