"""Playlists: most are made around one taste of their owner, some around a genre or an artist."""

import numpy as np
import numpy.typing as npt
import polars as pl

from data.importers.demo import words
from data.importers.demo.catalogue import Catalogue, track_id
from data.importers.demo.listeners import Listeners, choose
from data.importers.demo.listening import user_id
from data.importers.demo.music import TASTE, Sound
from data.importers.demo.settings import DemoSettings
from data.tables import to_schema

Ints = npt.NDArray[np.int64]

GENRE_SHARE, ARTIST_SHARE = 0.12, 0.08
"Share of playlists with a genre, and with an artist, for a theme."


def make_playlists(
    catalogue: Catalogue, listeners: Listeners, settings: DemoSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The playlists and playlist_tracks tables, in order of `modified_at`."""
    rng = settings.random("playlists")
    count = settings.playlists
    if not count:
        return to_schema("playlists", None), to_schema("playlist_tracks", None)
    # Nobody makes a playlist on the first day.
    modified = np.sort(rng.uniform(0.01 * settings.days, settings.days, count))
    owner = rng.integers(settings.listeners, size=count)
    taste = listeners.first[owner] + rng.integers(listeners.count[owner])
    theme = rng.choice(3, count, p=[1 - GENRE_SHARE - ARTIST_SHARE, GENRE_SHARE, ARTIST_SHARE])
    out = catalogue.released <= np.floor(modified)[:, None]
    length = np.clip(rng.lognormal(2.8, 0.45, count), 8, np.minimum(40, out.sum(1))).astype(np.int64)

    anchor = choose(
        np.where(out, 2 * listeners.match[taste], -np.inf).astype(np.float32), np.ones(count, np.int64), rng
    )[1]
    same_genre = catalogue.genre == catalogue.genre[anchor][:, None]
    same_artist = catalogue.artist == catalogue.artist[anchor][:, None]
    score = np.where(theme[:, None] == 0, 1.2 * listeners.match[taste], 0.5 * listeners.match[taste])
    score += 0.7 * listeners.liking[owner]
    score += np.where(theme[:, None] == 1, 4.0 * same_genre, 0.0) + np.where(
        theme[:, None] == 2, 5.0 * same_artist, 0.0
    )
    score[~out] = -np.inf
    row, track = choose(score.astype(np.float32), length, rng)

    order = np.lexsort((rng.random(len(row)), row))
    row, track = row[order], track[order]
    position = np.arange(len(row)) - np.searchsorted(row, row)
    added = _added(row, catalogue.released[track], modified, rng)

    names = list(words.GENRES)
    titles = []
    for i in range(count):
        text = settings.random("playlist title", i)
        artist = catalogue.artists[catalogue.artist[anchor[i]]] if theme[i] == 2 else None
        sound = Sound(*listeners.centre[taste[i]].tolist(), *(0.0,) * (len(Sound._fields) - TASTE))
        titles.append(words.playlist_title(sound, names[catalogue.genre[anchor[i]]], artist, text))
    ids = np.array([f"playlist-{i + 1:04d}" for i in range(count)])
    playlists = pl.DataFrame(
        {
            "playlist_id": ids,
            "title": titles,
            "user_id": np.array([user_id(i) for i in range(settings.listeners)])[owner],
            "modified_at": modified,
        }
    )
    entries = pl.DataFrame(
        {
            "playlist_id": ids[row],
            "position": position,
            "track_id": np.array([track_id(i) for i in range(settings.tracks)])[track],
            "added_at": added,
        }
    )
    return (
        to_schema("playlists", playlists.with_columns(modified_at=_moment("modified_at", settings))),
        to_schema("playlist_tracks", entries.with_columns(added_at=_moment("added_at", settings))),
    )


def _added(
    row: Ints, released: Ints, modified: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(K,) days: between the song's release, or three weeks before the end of the work, and the last change."""
    end = modified[row]
    begin = np.minimum(np.maximum(np.maximum(released, 0), end - 21), end)
    moment: npt.NDArray[np.float64] = rng.uniform(begin, end)
    return moment


def _moment(column: str, settings: DemoSettings) -> pl.Expr:
    """Days since the beginning -> time, to the second."""
    return pl.lit(settings.begin) + pl.duration(seconds=(pl.col(column) * 86_400).cast(pl.Int64))
