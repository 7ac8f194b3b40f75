"""How much each bench measures: enough for a steady number, little enough for minutes on two cores."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from encoders.model.config import CONFIG_MAPPING, HtclAudioConfig, HtclConfig, preset_config
from encoders.model.mel import MAX_FRAMES


def tiny_config() -> HtclConfig:
    """Every part of the model, in one layer of 32."""
    layer: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    audio = HtclAudioConfig(conv_filters=[32, 32, 32], positional_groups=4, dropout=0.0, **layer)
    return HtclConfig(audio_config=audio, text_config=CONFIG_MAPPING["bert"](vocab_size=64, **layer), head_dropout=0.0)


@dataclass(frozen=True)
class Sizes:
    """The defaults are what the project reports; TINY is for its tests."""

    repeats: int = 3
    "Turns that ours and the floor take; the median counts."
    train_repeats: int = 9
    "A step varies by some percent from one to the next, as much as the two loops differ."
    files: int = 192
    first_files: int = 64
    "Both are read by worker processes, as a catalogue is (`encoders.encoding.decoding_pool.FEW`)."
    seconds: float = 120.0
    frames: int = MAX_FRAMES
    full: HtclConfig = field(default_factory=partial(preset_config, "paper"))
    small: HtclConfig = field(default_factory=partial(preset_config, "small"))
    encode_batch: int = 8
    "Steady, and done in a minute; batches of 32 were seen to be 3-5 % slower on two cores."
    train_batch: int = 32
    full_train_batch: int = 8
    "On a CPU; the full-size model at 32 takes minutes a step there."
    few: int = 200
    many: int = 1000
    "Tracks between which memory must not grow."
    square: int = 8192
    "Side of the matrices whose product gives a GPU's peak."
    gpu_encode: int = 8192
    gpu_pairs: int = 2048
    gpu_at_once: int = 256
    gpu_cosines: int = 64
    full_encode: int = 64


def tiny_sizes() -> Sizes:
    """Seconds in all, and no meaning in the numbers."""
    config = tiny_config()
    return Sizes(
        repeats=1,
        train_repeats=1,
        files=6,
        first_files=2,
        seconds=1.5,
        frames=60,
        full=config,
        small=config,
        encode_batch=4,
        train_batch=4,
        full_train_batch=4,
        few=4,
        many=8,
        square=64,
        gpu_encode=8,
        gpu_pairs=4,
        gpu_at_once=4,
        gpu_cosines=24,
        full_encode=4,
    )


@dataclass(frozen=True)
class EvaluationSizes:
    """The same for `python -m eval.bench evaluation`."""

    repeats: int = 3
    queries: int = 10_000
    queries_a_turn: int = 2500
    "Ranked between two looks at the clock; ours and the product take turns."
    tracks: int = 1_000_000
    dimension: int = 128
    measured: int = 100_000
    "Rankings that metrics are computed of."
    plain_queries: int = 2000
    "Of these by the plain loop as well."
    listens: int = 20_000_000
    lanes: int = 1000
    memory: str = "200MB"
    many_listens: int = 100_000_000
    many_memory: str = "640MB"


def tiny_evaluation() -> EvaluationSizes:
    """Seconds in all, and no meaning in the numbers."""
    return EvaluationSizes(
        repeats=1,
        queries=60,
        queries_a_turn=40,
        tracks=3000,
        dimension=8,
        measured=40,
        plain_queries=10,
        listens=5000,
        lanes=20,
        many_listens=8000,
    )
