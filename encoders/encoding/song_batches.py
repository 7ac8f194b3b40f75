"""Batches for the model from track rows: mel crops, text tokens, feature rows, and which song has which."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from data.dataset import Dataset
from data.errors import UserError
from encoders.encoding.mel_cache import Mels
from encoders.model.mel import BANDS, TOP_DB
from encoders.model.processing import collate_levels, collate_mels
from encoders.model.text import SEPARATOR, tokenize, track_texts
from encoders.model.towers import SHORTEST


@dataclass(frozen=True)
class Song:
    """What is known of one track. mel: (T, 128), decibels, or levels as they are cached; the songs of a batch have the
    same. precomputed: (F,), its row of the features table.
    """

    mel: NDArray[np.float32] | NDArray[np.uint8] | None
    text: str | None
    precomputed: NDArray[np.float32] | None = None


def collate_songs(
    songs: Sequence[Song], tokenizer: PreTrainedTokenizerBase | None, tokens: int | None = None, published: bool = False
) -> dict[str, Tensor]:
    """The model's arguments. What no song has is left out; silence, zeros and no words fill the other gaps.

    tokens: where longer texts are cut. published: decibel mels are filled up to 120 s and not masked (`collate_mels`).
    """
    heard = torch.tensor([song.mel is not None for song in songs])
    described = torch.tensor([song.precomputed is not None for song in songs])
    read = torch.tensor([song.text is not None for song in songs])
    batch = {"has_mel": heard, "has_precomputed": described, "has_text": read}
    if heard.any():
        cached = any(song.mel is not None and song.mel.dtype == np.uint8 for song in songs)
        silence = np.zeros((SHORTEST, BANDS), np.uint8) if cached else np.full((SHORTEST, BANDS), -TOP_DB, np.float32)
        mels: list[Any] = [silence if song.mel is None else song.mel for song in songs]
        frames, mask = collate_levels(mels) if cached else collate_mels(mels, published)
        batch["input_features"] = frames
        if cached or not published:
            batch["audio_attention_mask"] = mask
    if described.any():
        width = next(len(song.precomputed) for song in songs if song.precomputed is not None)
        nothing = np.zeros(width, np.float32)
        rows = [nothing if song.precomputed is None else song.precomputed for song in songs]
        batch["precomputed"] = torch.from_numpy(np.stack(rows))
    if read.any():
        assert tokenizer is not None
        batch |= tokenize(tokenizer, [song.text or "" for song in songs], tokens)
    return batch


def readable_features(table: NDArray[np.float32] | None, width: int) -> NDArray[np.float32] | None:
    """(N, F) what a model for features of this width reads of a catalogue's; nothing where it has no tower for them.

    Raises UserError where they are of another width.
    """
    if table is None or not width:
        return None
    if table.shape[1] != width:
        raise UserError(f"{table.shape[1]} features a track; the model was trained on {width}")
    return table


@dataclass(frozen=True)
class View:
    """How training looks at songs, another way each time.

    key: with a song's place in its batch it decides what is drawn, whoever reads the song and in whatever company.
    """

    key: tuple[int, ...]
    crop: int | None = None
    "Frames of a random window taken of each longer mel."
    tokens: int | None = None
    "Where each longer text is cut."
    forget: float = 0.0
    "Chance that each field of a text is left out."


@dataclass(frozen=True)
class SongReader:
    """Reads songs of one catalogue in batches.

    texts: one per track, None where there is none. precomputed: (N, F), NaN rows where there is none, or no table.
    """

    mels: Mels
    texts: Sequence[str | None]
    tokenizer: PreTrainedTokenizerBase
    precomputed: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, dataset: Dataset, mels: Mels, tokenizer: PreTrainedTokenizerBase) -> "SongReader":
        """Everything the dataset knows of its songs."""
        return cls(mels, track_texts(dataset.tracks), tokenizer, dataset.feature_matrix())

    @cached_property
    def has_audio(self) -> NDArray[np.bool_]:
        """(N,) of which songs is it known how they sound, from a mel or from precomputed features?"""
        return self.mels.present | self.has_precomputed

    @cached_property
    def has_precomputed(self) -> NDArray[np.bool_]:
        if self.precomputed is None:
            return np.zeros(len(self.texts), np.bool_)
        return np.asarray(~np.isnan(self.precomputed[:, 0]), np.bool_)

    @cached_property
    def has_text(self) -> NDArray[np.bool_]:
        return np.array([text is not None for text in self.texts], dtype=np.bool_)

    def read(
        self, tracks: NDArray[np.int32], view: View | None = None, places: NDArray[np.int64] | None = None
    ) -> dict[str, Tensor]:
        """The model's arguments for these tracks. A modality that none of them has is left out.

        view: None reads every song whole, as encoding must. places: the tracks' places in the whole batch where they
        are a part of it; default from 0 on.
        """
        if view is None:
            return collate_songs([self._song(int(track)) for track in tracks], self.tokenizer)
        numbers = range(len(tracks)) if places is None else places
        songs = [self._glimpse(int(track), view, int(place)) for track, place in zip(tracks, numbers, strict=True)]
        return collate_songs(songs, self.tokenizer, view.tokens)

    def keys(self, tracks: NDArray[np.int32]) -> list[str]:
        """Stands for all that is read of each of these songs."""
        keys = []
        for track in tracks.tolist():
            known = hashlib.blake2b(digest_size=12)
            known.update(f"{self.mels.digests[track]}\0{self.texts[track]}\0".encode("utf-8", "surrogatepass"))
            if self.precomputed is not None:
                known.update(self.precomputed[track].tobytes())
            keys.append(known.hexdigest())
        return keys

    def by_length(self, tracks: NDArray[np.int32]) -> NDArray[np.int64]:
        """Positions in `tracks`, shortest song first: batches of neighbours need little padding."""
        lengths = np.array([length_key(self.mels.frames(track), self.texts[track]) for track in tracks])
        return np.argsort(lengths, kind="stable")

    def _song(self, track: int) -> Song:
        mel = None if self.mels.where[track] is None else self.mels.levels(track)
        row = None if self.precomputed is None or np.isnan(self.precomputed[track, 0]) else self.precomputed[track]
        return Song(mel, self.texts[track], row)

    def _glimpse(self, track: int, view: View, place: int) -> Song:
        rng = np.random.default_rng([*view.key, place])
        song = self._song(track)
        mel, text = song.mel, song.text
        if mel is not None and view.crop is not None and len(mel) > view.crop:
            start = int(rng.integers(len(mel) - view.crop + 1))
            mel = mel[start : start + view.crop]
        return Song(mel, None if text is None else leave_out(text, view.forget, rng), song.precomputed)


def length_key(frames: int, text: str | None) -> int:
    """Sort key of a song's length: by the mel, songs of equal mels by the text."""
    return 1000 * frames + len(text or "")


def leave_out(text: str, chance: float, rng: np.random.Generator) -> str:
    """The text without some of its fields, never without all.

    A title names one song alone; a tower that always sees it learns songs by heart instead of what they sound like.
    """
    fields = text.split(SEPARATOR)
    kept = [field for field, draw in zip(fields, rng.random(len(fields)), strict=True) if draw >= chance]
    return SEPARATOR.join(kept) or fields[int(rng.integers(len(fields)))]
