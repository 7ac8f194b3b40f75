"""Listeners: what each has a taste in, and how much each likes each track.

A taste is a point in audible space near a scene, and a radius that a small share of the catalogue lies within. How much
a listener likes a track in a certain mood is

    match with that taste (the largest part) + loyalty to its artist + a little for its genre + its appeal to everybody
    + something personal that no model can know.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.importers.demo.catalogue import Catalogue
from data.importers.demo.music import TASTE
from data.importers.demo.settings import DemoSettings
from data.importers.demo.words import GENRES

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

FITTING_SHARE, EDGE, STEEPNESS = 0.075, 1.5, 2.0
"A taste's radius takes in this share of the catalogue; a match falls to -EDGE there, this steeply around it."
DEEPEST = -8.0
"The match of a track that does not fit at all; one in the centre of the taste has 0."
APPEAL, PERSONAL, LOYALTY, GENRE_LIKING = 0.55, 0.2, 0.9, 0.3
"How much the other parts weigh, in the same unit: one raises the odds of a play by the factor e."


@dataclass(frozen=True)
class Listeners:
    """U listeners with P tastes altogether over N tracks."""

    first: Ints
    "(U,) the first of a listener's tastes; the others follow."
    count: Ints
    "(U,) one to three."
    weight: Floats
    "(P,) how often a listener is in the mood for a taste; sums to 1 per listener."
    centre: npt.NDArray[np.float64]
    "(P, TASTE) where in audible space a taste lies."
    match: Floats
    "(P, N) from DEEPEST to 0."
    liking: Floats
    "(U, N) what does not depend on the mood: loyalty, genre, appeal, the personal part."
    loyal: Ints
    "(U, 3) artists a listener comes back to."


def make_listeners(catalogue: Catalogue, settings: DemoSettings) -> Listeners:
    """Draw tastes around the scenes, then everything else a listener likes."""
    rng = settings.random("listeners")
    heard = catalogue.sounds[:, :TASTE]
    scenes = catalogue.scenes

    count = rng.choice([1, 2, 3], settings.listeners, p=[0.25, 0.45, 0.3])
    first = np.cumsum(count) - count
    owner = np.repeat(np.arange(settings.listeners), count)
    crowd = np.arange(1, len(scenes) + 1) ** -0.4
    scene = _distinct(crowd / crowd.sum(), settings.listeners, rng)[owner, np.arange(len(owner)) - first[owner]]
    centre = scenes[scene] + rng.normal(0, 0.22, (len(owner), TASTE))
    share = rng.gamma(4.0, size=len(owner))
    weight = (share / np.add.reduceat(share, first)[owner]).astype(np.float32)

    match = _match(centre, heard)
    best = np.maximum.reduceat(match, first, axis=0)
    loyal = _loyal_artists(best, catalogue, rng)
    loyalty = (catalogue.artist[None, :, None] == loyal[:, None, :]).any(2)
    genre = rng.normal(0, 1, (settings.listeners, len(GENRES)))[:, catalogue.genre]
    personal = rng.standard_normal(best.shape, dtype=np.float32)
    liking = LOYALTY * loyalty + GENRE_LIKING * genre + APPEAL * catalogue.appeal + PERSONAL * personal
    return Listeners(first, count, weight, centre, match, liking.astype(np.float32), loyal)


def choose(score: Floats, count: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw tracks without replacement with odds exp(score): Gumbel top-k.

    score: (R, N), -inf for what cannot be drawn. count: (R,) how many in each row; fewer where fewer can be drawn.
    Returns row and track of each draw, (K,) and (K,), row by row, likely ones first.
    """
    width = min(int(count.max(initial=0)), score.shape[1])
    noisy = score - np.log(rng.standard_exponential(score.shape, dtype=np.float32) + np.float32(1e-30))
    top = np.argpartition(-noisy, min(width, score.shape[1] - 1), axis=1)[:, :width]
    value = np.take_along_axis(noisy, top, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    top, value = np.take_along_axis(top, order, axis=1), np.take_along_axis(value, order, axis=1)
    row, place = np.nonzero((np.arange(width) < count[:, None]) & np.isfinite(value))
    return row, top[row, place]


def _match(centre: npt.NDArray[np.float64], heard: npt.NDArray[np.float64]) -> Floats:
    """(P, N) a flat hill around each taste; inside its radius lies FITTING_SHARE of the tracks, and at least eight.

    centre: (P, TASTE), heard: (N, TASTE). On the hill songs are about equal, below it they hardly matter: as log-odds,
    -EDGE * (distance / radius) ** (2 * STEEPNESS).
    """
    squared = (centre**2).sum(1)[:, None] + (heard**2).sum(1) - 2 * centre @ heard.T
    share = min(1.0, max(FITTING_SHARE, 8 / len(heard)))
    radius = np.quantile(squared, share, axis=1, keepdims=True)
    match: Floats = np.maximum(-EDGE * np.maximum(squared / radius, 0) ** STEEPNESS, DEEPEST).astype(np.float32)
    return match


def _distinct(probability: npt.NDArray[np.float64], rows: int, rng: np.random.Generator) -> Ints:
    """(rows, >= 3) scenes, different ones within a row as far as there are enough."""
    order = np.argsort(-(np.log(probability) + rng.gumbel(size=(rows, len(probability)))), axis=1)
    return np.resize(order.T, (max(3, len(probability)), rows)).T


def _loyal_artists(best: Floats, catalogue: Catalogue, rng: np.random.Generator) -> Ints:
    """(U, 3) artists of tracks that fit a listener; sometimes the same one twice."""
    _, track = choose(best * 1.5 + np.float32(0.5) * catalogue.appeal.astype(np.float32), np.full(len(best), 3), rng)
    artists: Ints = catalogue.artist[track].reshape(len(best), 3)
    return artists
