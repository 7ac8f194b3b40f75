"""Vectors of the catalogue on disk: one file per modality, for the songs that have it, and the ids they belong to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.storage.manifest import verify
from data.storage.parquet import read_parquet

MODALITIES = ("audio", "text", "item")


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of some songs. tracks: (M,) int32, ascending track rows; values: (M, D) float32."""

    tracks: NDArray[np.int32]
    values: NDArray[np.float32]

    @property
    def dimension(self) -> int:
        return int(self.values.shape[1])

    def by_track(self, tracks: int) -> NDArray[np.float32]:
        """(tracks, D) with a row for every track, zeros for one without a vector."""
        rows = np.zeros((tracks, self.dimension), np.float32)
        rows[self.tracks] = self.values
        return rows


def write_vectors(folder: Path, modality: str, vectors: Vectors, dataset: Dataset) -> None:
    """`<modality>.npy` and `<modality>-ids.parquet`. Raises ValueError where a value is not finite."""
    if not np.isfinite(vectors.values).all():
        bad = vectors.tracks[~np.isfinite(vectors.values).all(axis=1)]
        raise ValueError(f"{modality} vectors are not finite, first for {dataset.track_ids.names[bad[0]]}")
    np.save(folder / f"{modality}.npy", vectors.values.astype(np.float32), allow_pickle=False)
    names = dataset.track_ids.to_names(vectors.tracks)
    pl.DataFrame({"track_id": names}, schema={"track_id": pl.String}).write_parquet(folder / f"{modality}-ids.parquet")


def read_vectors(folder: Path, modality: str, dataset: Dataset) -> Vectors:
    """What write_vectors wrote, checksums verified. Raises UserError where nothing is there or it is damaged."""
    path, ids = folder / f"{modality}.npy", folder / f"{modality}-ids.parquet"
    verify(folder, only=(path.name, ids.name))
    if not path.is_file():
        raise UserError(f"no {modality} vectors in {folder}", "Run python -m encoders.embed.")
    names = read_parquet(ids)["track_id"].to_list()
    return Vectors(dataset.track_ids.to_rows(names), np.load(path, allow_pickle=False))
