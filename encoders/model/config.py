"""Configuration of HTCL in transformers' conventions, and the three presets."""

from typing import Any

from transformers import CONFIG_MAPPING as BY_TYPE
from transformers import AutoConfig, PreTrainedConfig

from data.errors import UserError
from encoders.options import Preset

CONFIG_MAPPING: Any = BY_TYPE  # each class takes arguments of its own, which transformers does not type


class HtclAudioConfig(PreTrainedConfig):
    """The audio tower; defaults are the paper's (88.5 million parameters)."""

    model_type = "htcl_audio"
    base_config_key = "audio_config"

    num_mel_bins: int = 128
    conv_filters: list[int] | tuple[int, ...] = (512, 512, 512)
    conv_kernels: list[int] | tuple[int, ...] = (5, 3, 3)
    conv_strides: list[int] | tuple[int, ...] = (2, 2, 2)
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    positional_kernel: int = 31
    positional_groups: int = 16
    dropout: float = 0.1


class HtclConfig(PreTrainedConfig):
    """Two towers, their heads, and how a song's two vectors become one."""

    model_type = "htcl"
    sub_configs = {"audio_config": HtclAudioConfig}

    audio_config: dict[str, Any] | PreTrainedConfig | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    projection_dim: int = 100
    text_pooling: str = "pooler"
    "`pooler` as published; `mean` over tokens for sentence encoders."
    text_shortcut: bool = False
    "A linear map beside the text head's layers, for a pre-trained tower that has arranged the songs already."
    statistics_hidden: int = 0
    "Width of the layer that reads each band's statistics over time beside the audio tower; 0, as published: none."
    feature_dim: int = 0
    "Width of the table of precomputed features; 0 builds no tower for them."
    feature_hidden: int = 256
    fusion: str = "mean"
    "`mean` of the normalised vectors until stage 2 has trained the fusion head, then `mlp` (as published) or `gated`."
    published: bool = False
    "`encode_audio` fills songs up to 120 s and masks nothing, as the published code does; `from_published` sets it."
    head_dropout: float = 0.1
    initial_log_scale: float = 2.6
    max_log_scale: float = 4.6052
    "Similarities are multiplied by at most exp of this, 100."
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        if self.audio_config is None:
            self.audio_config = HtclAudioConfig()
        elif isinstance(self.audio_config, dict):
            self.audio_config = HtclAudioConfig(**self.audio_config)
        if self.text_config is None:
            self.text_config = CONFIG_MAPPING["bert"]()
        elif isinstance(self.text_config, dict):
            kind = self.text_config.get("model_type", "bert")
            self.text_config = CONFIG_MAPPING[kind](**self.text_config)
        super().__post_init__(**kwargs)


def preset_config(preset: Preset, vocabulary: int = 30522) -> HtclConfig:
    """`paper`: full size. `small`: 4 layers x 256. `demo`: trains in minutes on two cores.

    vocabulary: WordPiece entries of the small text tower of `demo` and `small`. Raises UserError for another name.
    """
    if preset == "paper":
        return HtclConfig(text_config=CONFIG_MAPPING["bert"](vocab_size=105_879))
    if preset == "small":
        return _compact(vocabulary, 256, 4)
    if preset == "demo":
        return _compact(vocabulary, 128, 2)
    raise UserError(f'no preset "{preset}"', "Take demo, small or paper.")


def _compact(vocabulary: int, hidden: int, layers: int) -> HtclConfig:
    """Both towers of the same width and depth, without dropout, and band statistics beside the audio tower."""
    audio = HtclAudioConfig(
        conv_filters=[hidden] * 3,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        dropout=0.0,
    )
    return HtclConfig(
        audio_config=audio,
        text_config=_small_bert(vocabulary, hidden, layers),
        text_pooling="mean",
        statistics_hidden=256,
        head_dropout=0.0,
    )


def _small_bert(vocabulary: int, hidden: int, layers: int) -> Any:
    """A BERT that starts from nothing on a small catalogue.

    No dropout: at the start songs differ by less than its noise, and the contrastive loss stays at log(batch). Weights
    start at the scale of 1 / sqrt(hidden) for the same reason.
    """
    return CONFIG_MAPPING["bert"](
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=hidden**-0.5,
    )


AutoConfig.register("htcl_audio", HtclAudioConfig)
AutoConfig.register("htcl", HtclConfig)
