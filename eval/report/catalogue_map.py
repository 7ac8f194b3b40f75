"""The catalogue in two dimensions: songs whose vectors are near each other lie near each other.

t-SNE from a PCA start with a fixed seed, on at most 5,000 songs: neighbourhoods are what HTCL is asked for, and PCA's
two first axes hold only a small part of them. Distances between far groups say nothing, which the page tells.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from data.reporting import logger
from encoders.encoding.vector_files import Vectors

log = logger(__name__)

MOST = 5000
"Songs that are drawn; t-SNE of as many takes about half a minute on one core."
LEAST = 12
"Fewer songs are placed by PCA."
COLOURS = 7
"Labels with a colour of their own; the palette that colour-blind readers tell apart has no more."
SIZE = 1000.0
REST, NONE = "other", "unknown"
SEED = 0


class Dot(NamedTuple):
    """A song: its place in 0..1000, its hover title, and the number of its label in each view."""

    x: float
    y: float
    title: str
    labels: tuple[int, ...]


class Colouring(NamedTuple):
    """A way to colour: its name, and (label, songs) by number. The last two are `other` and `unknown`."""

    name: str
    legend: tuple[tuple[str, int], ...]


class CatalogueMap(NamedTuple):
    dots: tuple[Dot, ...]
    views: tuple[Colouring, ...]
    method: str


def catalogue_map(dataset: Dataset, vectors: Vectors, most: int = MOST) -> CatalogueMap | None:
    """The map of the songs that have a vector, a random `most` of them; None where fewer than three have one."""
    chosen = np.arange(len(vectors.tracks))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(SEED).choice(chosen, most, replace=False))
    if len(chosen) < 3:
        return None
    log.info(f"Placing {len(chosen):,} songs on the map (5,000 take about half a minute)")
    places, method = place(vectors.values[chosen])
    if len(chosen) < len(vectors.tracks):
        method += f"; {len(chosen):,} of {len(vectors.tracks):,} songs, drawn at random"
    tracks = dataset.tracks[vectors.tracks[chosen].tolist()]
    views, numbers = [], []
    for name, column in (("genre", "genres"), ("tag", "tags")):
        firsts = [row[0] if row else None for row in tracks[column].to_list()]
        if name == "genre" or any(firsts):
            view, of_view = colour(name, firsts)
            views.append(view)
            numbers.append(of_view)
    titles = [_title(row, tracks["track_id"][at]) for at, row in enumerate(tracks.iter_rows(named=True))]
    dots = (
        Dot(round(float(x), 1), round(float(y), 1), title, labels)
        for (x, y), title, labels in zip(places, titles, zip(*numbers, strict=True), strict=True)
    )
    return CatalogueMap(tuple(dots), tuple(views), method)


def place(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """(M, D) vectors to (M, 2) places within 0..1000, and how that was done. The same vectors give the same places."""
    with threadpool_limits(limits=1):
        if len(values) < LEAST:
            flat = PCA(n_components=2, random_state=SEED).fit_transform(values.astype(np.float64))
            method = "the first two axes of a PCA"
        else:
            perplexity = min(30.0, (len(values) - 1) / 3)
            flat = TSNE(n_components=2, init="pca", perplexity=perplexity, random_state=SEED).fit_transform(values)
            method = f"t-SNE from a PCA start, perplexity {perplexity:.0f}, seed {SEED}"
    low, high = flat.min(axis=0), flat.max(axis=0)
    scaled: NDArray[np.float64] = (flat - low) / np.maximum(high - low, 1e-9) * SIZE
    return scaled, method


def colour(name: str, labels: Sequence[str | None]) -> tuple[Colouring, list[int]]:
    """The most frequent labels get a number of their own, the others share one, songs without any another."""
    counts = Counter(label for label in labels if label)
    named = [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:COLOURS]]
    number = {label: at for at, label in enumerate(named)}
    numbers = [number.get(label, COLOURS) if label else COLOURS + 1 for label in labels]
    songs = Counter(numbers)
    legend = tuple((label, songs[at]) for at, label in enumerate([*named, *[""] * (COLOURS - len(named)), REST, NONE]))
    return Colouring(name, legend), numbers


def _title(row: dict[str, object], track_id: str) -> str:
    words = " — ".join(str(each) for each in (row["title"] or track_id, row["artist"]) if each)
    genres = row["genres"]
    return f"{words} ({', '.join(map(str, genres))})" if isinstance(genres, list) and genres else words
