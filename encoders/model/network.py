"""The network of HTCL: two towers, their heads and the fusion. Tensors in, tensors out; it reads no files."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling

from encoders.model.config import HtclConfig
from encoders.model.mel import band_statistics, standardised
from encoders.model.model_folder_checks import check_settings, check_weights
from encoders.model.outputs import SongVectors
from encoders.model.towers import AudioTower, FeatureTower, Head, ShortcutHead

MANY_TEXTS = 64
"""Rows of a batch from which it is worth taking apart by length."""


class HtclNetwork(PreTrainedModel):
    """Hierarchical Two-stage Contrastive Learning (arXiv 2505.23298): songs to vectors of `projection_dim` (100)."""

    config_class = HtclConfig
    config: HtclConfig
    base_model_prefix = "htcl"
    input_modalities = ["audio", "text"]
    main_input_name = "input_features"
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ["center", "spread"]
    "What rows of features are standardised by: a year or a number of milliseconds has no room in 16 bits."

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As transformers', but a folder that lacks a tensor or a setting is refused: raises UserError naming it."""
        if (folder := Path(str(pretrained_model_name_or_path))).is_dir():
            pretrained_model_name_or_path = folder.absolute()
            check_settings(folder, HtclConfig)
        told = kwargs.pop("output_loading_info", False)
        found: Any = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        model, loading = found
        check_weights(str(folder), loading, model.state_dict())
        return (model, loading) if told else model

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its configuration and weights; torch's parametrised layers, one of ours among them, refuse to."""
        extra = {name: value for name, value in self.__dict__.items() if name in self._pickled_attributes}
        return _rebuilt, (type(self), self.config, self.state_dict(), self.training, extra)

    _pickled_attributes: tuple[str, ...] = ()

    def __init__(self, config: HtclConfig) -> None:
        super().__init__(config)
        audio_config: Any = config.audio_config
        text_config: Any = config.text_config
        size, audio, text = config.projection_dim, audio_config.hidden_size, text_config.hidden_size
        self.audio_model = AudioTower(audio_config)
        self.text_model = AutoModel.from_config(text_config)
        self.audio_head = Head((audio, audio // 2, audio // 4, size), config.head_dropout)
        text_head = ShortcutHead if config.text_shortcut else Head
        self.text_head = text_head((text, text // 2, text // 4, size), config.head_dropout)
        self.fusion_head = Head((2 * size, 2 * size, size, size), config.head_dropout)
        if config.statistics_hidden:
            self.statistics_model = FeatureTower(3 * audio_config.num_mel_bins, config.statistics_hidden, size)
        if config.feature_dim:
            self.feature_model = FeatureTower(config.feature_dim, config.feature_hidden, size)
        self.log_scales = nn.Parameter(torch.full((3,), config.initial_log_scale))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, HtclNetwork):
            init.constant_(module.log_scales, self.config.initial_log_scale)
        elif isinstance(module, AudioTower):
            init.normal_(module.cls_token, std=0.02)
            for layer in module.modules():
                # Wider than the common scheme, under which all songs start out alike and stage 1 does not take off.
                if isinstance(layer, nn.Linear):
                    init.xavier_uniform_(layer.weight)
                    init.zeros_(layer.bias)
                    layer._is_hf_initialized = True  # type: ignore[assignment]
        elif isinstance(module, FeatureTower):
            init.zeros_(module.center)
            init.ones_(module.spread)
        elif isinstance(module, nn.Conv1d):
            # torch's own scheme, made when the layer was; the common scheme cannot see through the weight norm.
            return
        else:
            super()._init_weights(module)

    def get_audio_features(
        self, input_features: Tensor, audio_attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """input_features: (B, T, 128) standardised log-mel, or its cached bytes.

        audio_attention_mask: (B, T), None as published. `.pooler_output` is the projected vector (B, projection_dim),
        not normalised.
        """
        tokens, heard = self._hear(input_features, audio_attention_mask)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=heard)

    def _hear(self, frames: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Tokens (B, T', D) and the projected vector (B, projection_dim)."""
        frames = standardised(frames, mask)
        tokens, pooled = self.audio_model(frames, mask)
        heard = self.audio_head(pooled)
        if self.config.statistics_hidden:
            heard = heard + self.statistics_model(band_statistics(frames, mask))
        return tokens, heard

    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """input_ids, attention_mask: (B, T). `.pooler_output` is the projected vector (B, projection_dim)."""
        tokens, pooled = self.pool_text(input_ids, attention_mask)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=self.text_head(pooled))

    def pool_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, D) and the text tower's own summary of them (B, D), before the head."""
        output = self.text_model(input_ids=input_ids, attention_mask=attention_mask)
        tokens = output.last_hidden_state
        if self.config.text_pooling == "pooler":
            return tokens, output.pooler_output
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return tokens, (tokens * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def _pool_by_length(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """`pool_text`'s summary (B, D). On a CPU texts of like length go through the tower together, without padding
        to the longest of all: titles are mostly half as long.
        """
        if attention_mask is None or len(input_ids) < MANY_TEXTS or input_ids.is_cuda:
            return self.pool_text(input_ids, attention_mask)[1]
        lengths = attention_mask.sum(dim=1)
        order = lengths.argsort(stable=True)
        pooled = []
        for rows in order.chunk(4):
            longest = int(lengths[rows].max())
            pooled.append(self.pool_text(input_ids[rows, :longest], attention_mask[rows, :longest])[1])
        return torch.cat(pooled)[order.argsort()]

    def get_item_features(
        self,
        input_features: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        precomputed: Tensor | None = None,
    ) -> BaseModelOutputWithPooling:
        """One vector per song from whichever modalities are given; with one alone, that one's vector.

        `.pooler_output`: (B, projection_dim), normalised. Raises ValueError where none is given.
        """
        songs = self(input_features, audio_attention_mask, input_ids, attention_mask, precomputed=precomputed)
        return BaseModelOutputWithPooling(pooler_output=songs.fusion)

    def fuse(
        self, audio: Tensor | None, text: Tensor | None, has_audio: Tensor | None = None, has_text: Tensor | None = None
    ) -> Tensor:
        """Item vectors (B, D), normalised, from projected audio and text (B, D); None: no song has it.

        has_audio, has_text: (B,) bool; a song with one modality missing gets the other's vector.
        """
        if audio is None or text is None:
            present = audio if audio is not None else text
            if present is None:
                raise ValueError("a song needs audio or text for a vector")
            return normalize(present, dim=1)
        audio_unit, text_unit = normalize(audio, dim=1), normalize(text, dim=1)
        if self.config.fusion == "mlp":
            fused = normalize(self.fusion_head(torch.cat([audio, text], dim=1)), dim=1)
        elif self.config.fusion == "gated":
            gate = torch.sigmoid(self.fusion_head(torch.cat([audio_unit, text_unit], dim=1)))
            fused = normalize(gate * audio_unit + (1 - gate) * text_unit, dim=1)
        else:
            fused = normalize(audio_unit + text_unit, dim=1)
        if has_audio is not None:
            fused = torch.where(has_audio[:, None], fused, text_unit)
        if has_text is not None:
            fused = torch.where(has_text[:, None], fused, audio_unit)
        return fused

    def forward(
        self,
        input_features: Tensor | None = None,
        audio_attention_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        precomputed: Tensor | None = None,
        has_mel: Tensor | None = None,
        has_precomputed: Tensor | None = None,
        has_text: Tensor | None = None,
        **kwargs: Any,
    ) -> SongVectors:
        """Every vector the losses read, for one batch of songs.

        precomputed: (B, feature_dim), rows of the features table. What a song's mel and its features say of its sound
        is added up to its audio vector. has_mel, has_precomputed, has_text: (B,) bool, default all.
        """
        text = None
        heard: list[Tensor] = []
        sounds: list[Tensor] = []
        if input_features is not None:
            sounds.append(self._hear(input_features, audio_attention_mask)[1])
            heard.append(_all_of(sounds[-1]) if has_mel is None else has_mel)
        if precomputed is not None:
            sounds.append(self.feature_model(precomputed))
            heard.append(_all_of(sounds[-1]) if has_precomputed is None else has_precomputed)
        if input_ids is not None:
            text = self.text_head(self._pool_by_length(input_ids, attention_mask))
        audio = None
        if sounds:
            parts = [torch.where(has[:, None], sound, 0.0) for has, sound in zip(heard, sounds, strict=True)]
            audio = torch.stack(parts).sum(dim=0)
        given = audio if audio is not None else text
        if given is None:
            raise ValueError("a batch needs audio, precomputed features or text")
        has_audio = torch.stack(heard).any(dim=0) if heard else ~_all_of(given)
        if text is None:
            has_text = ~_all_of(given)
        elif has_text is None:
            has_text = _all_of(given)
        return SongVectors(audio, text, self.fuse(audio, text, has_audio, has_text), has_audio, has_text)

    def clamp_scales(self) -> None:
        """Keep the learned temperatures in a range where they cannot run away."""
        with torch.no_grad():
            self.log_scales.clamp_(0.0, self.config.max_log_scale)


def _rebuilt(
    kind: type[HtclNetwork], config: HtclConfig, weights: dict[str, Tensor], training: bool, extra: dict[str, Any]
) -> HtclNetwork:
    """What `HtclNetwork.__reduce__` took apart."""
    model = kind(config)
    model.load_state_dict(weights, assign=True)  # with their own precision and device
    model.train(training)
    model.__dict__.update(extra)
    return model


def _all_of(rows: Tensor) -> Tensor:
    return torch.ones(len(rows), dtype=torch.bool, device=rows.device)
