"""Vectors of the catalogue on disk: one file per modality, for the songs that have it, and the ids they belong to.

Beside them stands a key for each song: all that the encoder read of it. A song that the same encoder reads as it did
then is not encoded again, whatever its id is now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import DamagedError, UserError
from data.storage.manifest import read_manifest, verify
from data.storage.parquet import read_parquet

MODALITIES = ("audio", "text", "item")
KEYS = "songs.parquet"


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


def write_keys(folder: Path, tracks: NDArray[np.int32], keys: Sequence[str], dataset: Dataset) -> None:
    """Beside the vectors of these songs."""
    names = dataset.track_ids.to_names(tracks)
    pl.DataFrame({"track_id": names, "key": keys}, {"track_id": pl.String, "key": pl.String}).write_parquet(
        folder / KEYS
    )


@dataclass(frozen=True)
class KnownVectors:
    """place: of each key, where it stands in the rows of `values`. values: by modality (M, D), NaN without a vector."""

    place: dict[str, int]
    values: dict[str, NDArray[np.float32]]

    @classmethod
    def none(cls, dimension: int) -> "KnownVectors":
        """Of an encoder that has encoded nothing."""
        return cls({}, {modality: np.zeros((0, dimension), np.float32) for modality in MODALITIES})

    @classmethod
    def of(cls, folders: Sequence[Path], encoder: str, dimension: int) -> "KnownVectors":
        """Those in the first folder that this encoder filled. encoder: its fingerprint. A damaged folder is none."""
        for folder in folders:
            try:
                manifest = read_manifest(folder)
                if manifest is None or manifest.made_from.get("encoder") != encoder or KEYS not in manifest.files:
                    continue
                verify(folder)
            except DamagedError:
                continue
            songs = read_parquet(folder / KEYS)
            row = dict(zip(songs["track_id"], range(songs.height), strict=True))
            values = {}
            for modality in MODALITIES:
                values[modality] = np.full((songs.height, dimension), np.nan, np.float32)
                ids = read_parquet(folder / f"{modality}-ids.parquet")["track_id"]
                values[modality][[row[name] for name in ids]] = np.load(folder / f"{modality}.npy", allow_pickle=False)
            return cls(dict(zip(songs["key"], range(songs.height), strict=True)), values)
        return cls.none(dimension)

    def join(self, tracks: NDArray[np.int32], keys: Sequence[str], fresh: dict[str, Vectors]) -> dict[str, Vectors]:
        """Vectors of all tracks by modality: those known by their keys, and the fresh ones of the others."""
        at = np.array([self.place.get(key, -1) for key in keys], np.int64)
        joined = {}
        for modality in MODALITIES:
            new, old = fresh[modality], self.values[modality][at[at >= 0]]
            has = ~np.isnan(old[:, 0])
            rows = np.concatenate([tracks[at >= 0][has], new.tracks])
            order = np.argsort(rows)
            joined[modality] = Vectors(rows[order].astype(np.int32), np.concatenate([old[has], new.values])[order])
        return joined
