"""Candidate sources at the size of a test: four blocks of songs, their vectors, and queries."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.dataset import POSITIVE, Dataset
from encoders.encoding.vector_files import Vectors
from recsys.candidates import OVER_VECTORS, SETTINGS, SOURCES, CandidateSource, Htcl, HtclSettings, Likeness
from recsys.fitted.store import exact_index, make_source
from recsys.queries import EVIDENCE, Query
from recsys.ranked import Ranked

START = datetime(2025, 3, 1, tzinfo=UTC)
BLOCKS = ("ambient", "metal", "swing", "techno")
MUTE = "techno-11"
"The song without a vector."


def block_vectors(dataset: Dataset) -> Vectors:
    """Songs of a block lie close together; one song has no vector."""
    rng = np.random.default_rng(5)
    tracks = [row for row, name in enumerate(dataset.track_ids.names) if name != MUTE]
    centres = np.eye(8)[[BLOCKS.index(dataset.track_ids.names[row].split("-")[0]) for row in tracks]]
    values = centres + 0.2 * rng.normal(size=centres.shape)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return Vectors(np.array(tracks, np.int32), values.astype(np.float32))


def block_features(dataset: Dataset) -> pl.DataFrame:
    """The same with columns of very different size and place, and one that never changes; of the same songs."""
    vectors = block_vectors(dataset)
    values = vectors.values * 10.0 ** np.arange(-3, 5) + np.arange(8) * 1000
    values = np.column_stack([values, np.full(len(values), 0.1)])
    return pl.DataFrame(
        {"track_id": dataset.track_ids.to_names(vectors.tracks), "features": values.tolist()},
        schema_overrides={"features": pl.List(pl.Float32)},
    )


def read_blocks(texts: list[str]) -> NDArray[np.float32]:
    """A text means the blocks it names; any other text means nothing in particular."""
    found = [[float(block in text) for block in BLOCKS] + [0.0, 0.0, 0.0, 0.1] for text in texts]
    return np.array(found, np.float32)


def make(name: str, dataset: Dataset, **settings: object) -> CandidateSource:
    """An unfitted source. What was played last is answered again, unless a test lets it rest."""
    kind = HtclSettings if name == "htcl" else SETTINGS[name]
    settings = ({"rest": False} if "rest" in kind.model_fields else {}) | settings
    if name in SOURCES and name not in OVER_VECTORS:
        return make_source(name, settings)
    vectors = block_vectors(dataset)
    if name != "htcl":
        return make_source(name, settings, Likeness(vectors))
    return Htcl("htcl", vectors, exact_index(vectors), read_blocks, HtclSettings(**settings))


def songs(dataset: Dataset, *names: str) -> NDArray[np.int32]:
    return dataset.track_ids.to_rows(names)


def block_of(dataset: Dataset, tracks: Sequence[int]) -> list[str]:
    return [name.split("-")[0] for name in dataset.track_ids.to_names(tracks)]


def many_queries(dataset: Dataset, count: int = 24, seed: int = 1) -> list[Query]:
    """Histories of 0 to 30 songs, with and without evidence, listeners, texts and exclusions."""
    rng = np.random.default_rng(seed)
    queries = []
    for number in range(count):
        history = rng.integers(len(dataset.track_ids), size=rng.integers(31) if number else 0).astype(np.int32)
        queries.append(
            Query(
                history=history,
                evidence=rng.choice([2.0, 1.0, 1.0, 0.0, -0.5], len(history)).astype(np.float32)
                if number % 2
                else None,
                user=int(rng.integers(len(dataset.user_ids))) if number % 3 else None,
                text=str(rng.choice([*BLOCKS, "something else"])) if number % 4 == 0 else None,
                exclude=np.unique(history) if number % 5 else rng.integers(40, size=5).astype(np.int32),
            )
        )
    return queries


def assert_same(found: Ranked, expected: Ranked) -> None:
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.tracks, expected.tracks)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)


def now(moments: list[Any]) -> Any:
    """The latest moment but for a thousandth of them, at least three and at most a tenth."""
    odd = min(max(3, len(moments) // 1000), len(moments) // 10)
    return sorted(moments)[len(moments) - 1 - odd]


def training_matrix(dataset: Dataset, half_life_days: float | None = None) -> NDArray[np.float64]:
    """Listeners, then playlists, by songs: log2(1 + evidence of wanted plays), 1 for entries; row by row.

    half_life_days: a play counts half so many days before now.
    """
    listeners = len(dataset.user_ids)
    matrix = np.zeros((listeners + len(dataset.playlist_ids), len(dataset.track_ids)))
    plays = dataset.listens.filter(POSITIVE).select("user", "track", "listened_at", EVIDENCE.alias("value"))
    latest = now(plays["listened_at"].to_list())
    for user, track, moment, value in plays.iter_rows():
        age = max(0.0, (latest - moment).total_seconds()) / 86_400
        days = 0.0 if half_life_days is None else age / half_life_days
        matrix[user, track] += value * 0.5**days
    matrix = np.log2(1 + np.maximum(matrix, 0))
    for playlist, track in dataset.playlist_tracks.select(pl.col("playlist", "track")).iter_rows():
        matrix[listeners + playlist, track] = 1
    return matrix


def history_weights(query: Query, tracks: int, half_life: float | None) -> NDArray[np.float64]:
    """(N,) evidence per song, halved every `half_life` plays back from the latest; None does not halve it."""
    weights = np.zeros(tracks)
    for age, place in enumerate(range(len(query.history) - 1, -1, -1)):
        evidence = 1.0 if query.evidence is None else float(query.evidence[place])
        weights[query.history[place]] += evidence * (1 if half_life is None else 0.5 ** (age / half_life))
    return weights


def history_shares(query: Query, tracks: int, half_life: float | None) -> NDArray[np.float64]:
    """(N,) the weights as shares of all, whatever their sign."""
    weights = history_weights(query, tracks, half_life)
    return weights / max(np.abs(weights).sum(), 1e-9)


def without_themselves(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """What songs say for others, in units of what the best one gets in the mean."""
    others = similarity - np.diag(np.diag(similarity))
    best = others.max(axis=1)
    return others / best[best > 0].mean()


def answer_of_history(
    query: Query,
    others: NDArray[np.float64],
    known: NDArray[np.bool_],
    half_life: float | None,
    again: float,
    again_half_life: float | None,
) -> NDArray[np.float64]:
    """(N,) what the songs of a history say for others (N, N), and for hearing themselves again."""
    said = history_shares(query, len(others), half_life) @ others
    return said + again * history_shares(query, len(others), again_half_life) * known


SONGS = 20


def cycle_world(publish: Callable[..., Dataset]) -> Dataset:
    """20 songs in a ring: whoever plays one plays the next; sessions of 4 songs, and a song that nobody plays."""
    rng = np.random.default_rng(3)
    rows = []
    for user in range(30):
        for session in range(6):
            start = int(rng.integers(SONGS))
            for place in range(4):
                moment = START + timedelta(days=session, minutes=4 * place)
                rows.append((f"u{user}", f"s{(start + place) % SONGS:02}", moment))
    listens = pl.DataFrame(rows, schema=["user_id", "track_id", "listened_at"], orient="row")
    return publish(tracks=pl.DataFrame({"track_id": [f"s{number:02}" for number in range(SONGS + 1)]}), listens=listens)
