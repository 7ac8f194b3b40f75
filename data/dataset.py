"""The dataset: validated, ordered, immutable tables whose ids are row numbers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.compose import compose
from data.errors import DamagedError, UserError
from data.ids import IdMap
from data.imports.saving import Saved, save_import, save_import_parts
from data.imports.shelf import hold
from data.ingest.assemble import Assembled
from data.ingest.closing import Closing
from data.recordings import albums, lead_artists, song_keys
from data.storage.hashing import inside
from data.storage.manifest import Manifest, read_manifest, verify
from data.storage.parquet import scan_parquet
from data.storage.workspace import Workspace
from data.tables import SCHEMAS, Imported, TablePart, to_schema

POSITIVE = pl.col("played_ratio").fill_null(1.0).ge(0.5) & ~pl.col("feedback").fill_null("").is_in(["skip", "dislike"])
"""A listen that counts as wanted: at least half played (or unknown), neither skipped nor disliked."""


REMEMBERED = 20_000
"""Songs whose texts are kept at hand: some 20 MB."""
READS = 20
"""How often a dataset is read that is replaced while it is."""
ORDERED = "ordered"
"""The fact that says so where nobody knows in which order a listener played."""


@dataclass(frozen=True)
class Dataset:
    """Row i of `tracks` is track i, of `playlists` playlist i; the others refer to those rows.

    listens: user i32, track i32, listened_at, position, played_ratio, feedback; by user, oldest first.
    playlist_tracks: playlist i32, position i32, track i32, added_at; by playlist, in order.
    """

    root: Path
    tracks: pl.DataFrame
    listens: pl.DataFrame
    playlists: pl.DataFrame
    playlist_tracks: pl.DataFrame
    features: pl.DataFrame
    track_ids: IdMap
    user_ids: IdMap
    playlist_ids: IdMap
    manifest: Manifest

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint

    @property
    def simulated(self) -> bool:
        return bool(self.manifest.facts.get("simulated"))

    @property
    def ordered(self) -> bool:
        """Whether a listener's plays come in the order they were played in; else it is drawn (importers/counts.py)."""
        return is_ordered(self.manifest)

    @property
    def artists(self) -> NDArray[np.int32]:
        """(N,) a number per artist, -1 where the artist is unknown. Names compare without case."""
        return _numbered(self.tracks["artist"])

    @property
    def lead_artists(self) -> NDArray[np.int32]:
        """(N,) the same, but a song with guests has the number of its first artist (`data/recordings.py`)."""
        return _numbered(lead_artists(self.tracks))

    @property
    def albums(self) -> NDArray[np.int32]:
        """(N,) a number per album of an artist, -1 where either is unknown."""
        return _numbered(albums(self.tracks))

    @property
    def recordings(self) -> NDArray[np.int32]:
        """(N,) the same number for versions of one song (`data/recordings.py`), -1 where title or artist is unknown."""
        return _numbered(song_keys(self.tracks))

    def feature_matrix(self) -> NDArray[np.float32] | None:
        """(N, F) the features table by track row, NaN where a track has none; None where the table is empty."""
        if self.features.is_empty():
            return None
        values = self.features["features"].explode().to_numpy().reshape(self.features.height, -1)
        rows = np.full((len(self.track_ids), values.shape[1]), np.nan, np.float32)
        rows[self.track_ids.to_rows(self.features["track_id"].to_list())] = values
        return rows

    def audio_file(self, track: int) -> Path | None:
        """The track's audio file; relative paths are below the workspace."""
        value = self.tracks["audio_path"][track]
        if value is None:
            return None
        return Path(value) if Path(value).is_absolute() else inside(self.root, value)

    @cached_property
    def song(self) -> "Callable[[int], Song]":
        """What a person sees of a track, by its row. Remembered: Polars takes a microsecond for every single value."""
        return lru_cache(REMEMBERED)(partial(_song, self.tracks))

    def only(self, listens: pl.DataFrame, playlist_tracks: pl.DataFrame) -> "Dataset":
        """The same catalogue with a part of the listening."""
        return replace(self, listens=listens, playlist_tracks=playlist_tracks)

    def without(self, songs: NDArray[np.bool_]) -> "Dataset":
        """The same catalogue without any play or playlist entry of the songs of a mask (N,)."""
        plays, entries = (
            rows.filter(pl.Series(~songs[rows["track"].to_numpy()], dtype=pl.Boolean))
            for rows in (self.listens, self.playlist_tracks)
        )
        return self.only(plays, entries)

    def summary(self) -> str:
        tables = {"tracks": self.tracks, "listens": self.listens, "playlists": self.playlists}
        return summary({name: table.height for name, table in tables.items()}, len(self.user_ids))


class Song(NamedTuple):
    """What a person sees of a track. labels: genres, then tags, each once, without case."""

    title: str | None
    artist: str | None
    album: str | None
    year: int | None
    duration_s: float | None
    audio_path: str | None
    labels: tuple[str, ...]


def _song(tracks: pl.DataFrame, row: int) -> Song:
    """One value at a time: Polars gathers rows in a pool of threads, which a forked process has not."""
    title, artist, album, released, duration_s, audio_path, genres, tags = (
        tracks[field][row]
        for field in ("title", "artist", "album", "release_date", "duration_s", "audio_path", "genres", "tags")
    )
    labels = [label.casefold() for listed in (genres, tags) if listed is not None for label in listed.to_list()]
    year = None if released is None else released.year
    return Song(title, artist, album, year, duration_s, audio_path, tuple(dict.fromkeys(labels)))


def song_name(dataset: Dataset, row: int) -> str:
    """`Title by Artist`, as far as they are known."""
    song = dataset.song(row)
    title = song.title or dataset.track_ids.names[row]
    return f"{title} by {song.artist}" if song.artist else title


def is_ordered(manifest: Manifest) -> bool:
    """Whether the order of plays in a dataset is one; nothing but a fact that denies it says no."""
    return manifest.facts.get(ORDERED) is not False


def summary(rows: Mapping[str, int], listeners: int) -> str:
    """What a dataset holds, in a line. rows: by table."""
    counts = [(rows["tracks"], "tracks"), (listeners, "listeners"), (rows["listens"], "listens")]
    counts += [(rows["playlists"], "playlists")]
    return ", ".join(f"{count:,} {name}" for count, name in counts if count)


def save_dataset(workspace: Workspace, imported: Imported, settings: Mapping[str, object]) -> Closing:
    """Validate what an importer brought, report and keep the rejects, and publish the tables as all there is.

    Raises UserError where not a single track is left.
    """
    return _alone(workspace, save_import(workspace, imported, settings)).closing


def save_parts(
    workspace: Workspace,
    parts: Iterable[TablePart],
    facts: Mapping[str, object],
    settings: Mapping[str, object],
    memory: str,
) -> tuple[Assembled, Closing]:
    """What `save_dataset` does, for tables that come in parts and need not fit in memory (`save_import_parts`)."""
    saved = _alone(workspace, save_import_parts(workspace, parts, facts, settings, memory))
    return saved.made, saved.closing


def _alone(workspace: Workspace, saved: Saved) -> Saved:
    hold(workspace, [saved.name])
    compose(workspace)
    return saved


def load_dataset(workspace: Workspace) -> Dataset:
    """Read the published dataset. Raises UserError where there is none, DamagedError where a file is damaged.

    Another process may publish the next one meanwhile: what is read is one of them, not a part of each.
    """
    failed: Exception | None = None
    for _ in range(READS):
        if read_manifest(workspace.dataset) is None:
            raise UserError(
                f"no dataset in {workspace.root}",
                "Run python -m data.prepare demo (or folder, tables; see --help) with the same --workspace.",
            )
        try:
            found = _load(workspace)
        except (DamagedError, OSError, pl.exceptions.PolarsError) as error:
            failed = error  # damage stays, a swap is over at the next look
            continue
        after = read_manifest(workspace.dataset)
        if after is not None and after.fingerprint == found.fingerprint:
            return found
    raise failed or DamagedError(f"{workspace.dataset} is replaced faster than it can be read", "Try again in a while.")


def _load(workspace: Workspace) -> Dataset:
    manifest = verify(workspace.dataset)
    tables = {name: scan_parquet(workspace.dataset / f"{name}.parquet") for name in SCHEMAS}
    tracks, playlists, features = (tables[name].collect() for name in ("tracks", "playlists", "features"))
    users = tables["listens"].select(pl.col("user_id").unique()).collect(engine="streaming")["user_id"].sort()
    tracks = to_schema("tracks", tracks)  # a dataset of before a column was added has none
    track_ids = IdMap(tuple(tracks["track_id"]), "track")
    playlist_ids = IdMap(tuple(playlists["playlist_id"]), "playlist")
    user_ids = IdMap(tuple(users), "listener")
    listens = (
        _with_rows(tables["listens"], user=user_ids, track=track_ids)
        .select("user", "track", "listened_at", "position", "played_ratio", "feedback")
        .collect(engine="streaming")
        .sort("user", "listened_at", "position", maintain_order=True)
    )
    playlist_tracks = (
        _with_rows(tables["playlist_tracks"], playlist=playlist_ids, track=track_ids)
        .select("playlist", "position", "track", "added_at")
        .collect(engine="streaming")
        .sort("playlist", "position", "track")
    )
    return Dataset(
        root=workspace.root,
        tracks=tracks,
        listens=listens,
        playlists=playlists,
        playlist_tracks=playlist_tracks,
        features=features,
        track_ids=track_ids,
        user_ids=user_ids,
        playlist_ids=playlist_ids,
        manifest=manifest,
    )


def _with_rows(table: pl.LazyFrame, **ids: IdMap) -> pl.LazyFrame:
    """The table in its order, with a column of inside rows for each `<column>_id`. Validation has seen to it that all
    are known; they are joined, so that no column of strings is ever whole in memory."""
    for column, known in ids.items():
        rows = pl.LazyFrame({f"{column}_id": known.names}, {f"{column}_id": pl.String}).with_columns(
            pl.int_range(pl.len(), dtype=pl.Int32).alias(column)
        )
        table = table.join(rows, f"{column}_id", "left", maintain_order="left")
    return table


def _numbered(names: pl.Series) -> NDArray[np.int32]:
    """A number per distinct name, case and outer blanks aside; -1 for null."""
    codes = names.str.strip_chars().str.to_lowercase().rank("dense").cast(pl.Int32).fill_null(0).to_numpy() - 1
    return codes.astype(np.int32)
