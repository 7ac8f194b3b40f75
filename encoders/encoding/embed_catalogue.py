"""Every song's audio, text and item vector, in resumable blocks."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from data.dataset import Dataset
from data.reporting import done
from data.storage.hashing import short_hash
from data.storage.manifest import is_current, read_manifest
from data.storage.publishing import adopt, publishing
from data.storage.workspace import Workspace
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import Mels
from encoders.encoding.prefetch import moved, prefetched
from encoders.encoding.resumable import Block, in_blocks
from encoders.encoding.song_batches import SongReader, readable_features
from encoders.encoding.vector_files import MODALITIES, KnownVectors, Vectors, write_keys, write_vectors
from encoders.model.network import HtclNetwork
from encoders.options import STAGES, Stage

BLOCK = 1024
COMPARED = 5000

BATCH, GPU_BATCH = 32, 256
"Songs at a time. What a GPU does with few is over before the next are read."
TEXT_BATCH = 128
"And where no song has a mel: texts are short, and the small towers' products of 32 of them take a third longer."


def embed_stage(workspace: Workspace, dataset: Dataset, mels: Mels, stage: Stage) -> None:
    """Publish the vectors of one stage's encoder; nothing happens if they are there already."""
    encoder = read_manifest(workspace.encoder(stage))
    made_from = {
        "dataset": dataset.fingerprint,
        "mels": mels.fingerprint,
        "encoder": encoder.fingerprint if encoder else "",
    }
    target, twins = workspace.vectors(stage), (workspace.tuning.vectors(stage), workspace.published.vectors(stage))
    if is_current(target, made_from, {}) or any(adopt(twin, target, made_from, {}) for twin in twins):
        return
    started = time.monotonic()
    model, tokenizer, _ = read_encoder(workspace, stage)
    reader = SongReader.of(dataset, mels, tokenizer)
    songs = np.flatnonzero(reader.has_audio | reader.has_text).astype(np.int32)
    keys = reader.keys(songs)
    before = KnownVectors.of((target, *twins), made_from["encoder"], model.config.projection_dim)
    unknown = songs[[key not in before.place for key in keys]]
    unfinished = f"embed-{stage}-{short_hash(made_from)}"
    name = f"embed {STAGES.index(stage) + 1}"
    vectors = before.join(songs, keys, encode_songs(model, reader, workspace.scratch(unfinished), name, unknown))
    trained_on = encoder.trained_on if encoder else None
    with publishing(target, f"vectors-{stage}", made_from, trained_on=trained_on) as draft:
        for modality in MODALITIES:
            write_vectors(draft.folder, modality, vectors[modality], dataset)
            draft.facts[modality] = len(vectors[modality].tracks)
        write_keys(draft.folder, songs, keys, dataset)
        draft.facts["distinct"] = distinct(vectors["item"].values)
    workspace.discard_scratch(unfinished)
    counts = ", ".join(f"{len(vectors[name].tracks):,} {name}" for name in MODALITIES)
    encoded = f", {len(unknown):,} songs encoded" if len(unknown) < len(songs) else ""
    done("embed", f"stage {STAGES.index(stage) + 1}: {counts} vectors{encoded}", time.monotonic() - started)


def distinct(vectors: NDArray[np.float32]) -> int:
    """How many of the vectors (N, D), of at most COMPARED spread over them, differ by more than rounding."""
    some = vectors[:: max(1, len(vectors) // COMPARED)]
    return len(np.unique(np.round(some * 1000).astype(np.int16), axis=0))


def encode_songs(
    model: HtclNetwork, reader: SongReader, scratch: Path, name: str, songs: NDArray[np.int32] | None = None
) -> dict[str, Vectors]:
    """Audio, text and item vectors of songs that have audio or text, by default of all. Blocks in `scratch` are not
    redone.

    Raises UserError where the catalogue's features are of another width than those that the model was trained on.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.nn.Module.to(model, device)
    reader = replace(reader, precomputed=readable_features(reader.precomputed, model.config.feature_dim))
    known = np.flatnonzero(reader.has_audio | reader.has_text).astype(np.int32) if songs is None else songs
    blocks = in_blocks(name, known, BLOCK, scratch, lambda rows: _encode_block(model, reader, rows, device))
    vectors = {}
    empty = np.zeros((0, model.config.projection_dim), np.float32)
    for modality in MODALITIES:
        rows = [block[f"{modality}-tracks"] for block in blocks]
        values = [block[modality] for block in blocks]
        tracks = np.concatenate([np.zeros(0, np.int32), *rows])
        vectors[modality] = Vectors(tracks, np.concatenate([empty, *values]))
    return vectors


@torch.inference_mode()
def _encode_block(model: HtclNetwork, reader: SongReader, tracks: NDArray[np.int32], device: torch.device) -> Block:
    """Songs of like length are batched together, which keeps padding small; the answer is in the order of `tracks`."""
    order = reader.by_length(tracks)
    found: dict[str, NDArray[np.float32]] = {
        name: np.zeros((len(tracks), model.config.projection_dim), np.float32) for name in MODALITIES
    }
    size = BATCH if reader.mels.present[tracks].any() else TEXT_BATCH
    size = GPU_BATCH if device.type == "cuda" else size
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    read = prefetched(lambda number: reader.read(tracks[batches[number]]), len(batches))
    for rows, batch in zip(batches, read, strict=True):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            songs = model(**moved(batch, device))
        for name, vectors in (("audio", songs.audio), ("text", songs.text), ("item", songs.fusion)):
            if vectors is not None:
                found[name][rows] = normalize(vectors, dim=1).float().cpu().numpy()
    present = {
        "audio": reader.has_audio[tracks],
        "text": reader.has_text[tracks],
        "item": np.ones(len(tracks), np.bool_),
    }
    block: Block = {}
    for name in MODALITIES:
        block[name] = np.ascontiguousarray(found[name][present[name]])
        block[f"{name}-tracks"] = tracks[present[name]]
    return block
