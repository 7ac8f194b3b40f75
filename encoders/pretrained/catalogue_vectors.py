"""An external model's vectors of the catalogue: made once, published in the workspace, in blocks kept over a stop."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.audio.reading import load_mono
from data.dataset import Dataset
from data.errors import UserError
from data.reporting import done, logger
from data.storage.hashing import short_hash
from data.storage.manifest import is_current
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.mel_cache import Mels
from encoders.encoding.resumable import Block, in_blocks
from encoders.encoding.vector_files import Vectors, write_vectors
from encoders.model.mel import MAX_SECONDS
from encoders.model.text import track_texts
from encoders.pretrained.audio_model import ExternalModel

log = logger(__name__)

SONGS, TEXTS = 16, 256
"""Per block: what is lost where a run is cut off. Two minutes at 48 kHz take 23 MB a song."""
FORMAT = 1
"""Of the vectors: counts up when the same model and sound would give others."""


def embed_external(workspace: Workspace, dataset: Dataset, mels: Mels, external: ExternalModel) -> Path:
    """Publish the model's vectors of the catalogue, unless they are there; returns their folder.

    `audio` and `text` vectors where the two can be compared, else `features`; none for a song that does not decode.
    Raises UserError where none does.
    """
    target = workspace.vectors(f"external-{external.name}")
    made_from = {"dataset": dataset.fingerprint, "mels": mels.fingerprint, "model": external.digest}
    settings = {"seconds": MAX_SECONDS, "rate": external.rate, "window": external.window, "format": FORMAT}
    with workspace.lock():
        if is_current(target, made_from, settings):
            return target
        started = time.monotonic()
        unfinished = f"external-{short_hash([made_from, settings])}"
        scratch = workspace.scratch(unfinished)
        vectors = _encode_catalogue(external, dataset, mels, scratch)
        with publishing(target, "vectors-external", made_from, settings) as draft:
            for modality, found in vectors.items():
                write_vectors(draft.folder, modality, found, dataset)
                draft.facts[modality] = len(found.tracks)
        workspace.discard_scratch(unfinished)
    counts = ", ".join(f"{len(found.tracks):,} {modality}" for modality, found in vectors.items())
    done("external", f"{external.name}: {counts} vectors", time.monotonic() - started)
    return target


def _encode_catalogue(external: ExternalModel, dataset: Dataset, mels: Mels, scratch: Path) -> dict[str, Vectors]:
    heard = np.flatnonzero(mels.present).astype(np.int32)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        hear = partial(_hear, external, dataset, pool)
        sound = _joined(in_blocks(external.name, heard, SONGS, scratch / "audio", hear))
    if sound is None:
        raise UserError(f"{external.name} has a vector for none of the {len(heard):,} songs with audio")
    if external.tokenizer is None:
        return {"features": sound}
    texts = track_texts(dataset.tracks)
    read = np.array([row for row, text in enumerate(texts) if text is not None], np.int32)

    def encode_texts(rows: NDArray[np.int32]) -> Block:
        return {"tracks": rows, "values": external.encode_text([texts[row] or "" for row in rows])}

    words = _joined(in_blocks(f"{external.name} text", read, TEXTS, scratch / "text", encode_texts))
    return {"audio": sound, "text": words or Vectors(read, np.zeros((0, sound.dimension), np.float32))}


def _hear(external: ExternalModel, dataset: Dataset, pool: ThreadPoolExecutor, rows: NDArray[np.int32]) -> Block:
    """The vectors of those songs that have one; why the others have none is said."""

    def decode(row: int) -> NDArray[np.float32] | Exception:
        path = dataset.audio_file(row)
        try:
            return load_mono(path, external.rate, MAX_SECONDS, trim=True) if path else ValueError("no file")
        except (ValueError, OSError) as error:
            return error

    found = {}
    for row, samples in zip(rows, pool.map(decode, rows.tolist()), strict=True):
        try:
            if isinstance(samples, Exception):
                raise samples
            found[row] = external.encode_sound(samples)
        except (ValueError, OSError) as error:
            log.warning(f"  {external.name}: no vector for {dataset.track_ids.names[row]}: {error}")
    empty = np.zeros((0, 0), np.float32)
    return {"tracks": np.array(list(found), np.int32), "values": np.stack(list(found.values())) if found else empty}


def _joined(blocks: Sequence[Block]) -> Vectors | None:
    """None where no song has a vector."""
    full = [block for block in blocks if len(block["tracks"])]
    if not full:
        return None
    return Vectors(np.concatenate([b["tracks"] for b in full]), np.concatenate([b["values"] for b in full]))
