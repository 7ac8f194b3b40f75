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
class Song:
    """What is known of one track. mel: (T, 128) decibels."""

    mel: NDArray[np.float32] | None
    text: str | None


def collate_songs(
    songs: Sequence[Song], tokenizer: PreTrainedTokenizerBase, tokens: int | None = None
) -> dict[str, Tensor]:
    """The model's arguments. A modality that no song has is left out; silence and no words fill the other gaps.

    tokens: where longer texts are cut.
    """
    heard = torch.tensor([song.mel is not None for song in songs])
    read = torch.tensor([song.text is not None for song in songs])
    batch = {"has_audio": heard, "has_text": read}
    if heard.any():
        silence = np.full((SHORTEST, BANDS), -TOP_DB, np.float32)
        mels = [silence if song.mel is None else song.mel for song in songs]
        batch["input_features"], batch["audio_attention_mask"] = collate_mels(mels)
    if read.any():
        batch |= tokenize(tokenizer, [song.text or "" for song in songs], tokens)
    return batch


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
        mels = [self._mel(int(track), rng, crop) for track in tracks]
        texts = [self.texts[track] for track in tracks]
        if rng is not None and any(text is not None for text in texts):
            shorter = [leave_out(text or "", forget, rng) for text in texts]
            texts = [None if text is None else left for text, left in zip(texts, shorter, strict=True)]
        songs = [Song(mel, text) for mel, text in zip(mels, texts, strict=True)]
        return collate_songs(songs, self.tokenizer, tokens if rng is not None else None)

    def _mel(self, track: int, rng: np.random.Generator | None, crop: int | None) -> NDArray[np.float32] | None:
        if self.mels.where[track] is None:
            return None
        mel = self.mels[track]
        if crop is not None and len(mel) > crop and rng is not None:
            start = int(rng.integers(len(mel) - crop + 1))
            mel = mel[start : start + crop]
        return mel


def leave_out(text: str, chance: float, rng: np.random.Generator) -> str:
    """The text without some of its fields, never without all.

    A title names one song alone; a tower that always sees it learns songs by heart instead of what they sound like.
    """
    fields = text.split(SEPARATOR)
    kept = [field for field, draw in zip(fields, rng.random(len(fields)), strict=True) if draw >= chance]
    return SEPARATOR.join(kept) or fields[int(rng.integers(len(fields)))]
