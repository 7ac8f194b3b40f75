"""The training matrix of the collaborative models: listeners and playlists by songs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from data.dataset import POSITIVE, Dataset
from recsys.queries import EVIDENCE


def interactions(dataset: Dataset) -> csr_matrix:
    """(listeners + playlists, N) float32: listeners first. log2(1 + evidence) of wanted plays, 1 for an entry."""
    plays = (
        dataset.listens.filter(POSITIVE)
        .group_by("user", "track")
        .agg(value=EVIDENCE.sum())
        .filter(pl.col("value") > 0)
        .with_columns(value=(pl.col("value") + 1).log(2))
        .sort("user", "track")
    )
    entries = dataset.playlist_tracks.select("playlist", "track").unique().sort("playlist", "track")
    listeners = len(dataset.user_ids)
    rows = np.concatenate([plays["user"].to_numpy(), entries["playlist"].to_numpy() + listeners])
    columns = np.concatenate([plays["track"].to_numpy(), entries["track"].to_numpy()])
    values = np.concatenate([plays["value"].to_numpy(), np.ones(entries.height)]).astype(np.float32)
    shape = (listeners + len(dataset.playlist_ids), len(dataset.track_ids))
    return csr_matrix((values, (rows, columns)), shape=shape)


def seen(matrix: csr_matrix) -> NDArray[np.bool_]:
    """(N,) songs with any training interaction: all that a collaborative model may propose."""
    return np.asarray(matrix.getnnz(axis=0) > 0, dtype=np.bool_)


def known_rows(matrix: csr_matrix, listeners: int) -> NDArray[np.bool_]:
    """(listeners,) which listeners have any training interaction."""
    return np.asarray(matrix.getnnz(axis=1)[:listeners] > 0, dtype=np.bool_)
