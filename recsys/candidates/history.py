"""Weights of a listener's plays: each play votes for similar songs and for itself, and the two votes decay at
different rates.

What fits the current song is out of date after some plays; a favourite is not. Validation chooses both half-lives and
the weight of repeats, for every source that sums similarities.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat
from scipy.sparse import csr_matrix

from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Range
from recsys.candidates.resting import RestingSettings
from recsys.candidates.votes import Votes
from recsys.queries import NOTHING, Query

QUIET = 0.05
"""Share of a history's weight that asks for no similar songs: the songs that weigh least. Neighbours have to be found
for every song that asks. On the demo (simulated) 71 songs of a history so become 20, and what neighbours in HTCL space
reach alone goes from 0.1692 NDCG@100 to 0.1688 for discovery, from 0.1854 to 0.1848 for the next song (standard errors
of the differences 0.0005 and 0.0006); with 0.1 from 0.1692 to 0.1676."""


class HistorySettings(RestingSettings):
    """How the plays of a history are weighted."""

    half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = 5.0
    "Plays after which a play's vote for similar songs has halved; None: no decay."
    again: Annotated[NonNegativeFloat, Range(0.1, 30.0, log=True), AtQuery] = 3.0
    "Weight of a play for its own song; its most similar song gets about 1."
    again_half_life: Annotated[float | None, OneOf(HALF_LIFE), AtQuery] = None
    "Plays after which a play's vote for its own song has halved; None: no decay."


def history_shares(query: Query, half_life: float | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The distinct songs of a history, ascending, and the share of each; those skipped or disliked count against, and
    all are 0 where all weights are."""
    songs, weights = query.song_weights(half_life)
    total = float(np.abs(weights).sum())
    return songs, weights / np.float32(total) if total > 0 else weights


def asking_shares(query: Query, half_life: float | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The same without the songs that weigh least, which have QUIET of the weight together, and without those of no
    weight: the songs that ask for similar ones."""
    songs, shares = history_shares(query, half_life)
    weights = np.abs(shares)
    order = np.argsort(weights, kind="stable")
    first = int(np.searchsorted(np.cumsum(weights[order], dtype=np.float64), QUIET, side="right"))
    asks = np.sort(order[first:])
    return songs[asks], shares[asks]


def share_matrix(queries: Sequence[Query], tracks: int, half_life: float | None) -> csr_matrix:
    """(Q, N) float32: the same for a batch."""
    rows = [history_shares(query, half_life) for query in queries]
    offsets = np.cumsum([0, *(len(songs) for songs, _ in rows)])
    songs = np.concatenate([NOTHING, *(songs for songs, _ in rows)])
    shares = np.concatenate([np.zeros(0, np.float32), *(shares for _, shares in rows)])
    return csr_matrix((shares, songs, offsets), shape=(len(queries), tracks))


def add_repeats(scores: NDArray[np.float32], query: Query, settings: HistorySettings, known: NDArray[np.bool_]) -> None:
    """Add each play's vote for its own song to scores (N,), in place.

    known: (N,) songs that the source learned about in training; no others are proposed.
    """
    songs, own = history_shares(query, settings.again_half_life)
    scores[songs] += np.float32(settings.again) * own * known[songs]


def votes(
    query: Query,
    tracks: NDArray[np.int32],
    similarity: NDArray[np.float32],
    settings: HistorySettings,
    known: NDArray[np.bool_],
    of_likes: NDArray[np.bool_] | None = None,
) -> Votes:
    """What each song of the history, itself included, gives to each song.

    similarity, of_likes: (songs of the history, tracks), 0 between a song and itself. known: (N,).
    """
    if not len(query.history):
        return Votes.none(len(tracks))
    songs = query.songs
    near, own = (history_shares(query, half_life)[1] for half_life in (settings.half_life, settings.again_half_life))
    itself = (songs[:, None] == tracks[None, :]) & known[tracks][None, :]
    values = similarity * near[:, None] + itself * (np.float32(settings.again) * own)[:, None]
    return Votes(songs, values, None if of_likes is None else of_likes & ~itself)
