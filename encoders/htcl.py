"""HtclModel: the encoder that people import: files, arrays, words and tracks in, vectors out."""

from collections.abc import Iterable
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
from encoders.model.model_folder_checks import COPY_AGAIN, check_tokenizer
from encoders.model.network import HtclNetwork
from encoders.model.original_weights import load_original_weights
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor
from encoders.model.text import SPECIAL, track_texts

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")


class HtclModel(HtclNetwork):
    """Hierarchical Two-stage Contrastive Learning (arXiv 2505.23298): songs to vectors of `projection_dim` (100)."""

    _tokenizer: Any = None
    _pickled_attributes = ("_tokenizer",)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """The model of a folder or hub id with its tokenizer: what is loaded does not change with the folder.

        A folder without any tokenizer gives a model that hears and does not read. Raises UserError naming what a folder
        lacks: a tensor, a setting, the tokenizer's vocabulary.
        """
        answer = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = answer[0] if isinstance(answer, tuple) else answer
        model.tokenizer = _saved_tokenizer(
            pretrained_model_name_or_path, model.config.text_config.vocab_size, kwargs.get("local_files_only", False)
        )
        return answer

    @property
    def tokenizer(self) -> Any:
        """The tokenizer saved beside the weights. Raises UserError where there is none: set it then."""
        if self._tokenizer is None:
            hint = "Save one beside the weights, or set model.tokenizer."
            raise UserError(f'no tokenizer in "{self.name_or_path}"', hint)
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Weights, configuration, feature extractor and tokenizer: everything that `from_pretrained` takes."""
        super().save_pretrained(save_directory, *args, **kwargs)
        extractor = HtclFeatureExtractor(published=self.config.published)
        if self._tokenizer is None:
            extractor.save_pretrained(save_directory)
            return
        if self._tokenizer.is_fast:
            # The last batch's padding would be saved too, and the same training have another fingerprint.
            self._tokenizer.backend_tokenizer.no_padding()
            self._tokenizer.backend_tokenizer.no_truncation()
        HtclProcessor(extractor, self._tokenizer).save_pretrained(save_directory)

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


def _saved_tokenizer(source: Any, vocabulary: int, local: bool) -> Any:
    """The tokenizer beside the weights, None where the folder (or the hub's repository) has no file of one."""
    folder = Path(str(source))
    if folder.is_dir() and not any((folder / name).exists() for name in TOKENIZER_FILES):
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local, trust_remote_code=False)
    except (ValueError, OSError) as error:
        if not folder.is_dir():
            return None
        raise UserError(f"the tokenizer in {source} does not load: {str(error).splitlines()[0]}", COPY_AGAIN) from error
    check_tokenizer(str(source), tokenizer, vocabulary, len(SPECIAL))
    return tokenizer


AutoModel.register(HtclConfig, HtclModel)
