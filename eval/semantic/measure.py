"""Semantic evaluation of vectors: linear probes, zero-shot tagging by words, retrieval between sound and text.

Measured on songs that the encoder has not met: those that took part in no training of the encoders that settings are
chosen with (`Split.held_out_only`), or, in folds, all of them, each by an encoder that was trained on the other folds.
A probe learns from the songs that the encoder knows, and for genre, language and tags from those by other artists
alone: it would otherwise learn to tell artists.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.reporting import meter
from data.split import Split
from encoders.encoding.retrieval import ranks_of_own
from eval.measurement import describe
from eval.results.task_result import TaskResult
from eval.semantic.embeddings import Embedding
from eval.semantic.probes import (
    Floats,
    Ints,
    Sample,
    frequent,
    macro_average_precision,
    macro_f1,
    macro_roc_auc,
    median,
    probe,
    resampled,
    resampled_difference,
)
from eval.statistics import Comparison, Interval, adjust, bootstrap_intervals, compare_all
from recsys.line_up import HTCL_NAMES

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
class ProbedSongs:
    """Who is measured on what. train, test: track rows. groups: (N,) artists; songs of unknown ones stand alone.

    labels: kind -> for every track its labels, none or several.
    """

    train: Ints
    test: Ints
    groups: Ints
    labels: Mapping[str, Sequence[Sequence[str]]]

    @classmethod
    def of(cls, dataset: Dataset, train: Ints, test: Ints) -> "ProbedSongs":
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
        apart = len(np.unique(self.folds(kind)[train]))
        return classes if apart > 1 else [], train, test

    def folds(self, kind: str) -> Ints:
        """(N,) what a probe's own cross-validation keeps together: artists, or songs where albums are told apart.

        With artists apart, no album of the one side would be on the other, and every strength would look useless.
        """
        return np.arange(len(self.groups)) if kind == "album" else self.groups

    def has(self, kind: str, names: Sequence[str]) -> NDArray[np.bool_]:
        """(N, len(names)) which track has which label."""
        return np.array([[name in row for name in names] for row in self.labels[kind]], np.bool_)


@dataclass(frozen=True)
class Fold:
    """Songs that an encoder has not met, (N,) bool, and what it (and everything it is compared with) makes of them."""

    unseen: NDArray[np.bool_]
    embeddings: Mapping[str, Embedding]

    def songs(self, dataset: Dataset) -> ProbedSongs:
        """Those with a vector in every space. Raises UserError where these are too few."""
        known = np.all([~np.isnan(space.features[:, 0]) for space in self.embeddings.values()], axis=0)
        test, train = np.flatnonzero(self.unseen & known), np.flatnonzero(~self.unseen & known)
        if min(len(test), len(train)) < 2 * LEAST:
            raise UserError(
                f"nothing to measure for semantic: {len(test)} held-out songs of {dataset.summary()} have vectors",
                "Take another --task, or more data.",
            )
        return ProbedSongs.of(dataset, train, test)


@dataclass(frozen=True)
class Measured:
    """What one model reached, fold by fold.

    values, groups: of a metric that is a mean over songs, one value and one artist per song. sampled: of another, the
    function, and of each fold the artists and what it takes.
    """

    values: dict[str, list[Floats]] = field(default_factory=dict)
    groups: dict[str, list[Ints]] = field(default_factory=dict)
    sampled: dict[str, tuple[Callable[..., float], list[Sample]]] = field(default_factory=dict)

    def add(self, metric: str, values: NDArray[Any], groups: Ints) -> None:
        """A metric that is a mean over songs: of all folds' songs together."""
        self.values.setdefault(metric, []).append(np.asarray(values, np.float64))
        self.groups.setdefault(metric, []).append(groups)

    def add_sampled(self, metric: str, of: Callable[..., float], groups: Ints, *columns: NDArray[Any]) -> None:
        """A metric that is none: `of` the columns, a row per song each; the mean over folds."""
        self.sampled.setdefault(metric, (of, []))[1].append((groups, columns))

    def together(self) -> tuple[dict[str, Floats], dict[str, Ints]]:
        """The values and artists of all folds."""
        values = {metric: np.concatenate(of_folds) for metric, of_folds in self.values.items()}
        return values, {metric: np.concatenate(of_folds) for metric, of_folds in self.groups.items()}

    def intervals(self) -> dict[str, Interval]:
        """Every metric with its 95 % interval over artists."""
        values, groups = self.together()
        found: dict[str, Interval] = {}
        for metric, of_songs in values.items():
            found |= bootstrap_intervals({metric: of_songs}, groups=groups[metric])
        return found | {metric: resampled(of, *samples) for metric, (of, samples) in self.sampled.items()}


def measure_semantic(dataset: Dataset, split: Split, folds: Sequence[Fold]) -> TaskResult:
    """The result as it goes into JSON. Raises UserError where too few held-out songs have a vector in every space.

    folds: one, of the songs that took part in no training; or several, that together hold every song once.
    """
    started = time.monotonic()
    spaces = folds[0].embeddings
    found, chance = {name: Measured() for name in spaces}, Measured()
    of_folds = [fold.songs(dataset) for fold in folds]
    with meter("semantic", len(folds) * len(spaces)) as progress:
        for fold, songs in zip(folds, of_folds, strict=True):
            _chance(songs, fold.embeddings, chance)
            for name, space in fold.embeddings.items():
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
            "text": f"{_whom(len(folds))}; probes of genre, language and tags learn from songs by other artists, those "
            "of albums from other songs; retrieval among the held-out songs (of the fold) with audio and text",
            "notes": notes,
            "external": external,
            "queries": {"all": sum(len(songs.test) for songs in of_folds)},
            "folds": len(folds),
            "labels": {kind: max(len(songs.sides(kind)[0]) for songs in of_folds) for kind in of_folds[0].labels},
            "catalogue": len(dataset.track_ids),
            "intervals": "95 % percentile bootstrap over artists",
            "split": split.fingerprint,
        },
        "models": {"chance": _exactly(chance)} | {name: one.intervals() for name, one in found.items()},
        "tests": tests,
        "semantic_cost": _cost(found, tests),
        "seconds": round(time.monotonic() - started, 2),
    }


def _whom(folds: int) -> str:
    if folds == 1:
        return "songs that took part in no training of the encoders, which are those that settings are chosen with"
    return (
        f"every song, in {folds} folds, by an encoder trained as the workspace's was but on the other folds alone; "
        "means are over songs, areas and medians over folds"
    )


def _probe_all(space: Embedding, songs: ProbedSongs, found: Measured) -> None:
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


def _zero_shot(space: Embedding, songs: ProbedSongs, found: Measured) -> None:
    """Zero-shot tagging: a tag's score is the cosine of the song's sound and the word."""
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


def _retrieve(space: Embedding, songs: ProbedSongs, found: Measured) -> None:
    """Does a held-out song's text find its sound among all held-out sounds, and the other way round?"""
    if space.audio is None or space.text is None:
        return
    rows = songs.test[~np.isnan(space.text[songs.test, 0])]
    if len(rows) < 2:
        return
    cosines = torch.from_numpy(space.text[rows] @ space.audio[rows].T)
    for name, matrix in (("text_to_audio", cosines), ("audio_to_text", cosines.T)):
        rank = ranks_of_own(matrix).numpy()
        groups = songs.groups[rows]
        for k in CUTOFFS:
            found.add(f"{name}_recall@{k}", rank <= k, groups)
        found.add_sampled(f"{name}_median_rank", median, groups, rank)


def _add_tags(found: Measured, prefix: str, right: NDArray[np.bool_], scores: Floats, groups: Ints) -> None:
    for metric, of in (("roc_auc", macro_roc_auc), ("pr_auc", macro_average_precision)):
        found.add_sampled(f"{prefix}_tags_{metric}", of, groups, right, scores)


def _chance(songs: ProbedSongs, spaces: Mapping[str, Embedding], found: Measured) -> None:
    """What guessing reaches: the most frequent class, any order of tags, any song."""
    by_words = any(space.encode is not None for space in spaces.values())
    for kind in SINGLE:
        classes, train, test = songs.sides(kind)
        if len(classes) >= 2 and len(test) >= LEAST:
            of = songs.labels[kind]
            names, counts = np.unique([of[row][0] for row in train], return_counts=True)
            most = str(names[counts.argmax()])
            guessed, right = np.full(len(test), most), np.array([of[row][0] for row in test])
            found.add(f"probe_{kind}_accuracy", guessed == right, songs.groups[test])
            found.add(f"probe_{kind}_macro_f1", np.array([macro_f1(right, guessed)]), songs.groups[test][:1])
            if kind == "genre" and by_words:
                found.add("zero_shot_genre_accuracy", guessed == right, songs.groups[test])
    tags, _, test = songs.sides("tags")
    if tags:
        share = float(songs.has("tags", tags)[test].mean())
        for prefix in ("probe", "zero_shot") if by_words else ("probe",):
            for metric, value in (("roc_auc", 0.5), ("pr_auc", share)):
                found.add(f"{prefix}_tags_{metric}", np.array([value]), songs.groups[test][:1])
    pairs = [space.text for space in spaces.values() if space.text is not None and space.audio is not None]
    if pairs:
        rows = songs.test[~np.isnan(pairs[0][songs.test, 0])]
        for way in ("text_to_audio", "audio_to_text"):
            for k in CUTOFFS:
                share = min(1.0, k / max(1, len(rows)))
                found.add(f"{way}_recall@{k}", np.full(len(rows), share), songs.groups[rows])
            found.add(f"{way}_median_rank", np.array([(len(rows) + 1) / 2]), songs.groups[rows][:1])


def _exactly(chance: Measured) -> dict[str, Interval]:
    means = {metric: float(values.mean()) for metric, values in chance.together()[0].items() if len(values)}
    return {metric: Interval(mean=value, low=value, high=value) for metric, value in means.items()}


def _tests(found: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """Each model against mel statistics, and what stage 2 costs against stage 1: two families, each of all metrics."""
    families: dict[str, list[Comparison]] = {"mel": [], "htcl-stage1": []}
    together = {name: one.together() for name, one in found.items()}
    metrics = dict.fromkeys(metric for values, _ in together.values() for metric in values)
    for metric in metrics:
        values = {name: of_songs[metric] for name, (of_songs, _) in together.items() if metric in of_songs}
        groups = next(of_songs[metric] for _, of_songs in together.values() if metric in of_songs)
        stages = {name: values[name] for name in HTCL_NAMES if name in values}
        for compared, baseline in ((values, "mel"), (stages, "htcl-stage1")):
            families[baseline] += compare_all(compared, metric=metric, baselines={baseline}, groups=groups)
    return [dict(test) for family in families.values() for test in adjust(family)]


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
    for metric, (of, samples) in found[after].sampled.items():
        if metric in found[before].sampled:
            interval = resampled_difference(of, samples, found[before].sampled[metric][1])
            cost[metric] = {"difference": interval["mean"], "low": interval["low"], "high": interval["high"]}
    return cost
