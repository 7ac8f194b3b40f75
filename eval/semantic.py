"""What do the vectors know of a song? Linear probes, zero-shot tagging by words, and retrieval between sound and text.

Measured on songs that took part in no training (`Split.held_out_only`). A probe learns from the other songs, and for
genre, language and tags from those by other artists alone: it would otherwise learn to tell artists.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.progress import meter
from data.split import Split
from eval.measure import describe
from eval.probes import (
    Floats,
    Ints,
    frequent,
    macro_average_precision,
    macro_f1,
    macro_roc_auc,
    median,
    probe,
    resampled,
    resampled_difference,
)
from eval.spaces import Space
from eval.statistics import Interval, bootstrap_intervals, compare_all
from recsys.models import HTCL_NAMES

CUTOFFS = (1, 5, 10)
LEAST = 5
"""Training songs a label needs; a tag also as many test songs."""
COLUMNS = [
    "text_to_audio_recall@10",
    "audio_to_text_recall@10",
    "probe_genre_accuracy",
    "probe_tags_roc_auc",
    "probe_album_accuracy",
    "zero_shot_tags_roc_auc",
]
SINGLE = ("genre", "language", "album")
"""Labels of which a song has one at most."""


@dataclass(frozen=True)
class Songs:
    """Who is measured on what. train, test: track rows. groups: (N,) artists; songs of unknown ones stand alone.

    labels: kind -> for every track its labels, none or several.
    """

    train: Ints
    test: Ints
    groups: Ints
    labels: Mapping[str, Sequence[Sequence[str]]]

    @classmethod
    def of(cls, dataset: Dataset, train: Ints, test: Ints) -> "Songs":
        artists = dataset.artists.astype(np.int64)
        groups = np.where(artists < 0, len(artists) + np.arange(len(artists)), artists)
        tracks = dataset.tracks
        labels: dict[str, list[list[str]]] = {
            "genre": [(row or [])[:1] for row in tracks["genres"].to_list()],
            "tags": [row or [] for row in tracks["tags"].to_list()],
        }
        for kind in ("language", "album"):
            labels[kind] = [[] if row is None else [row] for row in tracks[kind].to_list()]
        return cls(train, test, groups, labels)

    def sides(self, kind: str) -> tuple[list[str], Ints, Ints]:
        """The labels that can be probed, and the training and test songs that have any; no artist on both sides.

        An album is mostly by one artist, so there the songs alone are kept apart.
        """
        labels = self.labels[kind]
        test = np.array([row for row in self.test if labels[row]], np.int64)
        train = np.array([row for row in self.train if labels[row]], np.int64)
        if kind != "album":
            train = train[~np.isin(self.groups[train], self.groups[test])]
        if len(np.unique(self.folds(kind)[train])) < 2:
            return [], train, test
        classes = frequent(labels, train, LEAST)
        if kind == "tags":
            asked = frequent(labels, test, LEAST)
            return [name for name in classes if name in asked], train, test
        known = set(classes)
        train, test = (np.array([row for row in side if labels[row][0] in known], np.int64) for side in (train, test))
        return classes, train, test

    def folds(self, kind: str) -> Ints:
        """(N,) what a probe's own cross-validation keeps together: artists, or songs where albums are told apart.

        With artists apart, no album of the one side would be on the other, and every strength would look useless.
        """
        return np.arange(len(self.groups)) if kind == "album" else self.groups

    def has(self, kind: str, names: Sequence[str]) -> NDArray[np.bool_]:
        """(N, len(names)) which track has which label."""
        return np.array([[name in row for name in names] for row in self.labels[kind]], np.bool_)


@dataclass(frozen=True)
class Measured:
    """What one model reached: `intervals` of all metrics.

    values, groups: of a metric that is a mean over songs, one value and one artist per song. sampled: of another, the
    function, the artists, and what it takes.
    """

    intervals: dict[str, Interval] = field(default_factory=dict)
    values: dict[str, Floats] = field(default_factory=dict)
    groups: dict[str, Ints] = field(default_factory=dict)
    sampled: dict[str, tuple[Callable[..., float], Ints, tuple[NDArray[Any], ...]]] = field(default_factory=dict)

    def add(self, metric: str, values: NDArray[Any], groups: Ints) -> None:
        """A metric that is a mean over songs."""
        self.values[metric], self.groups[metric] = np.asarray(values, np.float64), groups
        self.intervals.update(bootstrap_intervals({metric: self.values[metric]}, groups=groups))

    def add_sampled(self, metric: str, of: Callable[..., float], groups: Ints, *columns: NDArray[Any]) -> None:
        """A metric that is none: `of` the columns, a row per song each."""
        self.sampled[metric] = of, groups, columns
        self.intervals[metric] = resampled(of, groups, *columns)


def measure_semantic(dataset: Dataset, split: Split, spaces: Mapping[str, Space]) -> dict[str, Any]:
    """The result as it goes into JSON. Raises UserError where too few held-out songs have a vector in every space."""
    started = time.monotonic()
    known = np.all([~np.isnan(space.features[:, 0]) for space in spaces.values()], axis=0)
    test, train = np.flatnonzero(split.unseen & known), np.flatnonzero(~split.unseen & known)
    if min(len(test), len(train)) < 2 * LEAST:
        raise UserError(
            f"nothing to measure for semantic: {len(test)} held-out songs of {dataset.summary()} have vectors",
            "Take another --task, or more data.",
        )
    songs = Songs.of(dataset, train, test)
    found: dict[str, Measured] = {}
    with meter("semantic", len(spaces)) as progress:
        for name, space in spaces.items():
            found[name] = Measured()
            _probe_all(space, songs, found[name])
            _zero_shot(space, songs, found[name])
            _retrieve(space, songs, found[name])
            progress.advance(name)
    tests = _tests(found)
    external = {name: space.origin for name, space in spaces.items() if space.origin}
    notes = ["fused vectors read the text that the labels stand in"] if "fused" in spaces else []
    if external:
        notes.append(f"whether {', '.join(external)} learned from these very songs is not known here")
    return {
        "task": "semantic",
        "dataset": describe(dataset),
        "protocol": {
            "text": "songs that took part in no training, that with validation folded in included; probes of genre, "
            "language and tags learn from songs by other artists, those of albums from other songs; retrieval among "
            "the held-out songs with audio and text",
            "notes": notes,
            "external": external,
            "queries": {"all": len(test)},
            "labels": {kind: len(songs.sides(kind)[0]) for kind in songs.labels},
            "catalogue": len(dataset.track_ids),
            "intervals": "95 % percentile bootstrap over artists",
            "split": split.fingerprint,
        },
        "models": {"chance": _chance(songs, spaces)} | {name: one.intervals for name, one in found.items()},
        "tests": tests,
        "semantic_cost": _cost(found, tests),
        "seconds": round(time.monotonic() - started, 2),
    }


def _probe_all(space: Space, songs: Songs, found: Measured) -> None:
    for kind in SINGLE:
        classes, train, test = songs.sides(kind)
        if len(classes) < 2 or len(test) < LEAST:
            continue
        has = songs.has(kind, classes)
        right = has[test].argmax(axis=1)
        answers = probe(space.features, has, songs.folds(kind), train, test).argmax(axis=1)
        groups = songs.groups[test]
        found.add(f"probe_{kind}_accuracy", answers == right, groups)
        found.add_sampled(f"probe_{kind}_macro_f1", macro_f1, groups, right, answers)
    tags, train, test = songs.sides("tags")
    if tags and len(test) >= LEAST:
        has = songs.has("tags", tags)
        scores = probe(space.features, has, songs.folds("tags"), train, test)
        _add_tags(found, "probe", has[test], scores, songs.groups[test])


def _zero_shot(space: Space, songs: Songs, found: Measured) -> None:
    """Each song's tags by how near its sound lies to the word alone."""
    if space.audio is None or space.encode is None:
        return
    genres, _, test = songs.sides("genre")
    if len(genres) > 1 and len(test) >= LEAST:
        answers = (space.audio[test] @ space.encode(genres).T).argmax(axis=1)
        right = [genres.index(songs.labels["genre"][row][0]) for row in test]
        found.add("zero_shot_genre_accuracy", answers == right, songs.groups[test])
    tags, _, test = songs.sides("tags")
    if tags:
        scores = (space.audio[test] @ space.encode(tags).T).astype(np.float64)
        _add_tags(found, "zero_shot", songs.has("tags", tags)[test], scores, songs.groups[test])


def _retrieve(space: Space, songs: Songs, found: Measured) -> None:
    """Does a held-out song's text find its sound among all held-out sounds, and the other way round?"""
    if space.audio is None or space.text is None:
        return
    rows = songs.test[~np.isnan(space.text[songs.test, 0])]
    if len(rows) < 2:
        return
    cosines = space.text[rows] @ space.audio[rows].T
    for name, matrix in (("text_to_audio", cosines), ("audio_to_text", cosines.T)):
        rank = 1 + (matrix > np.diagonal(matrix)[:, None]).sum(axis=1)
        groups = songs.groups[rows]
        for k in CUTOFFS:
            found.add(f"{name}_recall@{k}", rank <= k, groups)
        found.add_sampled(f"{name}_median_rank", median, groups, rank)


def _add_tags(found: Measured, prefix: str, right: NDArray[np.bool_], scores: Floats, groups: Ints) -> None:
    for metric, of in (("roc_auc", macro_roc_auc), ("pr_auc", macro_average_precision)):
        found.add_sampled(f"{prefix}_tags_{metric}", of, groups, right, scores)


def _chance(songs: Songs, spaces: Mapping[str, Space]) -> dict[str, Interval]:
    """What guessing reaches: the most frequent class, any order of tags, any song."""

    def exactly(value: float) -> Interval:
        return Interval(mean=value, low=value, high=value)

    found: dict[str, Interval] = {}
    for kind in SINGLE:
        classes, train, test = songs.sides(kind)
        if len(classes) >= 2 and len(test) >= LEAST:
            of = songs.labels[kind]
            names, counts = np.unique([of[row][0] for row in train], return_counts=True)
            most = str(names[counts.argmax()])
            found[f"probe_{kind}_accuracy"] = exactly(float(np.mean([of[row][0] == most for row in test])))
    tags, _, test = songs.sides("tags")
    if tags:
        share = float(songs.has("tags", tags)[test].mean())
        for prefix in ("probe", "zero_shot"):
            found |= {f"{prefix}_tags_roc_auc": exactly(0.5), f"{prefix}_tags_pr_auc": exactly(share)}
    pairs = [space.text for space in spaces.values() if space.text is not None and space.audio is not None]
    if pairs:
        count = int((~np.isnan(pairs[0][songs.test, 0])).sum())
        for way in ("text_to_audio", "audio_to_text"):
            found |= {f"{way}_recall@{k}": exactly(min(1.0, k / count)) for k in CUTOFFS if count}
            found[f"{way}_median_rank"] = exactly((count + 1) / 2)
    return found


def _tests(found: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """Each model against mel statistics, and what stage 2 costs against stage 1."""
    tests: list[dict[str, Any]] = []
    metrics = dict.fromkeys(metric for one in found.values() for metric in one.values)
    for metric in metrics:
        values = {name: one.values[metric] for name, one in found.items() if metric in one.values}
        groups = next(one.groups[metric] for one in found.values() if metric in one.groups)
        stages = {name: values[name] for name in HTCL_NAMES if name in values}
        for compared, baseline in ((values, "mel"), (stages, "htcl-stage1")):
            tests += [dict(row) for row in compare_all(compared, metric=metric, baselines={baseline}, groups=groups)]
    return tests


def _cost(found: Mapping[str, Measured], tests: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Stage 2 minus stage 1 on every metric that both have, with the paired interval."""
    before, after = HTCL_NAMES
    if before not in found or after not in found:
        return {}
    cost = {
        test["metric"]: {end: float(test[end]) for end in ("difference", "low", "high")}
        for test in tests
        if (test["model"], test["baseline"]) == (after, before)
    }
    for metric, (of, groups, columns) in found[after].sampled.items():
        if metric in found[before].sampled:
            interval = resampled_difference(of, groups, columns, found[before].sampled[metric][2])
            cost[metric] = {"difference": interval["mean"], "low": interval["low"], "high": interval["high"]}
    return cost
