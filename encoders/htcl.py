"""HtclModel: the encoder that people import: files, arrays, words and tracks in, vectors out."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from data.dataset import Dataset
from data.errors import UserError
from encoders.encoding.audio_inputs import Audio, is_one
from encoders.encoding.encode import Encoded, EncodeKeywords, EncodeOptions, audio_kind, encode, text_kind, track_kind
from encoders.encoding.song_batches import readable_features
from encoders.model.config import HtclConfig, preset_config
from encoders.model.network import HtclNetwork
from encoders.model.original_weights import load_original_weights
from encoders.model.text import track_texts


class HtclModel(HtclNetwork):
    """Hierarchical Two-stage Contrastive Learning (arXiv 2505.23298): songs to vectors of `projection_dim` (100)."""

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer saved beside the weights. Raises UserError where there is none: set it then."""
        try:
            return AutoTokenizer.from_pretrained(self.name_or_path)
        except (ValueError, OSError) as error:
            hint = "Save one beside the weights, or set model.tokenizer."
            raise UserError(f'no tokenizer in "{self.name_or_path}"', hint) from error

    def encode_audio(self, audio: Audio | Iterable[Audio], **options: Unpack[EncodeKeywords]) -> Encoded:
        """Audio vectors (N, D) in the order given; (D,) for one file or array alone. The options are `EncodeOptions`'s.

        Files are decoded, arrays (16 kHz, or with their rate) resampled, both cut after 120 s. Raises AudioError or
        ValueError for an item that cannot be read, unless `on_error` says otherwise.
        """
        given: Any = audio
        alone = is_one(audio)
        items = [given] if alone else list(given)
        return encode(self, items, audio_kind(self), EncodeOptions(**options), alone)

    def encode_text(self, texts: str | Iterable[str], **options: Unpack[EncodeKeywords]) -> Encoded:
        """Text vectors (N, D) in the order given; (D,) for one text alone. The options are `EncodeOptions`'s."""
        alone = isinstance(texts, str)
        return encode(
            self,
            [texts] if alone else list(texts),
            text_kind(self, lambda: self.tokenizer),
            EncodeOptions(**options),
            alone,
        )

    def encode_tracks(self, dataset: Dataset, **options: Unpack[EncodeKeywords]) -> Encoded:
        """Item vectors (N, D) of a catalogue's tracks, each from what there is of it. Options: `EncodeOptions`'s.

        A track whose file cannot be read is a bad item, whatever else is known of it.
        Raises UserError where the catalogue's features are of another width than those that the model was trained on.
        """
        files = [dataset.audio_file(row) for row in range(len(dataset.track_ids))]
        table = readable_features(dataset.feature_matrix(), self.config.feature_dim)
        rows = [None] * len(files) if table is None else [None if np.isnan(row[0]) else row for row in table]
        songs = list(zip(files, track_texts(dataset.tracks), rows, strict=True))
        return encode(self, songs, track_kind(self, lambda: self.tokenizer), EncodeOptions(**options))

    @classmethod
    def from_published(
        cls,
        audio_model: str | Path | dict[str, Tensor] | None = None,
        text_model: str | Path | dict[str, Tensor] | None = None,
        audio_mlp: str | Path | dict[str, Tensor] | None = None,
        text_mlp: str | Path | dict[str, Tensor] | None = None,
        fusion_mlp: str | Path | dict[str, Tensor] | None = None,
        config: HtclConfig | None = None,
    ) -> Self:
        """A model from any subset of the published state dicts (dicts, .safetensors, or weights-only .pt files).

        config: default the paper's. What is not given keeps its fresh weights, and songs are padded as published.
        Raises UserError naming the tensors that are missing, unknown or of another shape.
        """
        model = cls(config or preset_config("paper"))
        parts = {
            "audio_model": audio_model,
            "text_model": text_model,
            "audio_mlp": audio_mlp,
            "text_mlp": text_mlp,
            "fusion_mlp": fusion_mlp,
        }
        load_original_weights(model, {name: part for name, part in parts.items() if part is not None})
        model.config.published = True
        if fusion_mlp is not None:
            model.config.fusion = "mlp"
        model.eval()
        return model


AutoModel.register(HtclConfig, HtclModel)
