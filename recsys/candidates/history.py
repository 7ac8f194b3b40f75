"""How the plays of a history speak: for similar songs, and for hearing the same song again.

The two fade differently: what goes with the song that plays now is out of date after some plays, a favourite is not. So
each has a half-life and a weight of its own, which validation chooses, for every source that sums similarities.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeFloat
from scipy.sparse import csr_matrix, diags_array

from recsys.queries import Query, history_matrix


class HistorySettings(BaseModel):
    """How the history counts."""

    half_life: float | None = 5.0
    "Plays after which one counts half for songs like it; None: all count the same."
    again: NonNegativeFloat = 3.0
    "What a play counts for its own song, where it counts 1 at most, or so in the mean, for the one most like it."
    again_half_life: float | None = None
    "Plays after which one counts half for its own song."


def history_shares(queries: Sequence[Query], tracks: int, half_life: float | None) -> csr_matrix:
    """(Q, N) float32: each song's share in its query's history; those skipped or disliked count against."""
    history = history_matrix(queries, tracks, half_life)
    total = np.asarray(np.abs(history).sum(axis=1), np.float64).ravel()
    scale = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
    return csr_matrix(diags_array(scale) @ history, dtype=np.float32)


def add_repeats(
    scores: NDArray[np.float32], queries: Sequence[Query], settings: HistorySettings, known: NDArray[np.bool_]
) -> None:
    """Add to scores (Q, N), in place, what the history's plays count for their own songs.

    known: (N,) songs of which the source knows more than that they were played now; no others are proposed.
    """
    own = history_shares(queries, len(known), settings.again_half_life).tocoo()
    scores[own.row, own.col] += np.float32(settings.again) * own.data * known[own.col]


def best_reason(
    query: Query,
    tracks: NDArray[np.int32],
    similarity: NDArray[np.float32],
    settings: HistorySettings,
    known: NDArray[np.bool_],
) -> list[int | None]:
    """For each song, the song of the history that speaks most for it, itself included; None where none speaks for it.

    similarity: (history, songs) what each song of the history counts for each of these, 0 for itself. known: (N,).
    """
    if not len(query.history):
        return [None] * len(tracks)
    songs, first = np.unique(query.history, return_index=True)
    near, own = (
        history_shares([query], len(known), half_life)[0, songs].toarray().ravel()
        for half_life in (settings.half_life, settings.again_half_life)
    )
    itself = (songs[:, None] == tracks[None, :]) & known[tracks][None, :]
    spoken = similarity[first] * near[:, None] + itself * (np.float32(settings.again) * own)[:, None]
    best = spoken.argmax(axis=0)
    return [int(songs[row]) if spoken[row, at] > 0 else None for at, row in enumerate(best)]
