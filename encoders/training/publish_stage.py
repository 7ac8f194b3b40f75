"""Train a stage on what it may see, and publish the encoder with its manifest and model card."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.console.progress import done
from data.dataset import Dataset
from data.errors import UserError
from data.listening.pairs import RULES, PairSettings, mine_pairs, mine_skips
from data.split import Extent, Split, ensure_split
from data.storage.manifest import is_current, read_manifest, verify
from data.storage.publishing import adopt, publishing
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.encoding.vector_files import read_vectors
from encoders.encoding.words import WordSense, held_out_songs, measure_words
from encoders.htcl import HtclModel
from encoders.model.config import preset_config
from encoders.model.network import HtclNetwork
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor
from encoders.model.text import load_text_tower, track_texts, train_wordpiece
from encoders.model.towers import ShortcutHead
from encoders.options import Stage, check_train_on
from encoders.training import distributed
from encoders.training.checkpoint import History
from encoders.training.initialisation import START, start_text_head
from encoders.training.loop import TrainingSettings
from encoders.training.model_card import model_card
from encoders.training.presets import PreferenceSettings
from encoders.training.recipe import Recipe
from encoders.training.stages import Listening, Place, train_preference, train_semantic, usable_pairs


def trainings(workspace: Workspace, train_on: str, dataset: Dataset) -> list[tuple[Workspace, Extent]]:
    """What --train-on asks for: first what settings are chosen with, then what is published.

    Without listening and playlists there is nothing to choose settings on, and one encoder serves both.
    """
    published: Extent = "past" if check_train_on(train_on) == "split" else "all"
    silent = dataset.listens.height == 0 and dataset.playlist_tracks.height == 0
    tuning: Extent = "all" if silent and published == "all" else "train"
    return [(workspace.tuning, tuning), (workspace, published)]


def train_stage(
    workspace: Workspace, dataset: Dataset, stage: Stage, recipe: Recipe, extent: Extent, luck: int = 0
) -> None:
    """Train one stage on what the extent lets it see and publish its encoder, unless it was made from the same things.

    Stage 1 reads no listening: the same one starts every stage 2 of a split, and is copied where it is there already.
    It is skipped where no song has audio and text, stage 2 where no two songs go together; what came before is then
    published as it is, and the manifest says so. Of several processes the first one publishes. luck: added to the seed
    of stage 2.
    """
    with distributed.first_then_others():
        split = ensure_split(workspace, dataset)
        mels = ensure_mels(workspace.mels, dataset)
    settings, changes = recipe.settings(stage, bool(mels.present.any())), recipe.changes.of(stage)
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint, "mels": mels.fingerprint}
    if recipe.tower is not None:
        made_from |= {"text_encoder": recipe.tower, "start": START}
    if stage == "preference":
        settings = settings.model_copy(update={"seed": settings.seed + luck})
        made_from |= {"semantic": verify(workspace.encoder("semantic")).fingerprint, "pairs": RULES}
    seen = "split" if stage == "semantic" and extent != "all" else extent
    recorded = {"preset": recipe.preset, "train_on": seen, **settings.model_dump()}
    if "pairs" in changes:
        recorded["pairs"] = recipe.pairs.model_dump()
    target = workspace.encoder(stage)

    def is_there() -> bool:
        twins = (twin.encoder(stage) for twin in (workspace.tuning, workspace.published))
        return is_current(target, made_from, recorded) or any(
            adopt(twin, target, made_from, recorded) for twin in twins
        )

    if distributed.from_first(is_there):
        workspace.discard_scratch(f"train-{stage}")  # left where a run was cut off right after publishing
        return
    started = time.monotonic()
    trained_on = {"part": seen, "split": split.fingerprint}
    place = Place(workspace.scratch(f"train-{stage}"), [made_from, recorded], workspace.logs / stage)
    if stage == "semantic":
        allowed = trainable_tracks(split, extent)
        model: HtclNetwork
        model, tokenizer, facts = learn_semantic(dataset, mels, allowed, recipe, settings, place)
    else:
        model, tokenizer, _ = read_encoder(workspace, "semantic", HtclModel)
        reader = SongReader.of(dataset, mels, tokenizer)
        listening = split.learned_from(dataset, extent)

        def learned_from() -> Listening:
            before = texts_before(workspace, dataset, mels) if recipe.text_encoder is not None else None
            return mine(listening, reader, before, recipe.pairs)

        assert isinstance(settings, PreferenceSettings)
        facts = learn_preference(model, reader, distributed.from_first(learned_from), settings, place)
    if distributed.rank() > 0:
        return
    words = _word_sense(workspace, stage, extent, split, SongReader.of(dataset, mels, tokenizer), model, recipe, facts)
    facts["words"] = words.model_dump()
    with publishing(target, f"encoder-{stage}", made_from, recorded, trained_on) as draft:
        model.save_pretrained(draft.folder)
        if tokenizer.is_fast:
            # The last batch's padding would be saved too, and the same training have another fingerprint.
            tokenizer.backend_tokenizer.no_padding()
            tokenizer.backend_tokenizer.no_truncation()
        HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(draft.folder)
        card = model_card(stage, model.config.projection_dim, dataset, recorded, facts)
        (draft.folder / "README.md").write_text(card, "utf-8")
        draft.facts |= facts
        if changes:
            draft.facts["changes"] = changes
        if recipe.text_encoder is not None:
            draft.facts["text_encoder"] = str(recipe.text_encoder.resolve())
    workspace.discard_scratch(f"train-{stage}")
    done("stage 1" if stage == "semantic" else "stage 2", facts["summary"], time.monotonic() - started)


def _word_sense(
    workspace: Workspace,
    stage: Stage,
    extent: Extent,
    split: Split,
    reader: SongReader,
    model: HtclNetwork,
    recipe: Recipe,
    facts: dict[str, Any],
) -> WordSense:
    """Measured on the songs that the split holds out; of an encoder that saw them too, the tuning encoder's."""
    before = WordSense.of(read_manifest(workspace.encoder("semantic"))) if stage == "preference" else None
    learned = recipe.tower is not None or not facts.get("skipped", False) or (before is not None and before.learned)
    if extent == "all":
        return WordSense.of(read_manifest(workspace.tuning.encoder(stage)))
    return measure_words(model, reader, held_out_songs(split, reader), learned)


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
    place: Place,
) -> tuple[HtclModel, Any, dict[str, Any]]:
    """Stage 1 on the allowed tracks: the model, its tokenizer, and what is to be said of the training."""
    texts = track_texts(dataset.tracks)
    known = [text for track in allowed if (text := texts[track]) is not None]
    table = dataset.feature_matrix()
    with distributed.first_then_others():  # each writes the vocabulary
        model, tokenizer = fresh_model(recipe, known, bool(mels.present.any()), table, place.scratch, settings.seed)
    if table is not None:
        rows = table[allowed]
        model.feature_model.standardise_to(torch.from_numpy(rows[~np.isnan(rows[:, 0])]))
    said = ""
    if isinstance(model.text_head, ShortcutHead) and known and not mels.present.any():
        said = f"; text head keeps the tower's cosines within {start_text_head(model, known, tokenizer):.3f}"
    reader = SongReader.of(dataset, mels, tokenizer)
    both = allowed[reader.has_audio[allowed] & reader.has_text[allowed]]
    if len(both) < 2:
        summary = "skipped: no two songs have both audio and text"
        return model.eval(), tokenizer, {"skipped": True, "summary": summary + said}
    history = train_semantic(model, reader, both, settings, place)
    facts = history.model_dump() | {"songs": len(both)}
    return model, tokenizer, facts | {"summary": f"{len(both):,} songs with audio and text, {_course(history)}{said}"}


def texts_before(workspace: Workspace, dataset: Dataset, mels: Mels) -> NDArray[np.float32] | None:
    """(N, D) the text vectors that stage 1 gave the songs, to which stage 2 holds a pre-trained tower's; None where
    sounds do that."""
    if mels.present.any():
        return None
    embed_stage(workspace, dataset, mels, "semantic")
    return read_vectors(workspace.vectors("semantic"), "text", dataset).by_track(len(dataset.track_ids))


def mine(
    listening: Dataset, reader: SongReader, before: NDArray[np.float32] | None, settings: PairSettings | None = None
) -> Listening:
    """What stage 2 learns from the listening of a training part: pairs, and songs skipped beside others."""
    pairs = usable_pairs(reader, mine_pairs(listening, settings))
    return Listening(pairs, usable_pairs(reader, mine_skips(listening, settings)), before)


def learn_preference(
    model: HtclNetwork, reader: SongReader, listening: Listening, settings: PreferenceSettings, place: Place
) -> dict[str, Any]:
    """Stage 2, in place; returns what is to be said of it."""
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
