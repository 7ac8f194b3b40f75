"""The training matrix of the collaborative models: listeners and playlists by songs."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from data.dataset import POSITIVE, Dataset
from data.listening.clock import ages
from recsys.queries import EVIDENCE


def interactions(dataset: Dataset, half_life_days: float | None = None) -> csr_matrix:
    """(listeners + playlists, N) float32: listeners first. log2(1 + evidence) of wanted plays, 1 for an entry.

    half_life_days: a play's evidence halves with its age, see `aged`; entries keep their 1.
    """
    wanted = dataset.listens.filter(POSITIVE)
    evidence = EVIDENCE if half_life_days is None else EVIDENCE * pl.lit(aged(wanted, half_life_days))
    plays = (
        wanted.with_columns(value=evidence)
        .group_by("user", "track")
        .agg(pl.col("value").sum())
        .filter(pl.col("value") > 0)
        .with_columns(value=(pl.col("value") + 1).log(2))
        # A play so old that it no longer changes the sum is none: a stored 0 would pass for an interaction.
        .filter(pl.col("value") > 0)
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


def aged(plays: pl.DataFrame, half_life_days: float | None) -> pl.Series:
    """Float64 per play: 0.5 ** (days before now / half-life); all 1 for None or where times lack. Now: `robust_now`."""
    if half_life_days is None or plays.is_empty() or plays["listened_at"].null_count():
        return pl.Series("weight", np.ones(plays.height))
    seconds = plays["listened_at"].dt.epoch("s").to_numpy().astype(np.float64)
    return pl.Series("weight", 0.5 ** (ages(seconds) / 86_400 / half_life_days))
