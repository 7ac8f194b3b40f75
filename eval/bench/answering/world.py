"""A simulated catalogue of any size with listening and vectors, and the product's sources fitted to it.

Nothing is trained on sound and nothing is tuned: what an answer costs depends on neither. Listeners play songs of a few
clusters, popular ones more often, in sessions of ten.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import Dataset
from data.ids import IdMap
from data.storage.manifest import Manifest
from data.tables import SCHEMAS, TIME
from encoders.encoding.vector_files import Vectors
from recsys.candidates import CandidateSource, Htcl, Likeness
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.store import FittedSources, make_source
from recsys.index import BACKENDS
from recsys.line_up import FUSED, HTCL_NAMES
from recsys.ranking.fusion import FusionSettings
from recsys.ranking.learned.features import SongFacts, names
from recsys.ranking.learned.forest import Forest
from recsys.ranking.learned.ranker import RankerChoice
from recsys.recommender import Recommender
from recsys.search.text_index import TextIndex
from recsys.settings import RankerSettings
from recsys.tasks import TASKS
from recsys.tuning.choices import Choices

A_CLUSTER = 200
"Songs of a cluster, on the mean."
TASTES = 5
"Clusters that a listener plays."
SESSION = 10
SPREAD = 0.7
"How far a song lies from the middle of its cluster, whose length is 1."
QUICK = {"ials": {"iterations": 2}, "bpr": {"iterations": 2}}
"Settings that cost time when a source is fitted, and none when it is asked."
START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A recommender over simulated songs, and the bytes of what was fitted, by source."""

    recommender: Recommender
    bytes_of: dict[str, int]


def simulated_dataset(songs: int, listeners: int, plays: int, seed: int = 0) -> Dataset:
    """Tables in memory: `plays` by each listener; a song of ten is by the same artist."""
    rng = np.random.default_rng(seed)
    track_ids = IdMap(tuple(f"song-{row:07}" for row in range(songs)), "track")
    user_ids = IdMap(tuple(f"user-{row:07}" for row in range(listeners)), "listener")
    tracks = pl.DataFrame(
        {
            "track_id": track_ids.names,
            "title": [f"Song {row}" for row in range(songs)],
            "artist": [f"Artist {row // 10}" for row in rng.permutation(songs)],
        }
    )
    lists = {name: pl.lit(None, kind).alias(name) for name, kind in SCHEMAS["tracks"].items() if name not in tracks}
    played = _played(rng, songs, listeners, plays)
    at = np.tile(np.arange(plays), listeners)
    minutes = (at // SESSION) * 24 * 60 + (at % SESSION) * 4
    user = np.repeat(np.arange(listeners, dtype=np.int32), plays)
    listens = pl.DataFrame({"user": user, "track": played, "minutes": minutes}).select(
        "user",
        "track",
        (pl.lit(START) + pl.duration(minutes="minutes")).cast(TIME).alias("listened_at"),
        pl.lit(None, pl.Int64).alias("position"),
        pl.lit(1.0, pl.Float32).alias("played_ratio"),
        pl.lit(None, pl.String).alias("feedback"),
    )
    empty = {name: pl.DataFrame(schema=SCHEMAS[name]) for name in ("playlists", "features")}
    entries: dict[str, pl.DataType | type[pl.DataType]] = {
        "playlist": pl.Int32,
        "position": pl.Int32,
        "track": pl.Int32,
        "added_at": TIME,
    }
    return Dataset(
        root=Path(),
        tracks=tracks.with_columns(lists.values()).select(list(SCHEMAS["tracks"])),
        listens=listens,
        playlist_tracks=pl.DataFrame(schema=entries),
        track_ids=track_ids,
        user_ids=user_ids,
        playlist_ids=IdMap((), "playlist"),
        manifest=Manifest(step="dataset", facts={"simulated": True}),
        **empty,
    )


def _played(rng: np.random.Generator, songs: int, listeners: int, plays: int) -> NDArray[np.int32]:
    """(listeners * plays,) songs: of one of the listener's clusters, the first ones of it more often."""
    clusters = max(songs // A_CLUSTER, 1)
    tastes = (clusters * rng.random((listeners, TASTES)) ** 1.5).astype(np.int64)
    cluster = np.take_along_axis(tastes, rng.integers(TASTES, size=(listeners, plays)), axis=1)
    place = (A_CLUSTER * rng.random((listeners, plays)) ** 2).astype(np.int64)
    played: NDArray[np.int32] = np.minimum(cluster + place * clusters, songs - 1).ravel().astype(np.int32)
    return played


def simulated_vectors(songs: int, dimension: int, seed: int = 1) -> Vectors:
    """Unit vectors around the middle of each song's cluster."""
    rng = np.random.default_rng(seed)
    clusters = max(songs // A_CLUSTER, 1)
    middles = rng.standard_normal((clusters, dimension), dtype=np.float32)
    values = rng.standard_normal((songs, dimension), dtype=np.float32)
    values *= np.float32(SPREAD)
    values += middles[np.arange(songs) % clusters]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return Vectors(np.arange(songs, dtype=np.int32), values)


def simulated_world(
    songs: int, listeners: int, plays: int, dimension: int, backend: str, say: Callable[[str], None]
) -> World:
    """All sources of the product with their default settings, each with the same weight, and a ranker over them.

    backend: kind of the index over the vectors.
    """
    dataset, vectors = simulated_dataset(songs, listeners, plays), simulated_vectors(songs, dimension)
    index = BACKENDS[backend](dimension)
    index.add(vectors.tracks, vectors.values)
    sources: dict[str, CandidateSource] = {}
    bytes_of = {"vectors": vectors.values.nbytes, "listens": int(dataset.listens.estimated_size())}
    for name in FUSED:
        say(f"    {name}")
        if name in HTCL_NAMES:
            sources[name] = Htcl(name, vectors, index).fit(dataset)
        else:
            sources[name] = make_source(name, QUICK.get(name, {}), Likeness(vectors)).fit(dataset)
            bytes_of[name] = sum(array.nbytes for array in sources[name].state().values())
    fusion = FusionSettings(method="scores", weights=dict.fromkeys(FUSED, 1.0))
    settings: dict[str, dict[str, Any]] = {name: {} for name in FUSED}
    choices = Choices(settings=dict.fromkeys(TASKS, settings), fusion=dict.fromkeys(TASKS, fusion))
    choices.rankers = {str(task): _ranker(str(task)) for task in TASKS}
    forest = _any_forest(len(names(FUSED)), choices.ranker)
    forests = dict.fromkeys(choices.rankers, forest)
    facts = SongFacts.of(dataset, play_counts(dataset), vectors)
    fitted = FittedSources(dict.fromkeys(TASKS, sources), choices, Manifest(step="models"), facts, forests)
    texts = TextIndex.build(dataset.tracks.head(1))  # nobody searches here
    return World(Recommender(dataset, fitted, texts=texts), bytes_of)


def _ranker(task: str) -> RankerChoice:
    nothing = dict.fromkeys(("new_songs", "queries", "weighted_sum", "ranker", "deviations"), 0)
    return RankerChoice(learned_for=task, sources=list(FUSED), answers=True, columns=names([]), **nothing)


def _any_forest(columns: int, settings: RankerSettings) -> Forest:
    """As many trees and leaves as the product's, learned from noise."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(3)
    model = HistGradientBoostingClassifier(
        max_iter=settings.trees, max_leaf_nodes=settings.leaves, early_stopping=False
    )
    return Forest.of(model.fit(rng.random((2000, columns)), rng.random(2000) < 0.5))
