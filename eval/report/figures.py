"""Reading an evaluation's JSON: which models, slices and metrics there are, and how a number is written."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from eval.metrics.metric import Metric
from eval.metrics.registry import lower_is_better
from eval.results.task_result import TaskResult
from eval.results.terminal import label
from recsys.line_up import HTCL_NAMES
from recsys.line_up import SOURCE_NAMES as BASELINES

HEADLINE = "ndcg@100"
"What models are chosen and compared by."
OURS = ("fused", *reversed(HTCL_NAMES))
PLAIN_STYLE = "other"
"The style of a model that is drawn in grey."
KINDS = {
    "Songs given": "seeds:",
    "Plays of the listener so far": "history:",
}
"""Families of slices that stand in an order, and how their prefixes begin."""
POPULARITY = ("head", "mid", "tail")


class Figure(NamedTuple):
    """A mean with the ends of its interval; both ends are the mean where none was measured."""

    mean: float
    low: float
    high: float


class Slices(NamedTuple):
    """Slices of one kind, in their order: what they have in common, and (short name, prefix) of each."""

    title: str
    parts: tuple[tuple[str, str], ...]


def figure(value: Any) -> Figure | None:
    """A JSON value, a number or {"mean", "low", "high"}, as a figure; None where it is neither.

    >>> figure(0.5), figure({"mean": 0.5, "low": 0.4, "high": 0.7}), figure(None)
    (Figure(mean=0.5, low=0.5, high=0.5), Figure(mean=0.5, low=0.4, high=0.7), None)
    """
    if isinstance(value, Mapping):
        mean = value.get("mean")
        return None if mean is None else Figure(mean, value.get("low", mean), value.get("high", mean))
    return Figure(value, value, value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def measured(result: TaskResult, model: str, metric: str) -> Figure | None:
    """What a model reached, None where it was not measured on this."""
    return figure(result["models"].get(model, {}).get(metric))


def metrics_of(result: TaskResult) -> list[str]:
    """Every metric that any model was measured by, in the order of the file."""
    return list(dict.fromkeys(metric for found in result["models"].values() for metric in found))


def smaller_wins(metric: str) -> bool:
    """As `lower_is_better`, and False for a metric that it does not know."""
    try:
        return lower_is_better(metric)
    except ValueError:
        return False


def by_mean(result: TaskResult, metric: str, models: Iterable[str] | None = None) -> list[str]:
    """The models that were measured on this, best mean first."""
    found = {name: measured(result, name, metric) for name in (result["models"] if models is None else models)}
    sign = 1 if smaller_wins(metric) else -1
    means = {name: sign * value.mean for name, value in found.items() if value is not None}
    return sorted(means, key=lambda name: means[name])


def styles(result: TaskResult) -> dict[str, str]:
    """Model -> style: `s1`..`s6` for what is ours and the three best others, grey for the rest."""
    best = [name for name in by_mean(result, HEADLINE) if name not in OURS][:3]
    shown = [name for name in OURS if name in result["models"]]
    ours = {name: f"s{at}" for at, name in enumerate(OURS, 1) if name in shown}
    return dict.fromkeys(result["models"], PLAIN_STYLE) | ours | {name: f"s{at}" for at, name in enumerate(best, 4)}


def slice_families(result: TaskResult) -> list[Slices]:
    """The slices that were measured, those of one kind together: by songs given, by history, by popularity."""
    prefixes = [of for of in dict.fromkeys(Metric.parse(name).slice for name in metrics_of(result)) if of]
    families = []
    for title, begins in KINDS.items():
        found = sorted((each for each in prefixes if each.startswith(begins)), key=_first_number)
        families.append(Slices(title, tuple((each.removeprefix(begins), f"{each}/") for each in found)))
    kinds = tuple((name, f"{name}/") for name in POPULARITY if name in prefixes)
    families.append(Slices("Popularity of the wanted song", kinds))
    return [family for family in families if len(family.parts) > 1]


def number(metric: str, value: float, signed: bool = False) -> str:
    """A value as it is printed; clicks and ranks with fewer digits.

    >>> number("ndcg@100", 0.12345), number("clicks", 3.456), number("ndcg@100", -0.1, signed=True)
    ('0.123', '3.46', '−0.100')
    """
    digits = 2 if smaller_wins(metric) else 3
    return (f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}").replace("-", "−")


def told(metric: str, value: Figure) -> str:
    """A figure with its interval, in words for a title."""
    if value.low == value.high:
        return number(metric, value.mean)
    return f"{number(metric, value.mean)} [{number(metric, value.low)}, {number(metric, value.high)}]"


def is_baseline(model: str) -> bool:
    return model in BASELINES


def slice_name(prefix: str) -> str:
    """`all` for no prefix, else what stands before the slash."""
    return prefix.rstrip("/") or "all"


def metric_label(metric: str) -> str:
    """As `eval.results.terminal.label`, without the slice; a name that has no label there loses its underscores.

    >>> metric_label("cold/ndcg@100"), metric_label("probe_genre_macro_f1")
    ('NDCG@100', 'Probe genre macro f1')
    """
    name = label(Metric.parse(metric).plain)
    return name.replace("_", " ").capitalize() if "_" in name else name


def sliced_label(metric: str) -> str:
    """`metric_label` after the slice it was measured on."""
    return " ".join([*Metric.parse(metric).slice.split("/"), metric_label(metric)]).strip()


def _first_number(text: str) -> tuple[float, str]:
    digits = "".join(letter if letter.isdigit() else " " for letter in text).split()
    return (float(digits[0]) if digits else float("inf"), text)
