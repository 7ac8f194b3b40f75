"""The models whose vectors are probed: mel statistics, both stages, the fused vectors, and other people's encoders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.mel_cache import Mels, ensure_mels
from encoders.encoding.vector_files import Vectors, read_vectors
from encoders.options import Stage
from encoders.pretrained.audio_model import ExternalModel, external_name, open_external
from encoders.pretrained.catalogue_vectors import embed_external
from recsys.fitted.text_encoder import read_text_encoder
from recsys.line_up import HTCL_NAMES

NAMES = ("chance", "mel", *HTCL_NAMES, "fused")
"""Of the lines that every table may have."""


@dataclass(frozen=True)
class Embedding:
    """One model's vectors by track row, NaN where it has none.

    features: (N, D), what a probe reads. audio, text: (N, D) unit vectors that can be compared, or None.
    encode: labels to unit vectors beside them. origin: of an external model, which one it is.
    """

    features: NDArray[np.float32]
    audio: NDArray[np.float32] | None = None
    text: NDArray[np.float32] | None = None
    encode: Callable[[list[str]], NDArray[np.float32]] | None = None
    origin: str = ""


def open_externals(folders: Sequence[Path]) -> list[ExternalModel]:
    """The models in the folders. Raises UserError for a folder that holds none, or a name that is taken."""
    names = [*NAMES, *(external_name(folder) for folder in folders)]
    for name, folder in zip(names[len(NAMES) :], folders, strict=True):
        if names.count(name) > 1:
            raise UserError(
                f'{folder}: two models would be called "{name}"', "Rename the folder, or give a link of another name."
            )
    return [open_external(folder) for folder in folders]


def embeddings_of(
    workspace: Workspace, dataset: Dataset, externals: Sequence[ExternalModel] = ()
) -> dict[str, Embedding]:
    """Mel statistics, both stages' audio vectors (of the second where it was trained), the fused ones, and external
    models'.

    Without audio: the stages' text vectors. Raises UserError for external models then.
    """
    mels = ensure_mels(workspace.mels, dataset)
    heard = bool(mels.present.any())
    if externals and not heard:
        raise UserError("--external: none of the songs has audio that decodes", "Leave it out.")
    found = {"mel": Embedding(mel_statistics(mels))} if heard else {}
    for name, stage in stages_of(workspace).items():
        audio, text = (_by_track(workspace.vectors(stage), modality, dataset) for modality in ("audio", "text"))
        encode = read_text_encoder(workspace, stage)
        found[name] = Embedding(audio, audio, text, encode) if heard else Embedding(text, encode=encode)
    if heard:
        found["fused"] = Embedding(_by_track(workspace.vectors("preference"), "item", dataset))
    return found | {model.name: external_space(workspace.published, dataset, mels, model) for model in externals}


def stages_of(workspace: Workspace) -> dict[str, Stage]:
    """The stages that were trained, by the name of their vectors: without listening the second one is the first."""
    second = read_manifest(workspace.encoder("preference"))
    skipped = second is not None and bool(second.facts.get("skipped"))
    return {name: stage for name, stage in HTCL_NAMES.items() if stage != "preference" or not skipped}


def external_space(workspace: Workspace, dataset: Dataset, mels: Mels, model: ExternalModel) -> Embedding:
    """What an external model makes of the catalogue's songs."""
    folder = embed_external(workspace, dataset, mels, model)
    origin = f"{model.model.config.model_type}, {model.digest}"
    if model.tokenizer is None:
        return Embedding(_by_track(folder, "features", dataset), origin=origin)
    audio, text = (_by_track(folder, modality, dataset) for modality in ("audio", "text"))
    return Embedding(audio, audio, text, model.encode_text, origin)


def mel_statistics(mels: Mels) -> NDArray[np.float32]:
    """(N, 256) mean and deviation over time of each band's decibels: what can be told without learning anything."""
    rows = np.full((len(mels.where), 256), np.nan, np.float32)
    for track in np.flatnonzero(mels.present):
        mel = mels[int(track)]
        rows[track] = np.concatenate([mel.mean(axis=0), mel.std(axis=0)])
    return rows


def _by_track(folder: Path, modality: str, dataset: Dataset) -> NDArray[np.float32]:
    return by_track(read_vectors(folder, modality, dataset), dataset)


def by_track(vectors: Vectors, dataset: Dataset) -> NDArray[np.float32]:
    """(N, D) a row for every track, NaN for one without a vector."""
    rows = np.full((len(dataset.track_ids), vectors.dimension), np.nan, np.float32)
    rows[vectors.tracks] = vectors.values
    return rows
