"""What each part of the encoder contributes: stage 2 trained again without it, and measured.

Every variant answers from content alone: neighbours of the history in its space, with the settings that validation
prefers for it; titles of playlists are not read. All are trained on the training part alone and not fitted again.
Vectors of a variant are kept in the workspace and made again only where something has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.dataset import Dataset
from data.errors import UserError
from data.reporting import logger
from data.split import Split
from data.storage.hashing import short_hash
from data.storage.manifest import is_current, read_manifest
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import encode_songs
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.encoding.vector_files import MODALITIES, Vectors, read_vectors, write_vectors
from encoders.options import Stage
from encoders.training.presets import PreferenceSettings
from encoders.training.publish_stage import (
    learn_preference,
    learn_semantic,
    mine,
    read_by,
    texts_before,
    trainable_tracks,
)
from encoders.training.recipe import Recipe, TrainingIdentity, choose_recipe
from encoders.training.stages import TrainingFolder
from eval.measurement import measure
from eval.metrics.registry import COLUMNS
from eval.models import Model
from eval.results.show_and_write import show, write_report
from eval.semantic.embeddings import Embedding, by_track
from eval.semantic.measure import COLUMNS as SEMANTIC_COLUMNS
from eval.semantic.measure import Fold, measure_semantic
from eval.workspace_checks import ready
from recsys.candidates import Htcl
from recsys.fitted.store import exact_index
from recsys.settings import RankingSettings, TuningSettings
from recsys.tasks import NEEDS_ORDER, TASKS, HeldOut, Task, held_out
from recsys.tuning.source_settings import choose_settings, validation_questions

log = logger(__name__)

WHOLE = "stage 2"
FITTED = "encoders of the training part; validation chooses how they are asked and is not folded in"


@dataclass(frozen=True)
class Variant:
    """Stage 2 trained in another way. changes: to its settings; pairs: to how they are mined.

    text: whether any is read. statistics: whether sound's band statistics are, which stage 1 is trained again without.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    pairs: Mapping[str, Any] = field(default_factory=dict)
    text: bool = True
    statistics: bool = True


def variants(settings: PreferenceSettings, statistics: bool = False) -> dict[str, Variant]:
    """What is taken away, and what is done in the other way than the default. statistics: whether sound's are read."""
    found = {
        "no text": Variant(text=False),
        "no alignment": Variant({"alignment": 0.0}),
        "no popularity correction": Variant(pairs={"popularity_power": 0.0}),
        "fused by mlp": Variant({"fusion": "mlp"}),
        "fused by a gate": Variant({"fusion": "gated"}),
        "no pairs of fused vectors": Variant({"fused_pairs": 0.0}),
        "pairs of fused vectors": Variant({"fused_pairs": 1.0}),
        "no hard negatives": Variant({"hard_negatives": 0.0}),
        "hard negatives": Variant({"hard_negatives": 0.5}),
        "no average of weights": Variant({"ema": None}),
    }
    if statistics:
        found["no band statistics"] = Variant(statistics=False)

    def is_default(variant: Variant) -> bool:
        same = all(getattr(settings, name) == value for name, value in variant.changes.items())
        return bool(variant.changes) and same

    return {name: variant for name, variant in found.items() if not is_default(variant)}


def run_ablation(space: Workspace, only: str | None, max_queries: int, json_file: Path | None) -> Path:
    """Train what is missing, measure every variant on the same questions, and write the report; returns its path."""
    dataset, split, _ = ready(space)
    with space.lock():
        spaces = every_space(space.tuning, dataset, split, [name.strip() for name in only.split(",")] if only else None)
    results = []
    questions = validation_questions(dataset, split, TuningSettings().queries)
    asked = {name: _asked(found, dataset, questions) for name, found in spaces.items()}
    for task in TASKS:
        question = held_out(dataset, split, task, "test", None, max_queries)
        if not question.queries or (task in NEEDS_ORDER and not dataset.ordered):
            continue
        models = {name: by_task[task] for name, by_task in asked.items()}
        result, _ = measure(dataset, split, question, models, baselines={WHOLE}, fitted=FITTED)
        show(result, COLUMNS[task], ("ndcg@100",))
        results.append(result)
    try:
        of_songs = {name: _semantic(found, dataset) for name, found in spaces.items()}
        semantic = measure_semantic(dataset, split, [Fold(split.held_out_only, of_songs)])
        show(semantic, SEMANTIC_COLUMNS, ())
        results.append(semantic)
    except UserError as error:
        log.warning(f"semantic: skipped, {error}")
    return write_report(space, "ablation", results, json_file)


Found = dict[str, Vectors]
"""One variant's vectors by modality; "item" is what it answers with."""


def every_space(space: Workspace, dataset: Dataset, split: Split, only: list[str] | None) -> dict[str, Found]:
    """Both stages as they are in `space`, stage 2's audio alone, and the variants; UserError for unknown names."""
    mels = ensure_mels(space.mels, dataset)
    manifest = read_manifest(space.encoder("preference"))
    if manifest is None or manifest.facts.get("skipped"):
        raise UserError(f"no stage 2 was trained in {space.root}", "An ablation needs listening or playlists.")
    recipe, whole = choose_recipe(space, None, None), _vectors_of(space, dataset, "preference")
    heard = len(whole["audio"].tracks) > 0
    _, _, config = read_encoder(space, "semantic")
    chosen = variants(recipe.settings("preference"), heard and config.statistics_hidden > 0)
    if unknown := [name for name in only or [] if name not in chosen]:
        raise UserError(f'no variant "{unknown[0]}"', f"There are {', '.join(chosen)}.")
    found = {WHOLE: whole, "stage 1 only": _vectors_of(space, dataset, "semantic")}
    if heard:
        found["audio only"] = whole | {"item": whole["audio"]}
    for name, variant in chosen.items():
        if only is None or name in only:
            found[name] = _trained(space, dataset, split, mels, name, variant, recipe)
    return found


def _trained(
    space: Workspace, dataset: Dataset, split: Split, mels: Mels, name: str, variant: Variant, recipe: Recipe
) -> Found:
    settings = recipe.settings("preference").model_copy(update=dict(variant.changes))
    pairs = recipe.pairs.model_copy(update=dict(variant.pairs))
    semantic = read_manifest(space.encoder("semantic"))
    read = read_by(dataset, split, mels) | {"encoder": semantic.fingerprint if semantic else ""}
    recorded = {"pairs": pairs.model_dump(), "text": variant.text, **settings.model_dump()}
    recorded["statistics"] = variant.statistics
    training = TrainingIdentity.of(recipe, read, recorded, pairs=True, tower=False)
    folder = space.ablation(name)
    if not is_current(folder, training.made_from, training.settings):
        unfinished = f"ablation-{short_hash(training.key)}"
        scratch, identity = space.scratch(unfinished), training.key
        if variant.statistics:
            model, tokenizer, _ = read_encoder(space, "semantic")
        else:
            plain, place = replace(recipe, statistics=False), TrainingFolder(scratch / "semantic", identity)
            place.scratch.mkdir(exist_ok=True)
            allowed, semantic_settings = trainable_tracks(split, "train"), recipe.settings("semantic")
            model, tokenizer, _ = learn_semantic(dataset, mels, allowed, plain, semantic_settings, place)
        reader = SongReader.of(dataset, mels, tokenizer)
        if not variant.text:
            reader = replace(reader, texts=[None] * len(reader.texts))
        pretrained = semantic is not None and "text_encoder" in semantic.made_from
        before = texts_before(space, dataset, mels) if pretrained and variant.text else None
        listening = mine(split.training(dataset), reader, before, pairs)
        learn_preference(model, reader, listening, settings, TrainingFolder(scratch, identity))
        vectors = encode_songs(model, reader, scratch, name)
        with publishing(folder, f"ablation {name}", training.made_from, training.settings) as draft:
            for modality in MODALITIES:
                write_vectors(draft.folder, modality, vectors[modality], dataset)
        space.discard_scratch(unfinished)
    return {modality: read_vectors(folder, modality, dataset) for modality in MODALITIES}


def _vectors_of(space: Workspace, dataset: Dataset, stage: Stage) -> Found:
    return {modality: read_vectors(space.vectors(stage), modality, dataset) for modality in MODALITIES}


def _asked(found: Found, dataset: Dataset, questions: Mapping[Task, HeldOut]) -> dict[Task, Model]:
    """Neighbours in the variant's embedding, with the settings that validation prefers for each task."""
    source = Htcl("variant", found["item"], exact_index(found["item"])).fit(dataset)
    chosen = choose_settings(
        "htcl-stage2",
        source.settings.model_dump(),
        questions,
        lambda settings, _: source.with_settings(settings),
        len(dataset.track_ids),
        lambda: None,
        TuningSettings().trials,
        RankingSettings().depth,
    )
    return {task: source.with_settings(chosen.settings[task]).candidates for task in questions}


def _semantic(found: Found, dataset: Dataset) -> Embedding:
    """What a probe reads is the audio vector, as in `eval.run --task semantic`; the text's where there is no sound."""
    audio, text = (by_track(found[modality], dataset) for modality in ("audio", "text"))
    return Embedding(audio, audio, text) if len(found["audio"].tracks) else Embedding(text)
