"""Cross-validation of the encoder: trained again without each fold of the songs, which it is then measured on.

A small catalogue holds out too few songs to tell two encoders apart. In folds every song is measured once, by an
encoder that has met neither its sound nor its text, nor a pair with it. The vectors of a fold are kept in the
workspace, and made again only where something has changed; a training that was cut off goes on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from data.split import Split
from data.storage.hashing import short_hash
from data.storage.manifest import is_current
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import encode_songs
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.encoding.vector_files import MODALITIES, Vectors, read_vectors, write_vectors
from encoders.options import STAGES, Stage
from encoders.pretrained.audio_model import ExternalModel
from encoders.training.publish_stage import learn_preference, learn_semantic, mine, read_by
from encoders.training.recipe import Recipe, TrainingIdentity, choose_recipe
from encoders.training.stages import Listening, TrainingFolder
from eval.semantic.embeddings import Embedding, by_track, external_space, mel_statistics, stages_of
from eval.semantic.measure import Fold

SEED = 20260101


def folds(
    workspace: Workspace, dataset: Dataset, split: Split, count: int, externals: Sequence[ExternalModel] = ()
) -> Iterator[Fold]:
    """The catalogue's songs in `count` folds, with what encoders trained without each make of them.

    Settings are those of the workspace's encoder, and stage 2 learns from the same listening. No tags by words: the
    encoders of the folds are not kept.
    """
    mels = ensure_mels(workspace.mels, dataset)
    recipe = choose_recipe(workspace, None, None)
    heard = bool(mels.present.any())
    shared = {"mel": Embedding(mel_statistics(mels))} if heard else {}
    others = {model.name: external_space(workspace, dataset, mels, model) for model in externals}
    of_song = fold_of(len(dataset.track_ids), count)
    for number in range(count):
        spaces = dict(shared)
        with workspace.lock():
            folder = _trained(workspace, dataset, split, mels, recipe, of_song == number, f"{number + 1}-of-{count}")
        for name, stage in stages_of(workspace).items():
            audio, text = (_vectors(folder, stage, at, dataset) for at in ("audio", "text"))
            spaces[name] = Embedding(audio, audio, text) if heard else Embedding(text)
        if heard:
            spaces["fused"] = Embedding(_vectors(folder, "preference", "item", dataset))
        yield Fold(of_song == number, spaces | others)


def fold_of(tracks: int, count: int) -> NDArray[np.int64]:
    """(N,) the fold of each song, drawn at random; all are of the same size but for one song."""
    return np.random.default_rng(SEED).permutation(tracks) % count


def _trained(
    workspace: Workspace,
    dataset: Dataset,
    split: Split,
    mels: Mels,
    recipe: Recipe,
    unseen: NDArray[np.bool_],
    name: str,
) -> Path:
    """The folder with the vectors of every song after both stages, of an encoder that knows the other folds alone."""
    folder = workspace.fold(name)
    pretrained, heard = recipe.tower is not None, bool(mels.present.any())
    semantic, preference = recipe.settings("semantic", heard), recipe.settings("preference")
    recorded: dict[str, Any] = {"preset": recipe.preset}
    recorded |= {"semantic": semantic.model_dump(), "preference": preference.model_dump()}
    if recipe.changes.pairs:
        recorded["pairs"] = recipe.pairs.model_dump()
    training = TrainingIdentity.of(recipe, read_by(dataset, split, mels), recorded, pairs=True)
    if is_current(folder, training.made_from, training.settings):
        return folder
    identity = short_hash([name, *training.key])
    unfinished = {stage: f"fold-{identity}-{stage}" for stage in STAGES}
    scratch = {stage: workspace.scratch(unfinished[stage]) for stage in STAGES}
    found: dict[Stage, dict[str, Vectors]] = {}
    known = np.flatnonzero(~unseen).astype(np.int32)
    place = TrainingFolder(scratch["semantic"], identity)
    model, tokenizer, _ = learn_semantic(dataset, mels, known, recipe, semantic, place)
    reader = SongReader.of(dataset, mels, tokenizer)
    found["semantic"] = encode_songs(model, reader, scratch["semantic"], f"fold {name}, stage 1")
    before = found["semantic"]["text"].by_track(len(unseen)) if pretrained and not heard else None
    listening = without(mine(split.past(dataset), reader, before, recipe.pairs), unseen)
    learn_preference(model, reader, listening, preference, TrainingFolder(scratch["preference"], identity))
    found["preference"] = encode_songs(model, reader, scratch["preference"], f"fold {name}, stage 2")
    with publishing(folder, f"fold {name}", training.made_from, training.settings) as draft:
        for stage, vectors in found.items():
            for modality in MODALITIES:
                write_vectors(draft.folder, _file(stage, modality), vectors[modality], dataset)
    for stage in STAGES:
        workspace.discard_scratch(unfinished[stage])
    return folder


def without(listening: Listening, unseen: NDArray[np.bool_]) -> Listening:
    """The pairs and skips that have no unseen song in them."""

    def kept(pairs: pl.DataFrame) -> pl.DataFrame:
        first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
        return pairs.filter(pl.Series(~(unseen[first] | unseen[second]), dtype=pl.Boolean))

    skips = None if listening.skips is None else kept(listening.skips)
    return Listening(kept(listening.pairs), skips, listening.before)


def _vectors(folder: Path, stage: Stage, modality: str, dataset: Dataset) -> NDArray[np.float32]:
    return by_track(read_vectors(folder, _file(stage, modality), dataset), dataset)


def _file(stage: Stage, modality: str) -> str:
    return f"{stage}-{modality}"
