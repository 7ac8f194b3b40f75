"""Feature extractor and processor in transformers' conventions: arrays and strings to model inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoFeatureExtractor, AutoProcessor, BatchFeature, ProcessorMixin
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor

from data.audio.edges import without_silence
from encoders.model.config import HtclConfig
from encoders.model.mel import BANDS, MAX_FRAMES, MAX_SECONDS, SAMPLE_RATE, TOP_DB, log_mel, standardise
from encoders.model.towers import SHORTEST


class HtclFeatureExtractor(SequenceFeatureExtractor):
    """Mono arrays at 16 kHz -> standardised log-mel (B, T, 128) and the mask of their frames (B, T).

    The mask is named apart from the tokenizer's, so that a processor can return both.
    """

    model_input_names = ["input_features", "audio_attention_mask"]

    def __init__(
        self,
        feature_size: int = BANDS,
        sampling_rate: int = SAMPLE_RATE,
        padding_value: float = 0.0,
        published: bool = False,
        **kwargs: Any,
    ) -> None:
        """published: pad every track to 1251 frames before standardising and give no mask, as the paper's code does.

        Otherwise the silence at the edges is left out.
        """
        self.published = published
        super().__init__(feature_size=feature_size, sampling_rate=sampling_rate, padding_value=padding_value, **kwargs)

    @property
    def nb_max_samples(self) -> int:
        """The longest sound that is taken whole, under the name that CLAP's extractor has for it."""
        return int(MAX_SECONDS * self.sampling_rate)

    def __call__(
        self,
        raw_speech: NDArray[np.float32] | Sequence[NDArray[np.float32]],
        sampling_rate: int | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """raw_speech: the samples of one sound, or several sounds.

        Raises ValueError where the rate is not 16 kHz or an array is empty, silent or not finite.
        """
        if sampling_rate not in (None, self.sampling_rate):
            raise ValueError(
                f"audio at {sampling_rate} Hz; resample to {self.sampling_rate} Hz (data.audio.reading.load_mono)"
            )
        if not len(raw_speech):
            raise ValueError("samples are empty")
        arrays = [np.asarray(array, np.float32) for array in raw_speech] if np.ndim(raw_speech[0]) else [raw_speech]
        mels = [log_mel(self._heard(np.asarray(array, np.float32))[: self.nb_max_samples]) for array in arrays]
        features, mask = collate_mels(mels, published=self.published)
        data = {"input_features": features}
        if not self.published:
            data["audio_attention_mask"] = mask
        return BatchFeature(data, tensor_type=return_tensors)

    def _heard(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """What counts of the samples: not the silence at their edges, but as published."""
        return samples if self.published or not samples.size else without_silence(samples, self.sampling_rate)


def collate_mels(mels: Sequence[NDArray[np.float32]], published: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardise decibel mels (T_i, 128) and pad them to one length: (B, T, 128) and the mask (B, T).

    Fewer than 17 frames are filled up with silence that counts as sound, since the tower needs one token.
    """
    short = MAX_FRAMES if published else SHORTEST
    filled = [_silence_to(mel.astype(np.float32), short) for mel in mels]
    return pad([standardise(mel) for mel in filled])


def collate_levels(mels: Sequence[NDArray[np.uint8]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of cached bytes (T_i, 128), which stay bytes: the tower standardises them, on the device it is on."""
    return pad([mel if len(mel) >= SHORTEST else np.pad(mel, ((0, SHORTEST - len(mel)), (0, 0))) for mel in mels])


def pad(rows: Sequence[NDArray[Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Arrays (T_i, D) filled up with zeros to one length: (B, T, D) and the mask of what is theirs (B, T)."""
    longest = max(len(row) for row in rows)
    padded = np.zeros((len(rows), longest, rows[0].shape[1]), rows[0].dtype)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return torch.from_numpy(padded), mask


def _silence_to(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    if len(mel) >= frames:
        return mel
    return np.pad(mel, ((0, frames - len(mel)), (0, 0)), constant_values=float(mel.max()) - TOP_DB)


class HtclProcessor(ProcessorMixin):
    """Feature extractor and tokenizer in one: `processor(audio=..., text=...)`."""

    def __init__(self, feature_extractor: HtclFeatureExtractor, tokenizer: Any) -> None:
        super().__init__(feature_extractor, tokenizer)


AutoFeatureExtractor.register(HtclConfig, HtclFeatureExtractor)
AutoProcessor.register(HtclConfig, HtclProcessor)
