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
from encoders.text import SEPARATOR, tokenize
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
        self,
        tracks: NDArray[np.int32],
        rng: np.random.Generator | None = None,
        crop: int | None = None,
        tokens: int | None = None,
        forget: float = 0.0,
    ) -> dict[str, Tensor]:
        """The model's arguments for these tracks. A modality that none of them has is left out.

        With a generator, as in training: crop, frames of a random window taken of each longer mel; tokens, where each
        longer text is cut; forget, chance that each field of a text is left out. Without one every song is read whole,
        as encoding must.
        """
        heard = np.array([self.mels.where[track] is not None for track in tracks], dtype=np.bool_)
        read = np.array([self.texts[track] is not None for track in tracks], dtype=np.bool_)
        batch = {"has_audio": torch.from_numpy(heard), "has_text": torch.from_numpy(read)}
        if heard.any():
            mels = [self._mel(int(track), rng, crop) for track in tracks]
            batch["input_features"], batch["audio_attention_mask"] = collate_mels(mels)
        if read.any():
            texts = [self.texts[track] or "" for track in tracks]
            if rng is not None:
                texts = [leave_out(text, forget, rng) for text in texts]
            batch |= tokenize(self.tokenizer, texts, tokens if rng is not None else None)
        return batch

    def _mel(self, track: int, rng: np.random.Generator | None, crop: int | None) -> NDArray[np.float32]:
        if self.mels.where[track] is None:
            return np.full((SHORTEST, BANDS), -TOP_DB, np.float32)
        mel = self.mels[track]
        if crop is not None and len(mel) > crop and rng is not None:
            start = int(rng.integers(len(mel) - crop + 1))
            mel = mel[start : start + crop]
        return mel.astype(np.float32)


def leave_out(text: str, chance: float, rng: np.random.Generator) -> str:
    """The text without some of its fields, never without all.

    A title names one song alone; a tower that always sees it learns songs by heart instead of what they sound like.
    """
    fields = text.split(SEPARATOR)
    kept = [field for field, draw in zip(fields, rng.random(len(fields)), strict=True) if draw >= chance]
    return SEPARATOR.join(kept) or fields[int(rng.integers(len(fields)))]
