"""Simulated tables on disk: songs with words, plays and playlists, without sound.

The listening is that of `eval.bench.answering.world`. A song's words follow its cluster, so that a text tower has
something to learn from it; an artist's songs lie in one cluster as well.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eval.bench.answering.world import A_CLUSTER, simulated_dataset

SYLLABLES = ("ka", "lo", "mi", "ren", "sa", "to", "vel", "ya", "zu", "bri", "den", "fo", "gal", "hin", "jo", "nar")
TABLES = ("tracks", "listens", "playlists", "playlist_tracks")
PLAYS = 100
"Of each listener."
ENTRIES = 20
"Of each playlist."
SONGS_A_PLAYLIST = 50
"Songs of the catalogue for each playlist."
AN_ARTIST = 10
"Songs of an artist."
GENRES = 40


def write_tables(folder: Path, songs: int, plays_a_song: int, seed: int = 0) -> int:
    """tracks, listens, playlists and playlist_tracks as Parquet; returns their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = simulated_dataset(songs, max(songs * plays_a_song // PLAYS, 10), PLAYS, seed)
    rng = np.random.default_rng([seed, 1])
    cluster = np.arange(songs) % max(songs // A_CLUSTER, 1)
    words = np.array([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES])
    genres = np.array([f"{words[17 * number]} music" for number in range(GENRES)])
    artist = cluster + rng.integers(-(-A_CLUSTER // AN_ARTIST), size=songs) * (cluster.max() + 1)
    tracks = pl.DataFrame(
        {
            "track_id": dataset.track_ids.names,
            "title": _joined(words[rng.integers(len(words), size=songs)], words[(cluster * 7 + 3) % len(words)]),
            "artist": _joined(words[(artist * 31) % len(words)], words[(artist // len(words) * 5 + artist) % 997]),
            "genres": genres[cluster % GENRES],
            "tags": words[(cluster * 13) % len(words)],
        }
    )
    users, ids = pl.Series(dataset.user_ids.names), tracks["track_id"]
    listens = dataset.listens.select(
        users.gather(dataset.listens["user"]).alias("user_id"),
        ids.gather(dataset.listens["track"]).alias("track_id"),
        "listened_at",
    )
    lists = max(songs // SONGS_A_PLAYLIST, 1)
    theme = rng.integers(cluster.max() + 1, size=lists)
    names = pl.Series([f"list-{number:06}" for number in range(lists)])
    inside = theme[:, None] + _different_places(rng, lists) * (cluster.max() + 1)
    titles = _joined(genres[theme % GENRES], words[theme * 13 % len(words)])
    frames = {
        "tracks": tracks,
        "listens": listens,
        "playlists": pl.DataFrame({"playlist_id": names, "title": titles}),
        "playlist_tracks": pl.DataFrame(
            {
                "playlist_id": names.gather(np.repeat(np.arange(lists), ENTRIES)),
                "position": np.tile(np.arange(ENTRIES), lists),
                "track_id": ids.gather(np.minimum(inside, songs - 1).ravel()),
            }
        ),
    }
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return sum((folder / f"{name}.parquet").stat().st_size for name in frames)


def _different_places(rng: np.random.Generator, lists: int) -> NDArray[np.int64]:
    """(lists, ENTRIES) songs of a cluster, none twice in a list, the first ones more often."""
    step = rng.integers(1, A_CLUSTER // ENTRIES + 1, size=(lists, ENTRIES))
    return np.cumsum(step, axis=1) - 1


def _joined(first: NDArray[np.str_], second: NDArray[np.str_]) -> NDArray[np.str_]:
    return np.char.add(np.char.add(first, " "), second)
