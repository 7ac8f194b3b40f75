"""From track rows to what the model reads: crops of mels, tokens of texts, and which song has which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from encoders.features import Mels
from encoders.mel import BANDS, TOP_DB
from encoders.processing import collate_mels
from encoders.text import tokenize
from encoders.towers import SHORTEST


@dataclass(frozen=True)
class SongReader:
    """Reads songs of one catalogue in batches.

    texts: one per track, None where there is none.
    """

    mels: Mels
    texts: Sequence[str | None]
    tokenizer: PreTrainedTokenizerBase

    @property
    def has_audio(self) -> NDArray[np.bool_]:
        return self.mels.present

    @property
    def has_text(self) -> NDArray[np.bool_]:
        return np.array([text is not None for text in self.texts], dtype=np.bool_)

    def read(
        self, tracks: NDArray[np.int32], crop: int | None = None, rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        """The model's arguments for these tracks. A modality that none of them has is left out.

        crop: frames of a random window taken of each longer mel, for training; None takes the whole, as encoding must.
        """
        heard = self.has_audio[tracks]
        read = np.array([self.texts[track] is not None for track in tracks], dtype=np.bool_)
        batch = {"has_audio": torch.from_numpy(heard), "has_text": torch.from_numpy(read)}
        if heard.any():
            mels = [self._mel(int(track), crop, rng) for track in tracks]
            batch["input_features"], batch["audio_attention_mask"] = collate_mels(mels)
        if read.any():
            batch |= tokenize(self.tokenizer, [self.texts[track] or "" for track in tracks])
        return batch

    def _mel(self, track: int, crop: int | None, rng: np.random.Generator | None) -> NDArray[np.float32]:
        if self.mels.where[track] is None:
            return np.full((SHORTEST, BANDS), -TOP_DB, np.float32)
        mel = self.mels[track]
        if crop is not None and len(mel) > crop and rng is not None:
            start = int(rng.integers(len(mel) - crop + 1))
            mel = mel[start : start + crop]
        return mel.astype(np.float32)
