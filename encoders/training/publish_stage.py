"""Train a stage on what it may see, and publish the encoder with its manifest and model card."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.listening.pairs import PairSettings, mine_pairs, mine_skips
from data.reporting import done, meter
from data.split import Extent, Split, ensure_split
from data.storage.manifest import is_current, read_manifest, verify
from data.storage.publishing import adopt, publishing
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.encoding.vector_files import read_vectors
from encoders.encoding.words import held_out_songs, measure_words
from encoders.htcl import HtclModel
from encoders.model.config import preset_config
from encoders.model.network import HtclNetwork
from encoders.model.text import load_text_tower, track_texts, train_wordpiece
from encoders.model.towers import ShortcutHead
from encoders.options import STAGES, Stage, check_train_on
from encoders.training import distributed
from encoders.training.checkpoint import History
from encoders.training.initialisation import start_text_head
from encoders.training.loop import TrainingSettings
from encoders.training.model_card import model_card
from encoders.training.presets import PreferenceSettings
from encoders.training.recipe import Recipe, TrainingIdentity
from encoders.training.stages import Listening, TrainingFolder, train_preference, train_semantic, usable_pairs
from encoders.word_sense import WordSense


def trainings(workspace: Workspace, train_on: str, dataset: Dataset) -> list[tuple[Workspace, Extent]]:
    """What --train-on asks for: first what settings are chosen with, then what is published.

    Without listening and playlists there is nothing to choose settings on, and one encoder serves both.
    """
    published: Extent = "past" if check_train_on(train_on) == "split" else "all"
    silent = dataset.listens.height == 0 and dataset.playlist_tracks.height == 0
    tuning: Extent = "all" if silent and published == "all" else "train"
    return [(workspace.tuning, tuning), (workspace, published)]


@dataclass(frozen=True)
class Inputs:
    """What a stage learns from: the catalogue, its split and mels, the recipe, and the part of the listening."""

    dataset: Dataset
    split: Split
    mels: Mels
    recipe: Recipe
    extent: Extent

    def seen(self, stage: Stage) -> str:
        """The part as the manifest records it."""
        return _seen(stage, self.extent)


def _seen(stage: Stage, extent: Extent) -> str:
    """Stage 1 reads no listening, so every part of a split has the same."""
    return "split" if stage == "semantic" and extent != "all" else extent


def stays(workspace: Workspace, dataset: Dataset, recipe: Recipe, extent: Extent) -> bool:
    """Whether the encoders of a workspace go on encoding, whatever data came since: the recipe made them, they read
    features as wide as the dataset's, and none had nothing to learn from where there is something now."""
    table = dataset.feature_matrix()
    width = 0 if table is None else table.shape[1]
    before = ""
    for stage in STAGES:
        encoder = read_manifest(workspace.encoder(stage))
        if encoder is None or not recipe.made(encoder, stage, _seen(stage, extent)):
            return False
        if stage == "preference" and encoder.made_from["semantic"] != before:
            return False
        if json.loads((workspace.encoder(stage) / "config.json").read_text("utf-8")).get("feature_dim", 0) != width:
            return False
        if encoder.facts.get("skipped") and _teaches(dataset)[stage] > 2 * encoder.facts.get("rows", {}).get(stage, 0):
            return False
        before = encoder.fingerprint
    return True


def _teaches(dataset: Dataset) -> dict[Stage, int]:
    """Rows that a stage can learn from, as far as the tables tell: songs with sound and words, plays and entries."""
    tracks, described = dataset.tracks, dataset.features["track_id"].implode()
    heard = pl.col("audio_path").is_not_null() | pl.col("track_id").is_in(described)
    words = pl.any_horizontal(pl.col("title", "artist", "album", "description").is_not_null())
    both = int(tracks.select((heard & words).sum()).item())
    return {"semantic": both, "preference": dataset.listens.height + dataset.playlist_tracks.height}


def train_stage(
    workspace: Workspace,
    dataset: Dataset,
    stage: Stage,
    recipe: Recipe,
    extent: Extent,
    seed_offset: int = 0,
    split: Split | None = None,
) -> None:
    """Train one stage on what the extent lets it see and publish its encoder, unless it was made from the same things.

    The same stage 1 starts every stage 2 of a split, and is copied where it exists. It is skipped where no song has
    audio and text, stage 2 where no two songs go together; the encoder from before is then published unchanged, and the
    manifest records that. Of several processes the first one publishes. seed_offset: added to stage 2's seed.
    split: None is the recorded one.
    """
    with distributed.first_then_others():
        split = split or ensure_split(workspace, dataset)
        inputs = Inputs(dataset, split, ensure_mels(workspace.mels, dataset), recipe, extent)
    settings = recipe.settings(stage, bool(inputs.mels.present.any()))
    if stage == "preference":
        settings = settings.model_copy(update={"seed": settings.seed + seed_offset})
    identity = _identity(workspace, inputs, stage, settings)
    scratch = f"train-{stage}"
    if distributed.from_first(lambda: _is_published(workspace, stage, identity)):
        workspace.discard_scratch(scratch)  # left where a run was cut off right after publishing
        return
    started = time.monotonic()
    place = TrainingFolder(workspace.scratch(scratch), identity.key, workspace.logs / stage)
    if stage == "semantic":
        allowed = trainable_tracks(inputs.split, extent)
        model: HtclNetwork
        model, tokenizer, facts = learn_semantic(dataset, inputs.mels, allowed, recipe, settings, place)
    else:
        assert isinstance(settings, PreferenceSettings)
        model, tokenizer, facts = _from_stage_1(workspace, inputs, settings, place)
    if distributed.rank() > 0:
        return
    facts["seconds"] = round(time.monotonic() - started, 1)
    facts["words"] = _word_sense(workspace, inputs, stage, model, tokenizer, facts).model_dump()
    _publish(workspace, inputs, stage, identity, model, tokenizer, facts)
    workspace.discard_scratch(scratch)
    done("stage 1" if stage == "semantic" else "stage 2", facts["summary"], time.monotonic() - started)


def _identity(workspace: Workspace, inputs: Inputs, stage: Stage, settings: TrainingSettings) -> TrainingIdentity:
    recipe = inputs.recipe
    read = read_by(inputs.dataset, inputs.split, inputs.mels)
    if stage == "preference":
        read["semantic"] = verify(workspace.encoder("semantic")).fingerprint
    recorded = {"preset": recipe.preset, "train_on": inputs.seen(stage), **settings.model_dump()}
    if "pairs" in recipe.changes.of(stage):
        recorded["pairs"] = recipe.pairs.model_dump()
    return TrainingIdentity.of(recipe, read, recorded, pairs=stage == "preference")


def read_by(dataset: Dataset, split: Split, mels: Mels) -> dict[str, str]:
    """The fingerprints that every training of a catalogue is made from."""
    return {"dataset": dataset.fingerprint, "split": split.fingerprint, "mels": mels.fingerprint}


def _is_published(workspace: Workspace, stage: Stage, identity: TrainingIdentity) -> bool:
    """Whether the encoder exists already; one of the same identity in another place is copied here."""
    target, made_from, settings = workspace.encoder(stage), identity.made_from, identity.settings
    copies = (place.encoder(stage) for place in (workspace.tuning, workspace.published))
    return is_current(target, made_from, settings) or any(adopt(copy, target, made_from, settings) for copy in copies)


def _from_stage_1(
    workspace: Workspace, inputs: Inputs, settings: PreferenceSettings, place: TrainingFolder
) -> tuple[HtclNetwork, Any, dict[str, Any]]:
    """Stage 2 from stage 1's encoder: the model, its tokenizer, and the facts of the training."""
    dataset, mels, recipe = inputs.dataset, inputs.mels, inputs.recipe
    model, tokenizer, _ = read_encoder(workspace, "semantic", HtclModel)
    reader = SongReader.of(dataset, mels, tokenizer)
    listening = inputs.split.learned_from(dataset, inputs.extent)

    def learned_from() -> Listening:
        before = texts_before(workspace, dataset, mels) if recipe.text_encoder is not None else None
        return mine(listening, reader, before, recipe.pairs)

    return model, tokenizer, learn_preference(model, reader, distributed.from_first(learned_from), settings, place)


def _publish(
    workspace: Workspace,
    inputs: Inputs,
    stage: Stage,
    identity: TrainingIdentity,
    model: HtclNetwork,
    tokenizer: Any,
    facts: dict[str, Any],
) -> None:
    """Write model, processor and model card; the manifest carries the facts, and what a later build has to remember."""
    recipe, step = inputs.recipe, f"encoder-{stage}"
    trained_on = {"part": inputs.seen(stage), "split": inputs.split.fingerprint}
    with publishing(workspace.encoder(stage), step, identity.made_from, identity.settings, trained_on) as draft:
        assert isinstance(model, HtclModel)  # what is saved records the class
        model.tokenizer = tokenizer
        model.save_pretrained(draft.folder)
        card = model_card(stage, model.config.projection_dim, inputs.dataset, identity.settings, facts)
        (draft.folder / "README.md").write_text(card, "utf-8")
        draft.facts |= facts | {"tokens": len(tokenizer), "rows": _teaches(inputs.dataset)}
        draft.facts["catalogue"] = {"songs": len(inputs.dataset.track_ids), "listens": inputs.dataset.listens.height}
        if changes := recipe.changes.of(stage):
            draft.facts["changes"] = changes
        if recipe.text_encoder is not None:
            draft.facts["text_encoder"] = str(recipe.text_encoder.resolve())


def _word_sense(
    workspace: Workspace, inputs: Inputs, stage: Stage, model: HtclNetwork, tokenizer: Any, facts: dict[str, Any]
) -> WordSense:
    """Measured on the songs that the split holds out; of an encoder that saw them too, the tuning encoder's."""
    stage_1 = WordSense.of(read_manifest(workspace.encoder("semantic"))) if stage == "preference" else None
    trained = not facts.get("skipped", False) or (stage_1 is not None and stage_1.learned)
    learned = inputs.recipe.tower is not None or trained
    if inputs.extent == "all":
        tuned = WordSense.of(read_manifest(workspace.tuning.encoder(stage)))
        return tuned.model_copy(update={"learned": learned})
    reader = SongReader.of(inputs.dataset, inputs.mels, tokenizer)
    return measure_words(model, reader, held_out_songs(inputs.split, reader), learned)


def trainable_tracks(split: Split, extent: Extent) -> NDArray[np.int32]:
    """Tracks that stage 1 may learn from: all but those that are held out, which `all` has none of."""
    allowed = ~split.held_out_only | (extent == "all")
    return np.flatnonzero(allowed).astype(np.int32)


def learn_semantic(
    dataset: Dataset,
    mels: Mels,
    allowed: NDArray[np.int32],
    recipe: Recipe,
    settings: TrainingSettings,
    place: TrainingFolder,
) -> tuple[HtclModel, Any, dict[str, Any]]:
    """Stage 1 on the allowed tracks: the model, its tokenizer, and the facts of the training."""
    texts = track_texts(dataset.tracks)
    known = [text for track in allowed if (text := texts[track]) is not None]
    table = dataset.feature_matrix()
    # The vocabulary is of all texts: what a song is called tells nothing of who plays it, nor how it sounds.
    spoken = [text for text in texts if text is not None]
    with distributed.first_then_others():  # each writes the vocabulary
        model, tokenizer = fresh_model(recipe, spoken, bool(mels.present.any()), table, place.scratch, settings.seed)
    if table is not None:
        rows = table[allowed]
        model.feature_model.standardise_to(torch.from_numpy(rows[~np.isnan(rows[:, 0])]))
    note = ""
    if isinstance(model.text_head, ShortcutHead) and known and not mels.present.any():
        note = f"; text head keeps the tower's cosines within {start_text_head(model, known, tokenizer):.3f}"
    reader = SongReader.of(dataset, mels, tokenizer)
    both = allowed[reader.has_audio[allowed] & reader.has_text[allowed]]
    if len(both) < 2:
        summary = "skipped: no two songs have both audio and text"
        return model.eval(), tokenizer, {"skipped": True, "summary": summary + note}
    history = train_semantic(model, reader, both, settings, place)
    facts = history.model_dump() | {"songs": len(both)}
    return model, tokenizer, facts | {"summary": f"{len(both):,} songs with audio and text, {_course(history)}{note}"}


def texts_before(workspace: Workspace, dataset: Dataset, mels: Mels) -> NDArray[np.float32] | None:
    """(N, D) the text vectors that stage 1 gave the songs, which stage 2 keeps a pre-trained tower close to; None where
    sounds do that."""
    if mels.present.any():
        return None
    embed_stage(workspace, dataset, mels, "semantic")
    return read_vectors(workspace.vectors("semantic"), "text", dataset).by_track(len(dataset.track_ids))


def mine(
    listening: Dataset, reader: SongReader, before: NDArray[np.float32] | None, settings: PairSettings | None = None
) -> Listening:
    """What stage 2 learns from the listening of a training part: pairs, and songs skipped beside others."""
    with meter("pairs", 2) as progress:
        pairs = usable_pairs(reader, mine_pairs(listening, settings))
        progress.advance()
        return Listening(pairs, usable_pairs(reader, mine_skips(listening, settings)), before)


def learn_preference(
    model: HtclNetwork, reader: SongReader, listening: Listening, settings: PreferenceSettings, place: TrainingFolder
) -> dict[str, Any]:
    """Stage 2, in place; returns the facts of the training."""
    pairs = listening.pairs
    if pairs.height < 2:
        return {"skipped": True, "summary": "skipped: no listening that makes two songs with audio or text a pair"}
    history = train_preference(model, reader, listening, settings, place)
    facts = history.model_dump() | {"pairs": pairs.height}
    return facts | {"summary": f"{pairs.height:,} similar-song pairs, {_course(history)}"}


def _course(history: History) -> str:
    return f"loss {history.losses[0]:.2f} -> {history.losses[-1]:.2f}, {history.kept()}"


def fresh_model(
    recipe: Recipe, texts: list[str], heard: bool, table: NDArray[np.float32] | None, scratch: Path, seed: int
) -> tuple[HtclModel, Any]:
    """A model with new weights but for a pre-trained text tower, and its tokenizer (learned from `texts` without one).

    heard: whether any song has a mel. table: the features, or None. Raises UserError for the paper preset without a
    text tower: its BERT is far too large to learn from a catalogue.
    """
    torch.manual_seed(seed)
    if recipe.text_encoder is not None:
        tower, tokenizer, pooling = load_text_tower(recipe.text_encoder)
        config = preset_config(recipe.preset)
        config.text_config, config.text_pooling = tower.config, pooling
        config.text_shortcut = recipe.preset != "paper" or not heard
    else:
        if recipe.preset == "paper":
            raise UserError("the paper preset needs a pre-trained text tower", "Give --text-encoder FOLDER.")
        tower, tokenizer = None, train_wordpiece(texts, scratch / "vocabulary")
        config = preset_config(recipe.preset, len(tokenizer))
    config.feature_dim = 0 if table is None else table.shape[1]
    if not recipe.statistics:
        config.statistics_hidden = 0
    model = HtclModel(config)
    if tower is not None:
        model.text_model.load_state_dict(tower.state_dict(), strict=False)
    return model, tokenizer
