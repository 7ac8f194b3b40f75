"""One task as the page shows it: its sentences, tables and charts, ready for the template."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eval.metrics.metric import Metric
from eval.metrics.registry import CUTOFFS
from eval.report.charts import Chart, bar_chart, line_chart, scatter_chart
from eval.report.figures import (
    HEADLINE,
    Figure,
    by_mean,
    figure,
    measured,
    metric_label,
    metrics_of,
    number,
    slice_families,
    slice_name,
    sliced_label,
    smaller_wins,
    styles,
    told,
)
from eval.results.task_result import Spread, TaskResult
from eval.results.terminal import p_value

BEYOND = {
    "coverage": "share of the catalogue that is ever answered",
    "gini": "how unevenly songs are answered; 0 all alike, 1 one song alone",
    "novelty": "how rarely the answered songs were played before the test, in bits",
    "popularity_lift": "popularity of the answers against that of what listeners play",
    "diversity_htcl": "mean distance of a list's songs in HTCL space",
    "diversity_artist": "share of pairs of a list's songs by different artists",
    "serendipity": "hits that popularity would not have answered",
    "calibration_genre": "distance between the genres of history and answers",
    "new_wanted": "share of the wanted songs that is new to the models",
    "new_share": "share of the answers that is new to the models",
    "new_calibration": "new songs' share of the answers against that of the wanted songs; 1 is calibrated",
}
"""What is measured beyond accuracy, in words."""
ACROSS = {"coverage@20": "Catalogue coverage@20", "popularity_lift@20": "Popularity lift@20"}
"""What accuracy is drawn against."""


class Cell(NamedTuple):
    """A number with its interval; best of its column or not."""

    text: str
    interval: str
    best: bool


class Table(NamedTuple):
    """columns: (header, what it means). rows: (name, cells), None where it was not measured."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


class TestRow(NamedTuple):
    metric: str
    model: str
    baseline: str
    difference: str
    interval: str
    p: str
    p_holm: str
    verdict: str


def metric_table(result: TaskResult, metrics: Sequence[str]) -> Table:
    """Models by metrics, the best mean of each column marked."""
    shown = [metric for metric in metrics if by_mean(result, metric)]
    best = {metric: measured(result, by_mean(result, metric)[0], metric) for metric in shown}
    rows = []
    for model in result["models"]:
        values = [(metric, measured(result, model, metric)) for metric in shown]
        rows.append((model, tuple(_cell(metric, value, best[metric]) for metric, value in values)))
    return Table(tuple((sliced_label(metric), _direction(metric)) for metric in shown), tuple(rows))


def repeats_table(result: TaskResult, metrics: Sequence[str]) -> Table | None:
    """How far several trainings of a model lie apart; None where it was trained once. No best is marked."""
    models = result["repeats"]["models"] if "repeats" in result else {}
    shown = [metric for metric in metrics if any(metric in found for found in models.values())]
    if not shown:
        return None
    rows = tuple(
        (name, tuple(_spread_cell(metric, found.get(metric)) for metric in shown)) for name, found in models.items()
    )
    return Table(tuple((sliced_label(metric), _direction(metric)) for metric in shown), rows)


def _spread_cell(metric: str, spread: Spread | None) -> Cell | None:
    if spread is None:
        return None
    mean, deviation, low, high = (
        number(metric, value) for value in (spread["mean"], spread["deviation"], spread["low"], spread["high"])
    )
    return Cell(f"{mean} ± {deviation}", f"{low} to {high}", best=False)


def beyond_table(result: TaskResult) -> Table | None:
    """Coverage, novelty and the like; None where they were not measured. No best is marked: none of them is a goal."""
    beyond: Mapping[str, Mapping[str, Any]] = result.get("beyond") or {}
    names = list(dict.fromkeys(name for found in beyond.values() for name in found))
    if not names:
        return None
    columns = tuple((_beyond_label(name), BEYOND.get(Metric.parse(name).name, "")) for name in names)
    values = {model: [figure(found.get(name)) for name in names] for model, found in beyond.items()}
    return Table(columns, tuple((model, tuple(_cell("", each, None) for each in row)) for model, row in values.items()))


def full_tables(result: TaskResult) -> list[tuple[str, Table]]:
    """Every metric of every slice, a table a slice."""
    slices = dict.fromkeys(Metric.parse(metric).slice for metric in metrics_of(result))
    return [
        (
            slice_name(of),
            metric_table(result, [name for name in metrics_of(result) if Metric.parse(name).slice == of]),
        )
        for of in slices
    ]


def test_rows(tests: Sequence[Mapping[str, Any]]) -> list[TestRow]:
    """Paired tests as they are printed."""
    rows = []
    for test in tests:
        metric = test["metric"]
        difference, low, high = (number(metric, test[end], signed=True) for end in ("difference", "low", "high"))
        holm = p_value(test["p_holm"]) if "p_holm" in test else ""
        names = (sliced_label(metric), test["model"], test["baseline"])
        rows.append(TestRow(*names, difference, f"[{low}, {high}]", p_value(test["p"]), holm, test["verdict"]))
    return rows


def gain_rows(result: TaskResult) -> list[TestRow]:
    """What stage 2 adds to stage 1, as tests."""
    pair = {"model": "htcl-stage2", "baseline": "htcl-stage1"}
    return test_rows([{**pair, "metric": metric, **found} for metric, found in result.get("stage2_gain", {}).items()])


def charts(result: TaskResult) -> list[Chart]:
    """Every chart that the result has the numbers for."""
    if result["task"] == "semantic":
        return []
    style = styles(result)
    found = [_curve(result, name, style) for name in ("recall", "ndcg")]
    found += [_over_seeds(result, style), _warm_cold(result), *(_over_slices(result, style))]
    found += [_against(result, name, x_label, style) for name, x_label in ACROSS.items()]
    return [chart for chart in found if chart is not None]


def _curve(result: TaskResult, name: str, style: Mapping[str, str]) -> Chart | None:
    curves = result.get("curves") or {}
    metric = f"{name}@100"
    if curves.get("k") and curves.get(name):
        cutoffs = [int(k) for k in curves["k"]]
        values = {model: [figure(each) for each in row] for model, row in curves[name].items()}
    else:
        cutoffs = list(CUTOFFS[name])
        values = {model: [measured(result, model, f"{name}@{k}") for k in cutoffs] for model in result["models"]}
    if len(cutoffs) < 2 or not any(any(row) for row in values.values()):
        return None
    title = f"{metric_label(name)} over k"
    places = [math.log(k) for k in cutoffs]
    names = [f"{k:,}" for k in cutoffs]
    return line_chart(title, "k, songs answered", metric, names, values, style, places, _readable(places))


def _over_seeds(result: TaskResult, style: Mapping[str, str]) -> Chart | None:
    """Quality against the songs given of the same playlists; 0 is the title alone."""
    curve = (result.get("curves") or {}).get("seeds")
    if not curve:
        return None
    values = {model: [figure(each) for each in row] for model, row in curve[HEADLINE].items()}
    names = [f"{n:,}" for n in curve["n"]]
    title = f"{metric_label(HEADLINE)} over songs given, {curve['queries']:,} playlists"
    return line_chart(title, "songs given; 0: the title alone", HEADLINE, names, values, style)


def _warm_cold(result: TaskResult) -> Chart | None:
    kinds = {kind: f"{kind}/{HEADLINE}" for kind in ("warm", "cold")}
    if not all(by_mean(result, metric) for metric in kinds.values()):
        return None
    models = list(result["models"])
    values = {kind: {model: measured(result, model, metric) for model in models} for kind, metric in kinds.items()}
    return bar_chart(f"Known (warm) and new (cold) songs, {metric_label(HEADLINE)}", HEADLINE, models, values)


def _over_slices(result: TaskResult, style: Mapping[str, str]) -> list[Chart]:
    drawn = []
    for family in slice_families(result):
        names = [name for name, _ in family.parts]
        values = {
            model: [measured(result, model, f"{prefix}{HEADLINE}") for _, prefix in family.parts]
            for model in result["models"]
        }
        if any(any(row) for row in values.values()):
            title = f"{metric_label(HEADLINE)} by {family.title[0].lower()}{family.title[1:]}"
            drawn.append(line_chart(title, family.title, HEADLINE, names, values, style))
    return drawn


def _against(result: TaskResult, name: str, x_label: str, style: Mapping[str, str]) -> Chart | None:
    beyond: Mapping[str, Mapping[str, Any]] = result.get("beyond") or {}
    values: dict[str, tuple[Figure, Figure]] = {}
    for model in result["models"]:
        x, y = figure(beyond.get(model, {}).get(name)), measured(result, model, HEADLINE)
        if x is not None and y is not None:
            values[model] = (x, y)
    if len(values) < 2:
        return None
    y_label = metric_label(HEADLINE)
    return scatter_chart(f"{y_label} against {x_label.lower()}", x_label, y_label, HEADLINE, values, style)


def _cell(metric: str, value: Figure | None, best: Figure | None) -> Cell | None:
    if value is None:
        return None
    words = told(metric, value)
    text, _, interval = words.partition(" ")
    return Cell(text, interval, best is not None and value.mean == best.mean)


def _direction(metric: str) -> str:
    return "lower is better" if smaller_wins(metric) else ""


def _beyond_label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _readable(places: Sequence[float]) -> list[int]:
    """Numbers of the places whose labels do not run into each other, the last one among them."""
    shown = [len(places) - 1]
    for at in reversed(range(len(places) - 1)):
        if places[shown[-1]] - places[at] >= 0.08 * (places[-1] - places[0]):
            shown.append(at)
    return shown[::-1]
