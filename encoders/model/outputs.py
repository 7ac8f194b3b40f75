"""The model's output for a batch of songs: every vector that the losses read."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SongVectors:
    """Projected vectors of a batch of songs, each (B, D); `audio` or `text` is None where the catalogue has none.

    has_audio, has_text: (B,) bool. Rows of a modality that a song lacks are not read.
    """

    audio: Tensor | None
    text: Tensor | None
    fusion: Tensor
    has_audio: Tensor
    has_text: Tensor

    @property
    def primary(self) -> Tensor:
        """(B, D) the audio vector, or where there is none the text vector, which lives in the same space."""
        if self.audio is None or self.text is None:
            present = self.audio if self.audio is not None else self.text
            assert present is not None
            return present
        return torch.where(self.has_audio[:, None], self.audio, self.text)

    def halves(self) -> tuple["SongVectors", "SongVectors"]:
        """A batch of first songs followed by their partners, taken apart."""
        size = len(self.has_audio) // 2
        return self.rows(slice(0, size)), self.rows(slice(size, None))

    def rows(self, rows: slice) -> "SongVectors":
        """A part of the batch."""
        audio = None if self.audio is None else self.audio[rows]
        text = None if self.text is None else self.text[rows]
        return SongVectors(audio, text, self.fusion[rows], self.has_audio[rows], self.has_text[rows])
