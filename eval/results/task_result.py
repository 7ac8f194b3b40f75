"""The result of one task: what a report's JSON holds, and what tables, comparisons and pages read.

Reports of earlier versions lack some of the fields that are not required; readers use `get` for these.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from eval.statistics import Interval


class DatasetFacts(TypedDict):
    """What the numbers were measured on."""

    name: str
    simulated: bool
    summary: str
    fingerprint: str


class Protocol(TypedDict):
    """How it was measured. queries, targets, listeners: slice (`cold/`; `all`) -> how many."""

    text: str
    queries: dict[str, int]
    catalogue: int
    intervals: str
    split: str
    fitted: NotRequired[str]
    targets: NotRequired[dict[str, int]]
    listeners: NotRequired[dict[str, int]]
    "Who asks them: listeners, or playlists."
    depth: NotRequired[int]
    slices: NotRequired[str]
    family: NotRequired[str]
    notes: NotRequired[Sequence[str]]
    hidden: NotRequired[dict[str, Any]]
    "Which songs were kept from the models: share, by, seed, songs, of_songs, and artists, of_artists if by artist."
    external: NotRequired[dict[str, str]]
    folds: NotRequired[int]
    labels: NotRequired[dict[str, int]]
    seeds: NotRequired[int | None]
    "Songs given of each playlist, None is the first half. Only of the task playlist."


class Spread(TypedDict):
    """How far several trainings of a model lie apart by one metric."""

    mean: float
    deviation: float
    low: float
    high: float
    values: list[float]


class Repeats(TypedDict):
    """models: model -> metric -> spread."""

    trainings: int
    models: dict[str, dict[str, Spread]]


class TaskResult(TypedDict):
    """models: model -> `eval.metrics.metric.Metric` as text -> mean and interval. tests: paired, Holm over all."""

    task: str
    dataset: DatasetFacts
    protocol: Protocol
    models: dict[str, dict[str, Interval]]
    tests: list[dict[str, Any]]
    seconds: float
    scenario: NotRequired[str]
    beyond: NotRequired[dict[str, Any]]
    curves: NotRequired[dict[str, Any]]
    stage2_gain: NotRequired[dict[str, dict[str, Any]]]
    semantic_cost: NotRequired[dict[str, dict[str, float]]]
    seconds_per_model: NotRequired[dict[str, float]]
    chosen_on_validation: NotRequired[Mapping[str, Any]]
    repeats: NotRequired[Repeats]
