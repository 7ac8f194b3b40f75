"""The two stages: what each learns from, and the settings each preset gives it.

Stage 1 (semantic) aligns a song's audio with its text. Stage 2 (preference) starts from stage 1's weights, its heads
included, and pulls together songs that listeners respond to alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.listening.pairs import are_pairs, pair_keys
from encoders.encoding.song_batches import SongReader, View
from encoders.model.network import HtclNetwork
from encoders.model.outputs import SongVectors
from encoders.training.checkpoint import History
from encoders.training.epoch_selection import Partners, choose_songs, text_and_audio
from encoders.training.initialisation import spread_heads, start_fusion
from encoders.training.loop import Batch, TrainingPlan, TrainingSettings, train
from encoders.training.losses import PairTerms, Skipped, preference_loss, semantic_loss
from encoders.training.presets import PreferenceSettings

MOST_DRAWS = 20
"""Of each pair in an epoch, in the mean. Three songs make three pairs, which 30 steps of 64 would draw 640 times each,
for minutes; from 130 pairs on, neither demo nor small is bounded by this."""
SPREAD_OVER = 256
"""Songs whose vectors set the scale of fresh heads."""


@dataclass(frozen=True)
class TrainingFolder:
    """Where a training keeps its checkpoint, what a checkpoint must have been made from, and where its curves go."""

    scratch: Path
    identity: object
    logs: Path | None = None


def train_semantic(
    model: HtclNetwork, reader: SongReader, tracks: NDArray[np.int32], settings: TrainingSettings, place: TrainingFolder
) -> History:
    """Stage 1 over the tracks that have audio and text, from fresh heads."""
    both = tracks[reader.has_audio[tracks] & reader.has_text[tracks]]
    chosen = choose_songs(both, settings.validation_share, settings.seed)
    learned = np.setdiff1d(both, chosen)
    size = min(settings.batch_size, len(learned))

    def begin() -> None:
        sample = np.random.default_rng([settings.seed, 3]).permutation(learned)[:SPREAD_OVER]
        songs = reader.read(sample, View((settings.seed, 3), settings.crop_frames))
        locked = ("input_ids", "attention_mask") if settings.lock_text else ()
        spread_heads(model, {name: value for name, value in songs.items() if name not in locked})

    def batches(epoch: int) -> Sequence[Callable[[], Batch]]:
        order = np.random.default_rng([settings.seed, epoch]).permutation(learned)
        starts = range(0, len(order) - size + 1, size)[: settings.steps_per_epoch]
        return [partial(Batch, order[at : at + size], semantic_loss) for at in starts]

    validate = partial(text_and_audio, reader=reader, songs=chosen) if len(chosen) else None
    plan = TrainingPlan("stage 1", reader, batches, settings, place.identity, validate, begin)
    return train(model, plan, place.scratch, place.logs)


@dataclass(frozen=True)
class Listening:
    """What stage 2 learns from.

    pairs: similar songs (`usable_pairs`). skips: pairs of a played and a skipped song, or none. before: (N, D), the
    text vectors of stage 1, for a catalogue of texts by a pre-trained tower (see `preference_loss`).
    """

    pairs: pl.DataFrame
    skips: pl.DataFrame | None = None
    before: NDArray[np.float32] | None = None


def train_preference(
    model: HtclNetwork, reader: SongReader, listening: Listening, settings: PreferenceSettings, place: TrainingFolder
) -> History:
    """Stage 2 over pairs drawn by weight. Neither the same song nor another known partner is a negative in a batch.

    Pairs of a song that chooses the epoch are not trained on.
    """
    fused = bool(reader.has_audio.any())
    if fused:
        model.config.fusion = settings.fusion
    chosen, learned = _divided(listening.pairs, settings)
    plan = TrainingPlan(
        "stage 2",
        reader,
        PairBatches.of(listening, learned, chosen, settings, len(reader.texts)).of_epoch,
        settings,
        place.identity,
        Partners(reader, chosen, listening.pairs, settings.seed) if len(chosen) else None,
        partial(start_fusion, model, settings.seed) if fused else None,
    )
    return train(model, plan, place.scratch, place.logs)


def _divided(pairs: pl.DataFrame, settings: PreferenceSettings) -> tuple[NDArray[np.int32], pl.DataFrame]:
    """The songs that choose the epoch, and the pairs without them, which are trained on."""
    paired = np.unique(np.concatenate([pairs["first"].to_numpy(), pairs["second"].to_numpy()]))
    chosen = choose_songs(paired.astype(np.int32), settings.validation_share, settings.seed)
    learned = pairs.filter(~(pl.col("first").is_in(chosen.tolist()) | pl.col("second").is_in(chosen.tolist())))
    # A few hubs go with all others: then the last epoch is kept.
    return (NO_TRACKS, pairs) if learned.is_empty() else (chosen, learned)


@dataclass(frozen=True)
class PairBatches:
    """Batches of pairs drawn by weight.

    pairs: (P, 2) songs. chance: (P,) of being drawn. keys: `pair_keys` of all known pairs, none of which is a negative.
    skips: where hard negatives are drawn from. before: as in `Listening`. catalogue: number of songs.
    """

    pairs: NDArray[np.int32]
    chance: NDArray[np.float64]
    keys: NDArray[np.int64]
    skips: "Skips | None"
    before: NDArray[np.float32] | None
    settings: PreferenceSettings
    catalogue: int

    @classmethod
    def of(
        cls,
        listening: Listening,
        learned: pl.DataFrame,
        left_out: NDArray[np.int32],
        settings: PreferenceSettings,
        catalogue: int,
    ) -> Self:
        """learned: the pairs that are trained on. left_out: songs that are no hard negatives either."""
        songs = np.stack([learned["first"].to_numpy(), learned["second"].to_numpy()], axis=1).astype(np.int32)
        chance = learned["weight"].to_numpy() / learned["weight"].sum()
        hard = listening.skips is not None and settings.hard_negatives
        skips = Skips(listening.skips, left_out) if hard else None  # type: ignore[arg-type]
        keys = pair_keys(listening.pairs, catalogue)
        return cls(songs, chance, keys, skips, listening.before, settings, catalogue)

    def of_epoch(self, epoch: int) -> Sequence[Callable[[], Batch]]:
        """What makes each batch of the epoch."""
        settings = self.settings
        steps = settings.steps_per_epoch or max(1, len(self.pairs) // settings.batch_size)
        steps = min(steps, -(-MOST_DRAWS * len(self.pairs) // settings.batch_size))
        rng = np.random.default_rng([settings.seed, epoch])
        drawn = self.pairs[rng.choice(len(self.pairs), size=(steps, settings.batch_size), p=self.chance)]
        drawn = rng.permuted(drawn, axis=2)
        return [partial(self._batch, drawn[step], (settings.seed, 2, epoch, step)) for step in range(steps)]

    def _batch(self, couples: NDArray[np.int32], key: tuple[int, ...]) -> Batch:
        """One step over couples (B, 2). key: what the draw of hard negatives depends on."""
        settings = self.settings
        both = np.concatenate([couples[:, 0], couples[:, 1]])
        wide = both.astype(np.int64)
        not_negative = torch.from_numpy(are_pairs(self.keys, wide, wide, self.catalogue))
        before = None if self.before is None else torch.from_numpy(self.before[both])
        rows, apart = NO_ROWS, NO_TRACKS
        if self.skips is not None:
            rows, apart = self.skips.draw(couples[:, 0], settings.hard_negatives, key)

        def loss(vectors: SongVectors, log_scales: Tensor) -> Tensor:
            device = log_scales.device
            first, second = vectors.rows(slice(0, len(both))).halves()
            skipped = Skipped(vectors.rows(slice(len(both), None)), torch.from_numpy(rows).to(device))
            terms = PairTerms(
                not_negative.to(device),
                None if before is None else before.to(device),
                skipped if len(rows) else None,
                settings.alignment,
                settings.fused_pairs,
            )
            return preference_loss(first, second, log_scales, terms)

        return Batch(np.concatenate([both, apart]), loss)


NO_ROWS = np.zeros(0, np.int64)
NO_TRACKS = np.zeros(0, np.int32)


class Skips:
    """Draws a skipped song for a song that is played."""

    def __init__(self, skips: pl.DataFrame, left_out: NDArray[np.int32]) -> None:
        """left_out: songs that take no part."""
        kept = skips.filter(~pl.col("second").is_in(left_out.tolist())).sort("first", "second")
        self.first = kept["first"].to_numpy().astype(np.int32)
        self.second = kept["second"].to_numpy().astype(np.int32)

    def draw(
        self, played: NDArray[np.int32], share: float, key: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows of `played` and a skipped song for each, its negative; about `share` of those that have any."""
        rng = np.random.default_rng([*key, 1])
        start, stop = np.searchsorted(self.first, played, "left"), np.searchsorted(self.first, played, "right")
        rows = np.flatnonzero((stop > start) & (rng.random(len(played)) < share))
        at = start[rows] + (rng.random(len(rows)) * (stop - start)[rows]).astype(np.int64)
        return rows.astype(np.int64), self.second[at]


def usable_pairs(reader: SongReader, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs of which both songs have audio or text."""
    known = reader.has_audio | reader.has_text
    return pairs.filter(pl.Series(known[pairs["first"].to_numpy()] & known[pairs["second"].to_numpy()]))
