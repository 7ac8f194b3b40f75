"""An evaluation in the terminal: one line per model, intervals, the best marked, and the tests in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from eval.metrics.metric import Metric
from eval.metrics.new_songs import NEW_SONGS, WANTED
from eval.metrics.registry import lower_is_better, semantic_kind
from eval.results.task_result import Repeats, Spread, TaskResult
from eval.statistics import Interval
from recsys.line_up import SOURCE_NAMES as BASELINES

LABELS = {
    "recall": "Recall",
    "precision": "Precision",
    "hr": "HR",
    "mrr": "MRR",
    "map": "MAP",
    "ndcg": "NDCG",
    "r_precision": "R-precision",
    "r_precision_artist": "R-precision with artists",
    "clicks": "Clicks",
    "text_to_audio_recall": "Text→sound Recall",
    "audio_to_text_recall": "Sound→text Recall",
    "text_to_audio_median_rank": "Text→sound median rank",
    "audio_to_text_median_rank": "Sound→text median rank",
    "probe_genre_accuracy": "Genre accuracy",
    "probe_language_accuracy": "Language accuracy",
    "probe_album_accuracy": "Album accuracy",
    "probe_tags_roc_auc": "Tags ROC-AUC",
    "zero_shot_tags_roc_auc": "Zero-shot tags ROC-AUC",
    "zero_shot_genre_accuracy": "Zero-shot genre accuracy",
}
"""A metric that is not here is shown under its own name."""


def result_table(result: TaskResult, metrics: Sequence[str]) -> Table:
    """Models by metrics, the best of each column bold. Nine models and five metrics fit 100 columns.

    result: {"task", "dataset", "models": {model: {metric: {"mean", "low", "high"}}}, "seconds"}. A metric that a model
    was not measured on is shown as "-".
    """
    models = result["models"]
    table = Table(title=_title(result), caption=_caption(result, metrics), box=SIMPLE_HEAD, title_justify="left")
    table.caption_justify = "left"
    table.add_column("Model", overflow="fold")
    for metric in metrics:
        table.add_column(_header(metric), justify="right", no_wrap=True)
    best = {metric: _best(models, metric) for metric in metrics}
    for name, measured in models.items():
        cells = (_cell(metric, measured.get(metric), best[metric]) for metric in metrics)
        table.add_row(Text(name), *cells)
    return table


def new_songs_table(result: TaskResult) -> Table | None:
    """How often each model shows songs that are new to it, against how often these are wanted; None if not measured.

    result: may have {"beyond": {model: {metric of NEW_SONGS: {"mean", "low", "high"} or None}}}.
    """
    beyond = {name: of for name, of in result.get("beyond", {}).items() if WANTED in of}
    if not beyond:
        return None
    wanted = next(iter(beyond.values()))[WANTED]
    share = "None of the wanted songs is" if not wanted["mean"] else f"{wanted['mean']:.1%} of the wanted songs are"
    table = Table(title=f"{share} new to the models; of the answers:", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("Model", overflow="fold")
    for metric in NEW_SONGS[1:]:
        _, name, k = Metric.parse(metric)
        table.add_column(f"first {k}" if name == "new_share" else "times wanted", justify="right", no_wrap=True)
    for model, found in beyond.items():
        table.add_row(Text(model), *(_cell(metric, found[metric], None) for metric in NEW_SONGS[1:]))
    return table


def repeats_table(repeats: Repeats, metrics: Sequence[str]) -> Table:
    """How far several trainings of a model lie apart: models by metrics.

    repeats: {"trainings", "models": {model: {metric: {"mean", "deviation", "low", "high"}}}}.
    """
    title = f"{repeats['trainings']} trainings: mean ± standard deviation of one, lowest to highest"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.caption = "Models that are not listed do not depend on a seed."
    table.add_column("Model", overflow="fold")
    for metric in metrics:
        table.add_column(_header(metric), justify="right", no_wrap=True)
    for name, found in repeats["models"].items():
        table.add_row(Text(name), *(spread_cell(metric, found.get(metric)) for metric in metrics))
    return table


def spread_cell(metric: str, spread: Spread | None) -> str:
    """One model's trainings by one metric, "-" where it was not measured."""
    if spread is None:
        return "-"
    digits = _digits(metric)
    numbers = (spread["mean"], spread["deviation"], spread["low"], spread["high"])
    mean, deviation, low, high = (f"{number:.{digits}f}" for number in numbers)
    return f"{mean} ±{deviation}\n{low}-{high}"


def test_lines(tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each paired test as a sentence: who against whom, by how much, how sure, and what that means."""
    return [
        f"{test['model']} against {test['baseline']}{' (best baseline)' if test['baseline'] in BASELINES else ''}: "
        f"{_signed(test, 'difference')} {label(test['metric'])} [{_signed(test, 'low')}, {_signed(test, 'high')}], "
        f"{p_value(test['p_holm'])} (Holm): {test['verdict']}"
        for test in tests
    ]


def cost_lines(result: TaskResult, metrics: Sequence[str]) -> list[str]:
    """What stage 2 costs in semantics against stage 1, a line for the probes, zero-shot tags and retrieval each.

    result: may have {"semantic_cost": {metric: {"difference", "low", "high"}}}; of these, `metrics` are told.
    """
    cost = result.get("semantic_cost", {})
    lines: dict[str, list[str]] = {}
    for metric in (metric for metric in metrics if metric in cost):
        family = semantic_kind(metric) or "others"
        told = {"metric": metric, **cost[metric]}
        change = f"{_signed(told, 'difference')} [{_signed(told, 'low')}, {_signed(told, 'high')}]"
        lines.setdefault(family, []).append(f"{label(metric)} {change}")
    return [f"Stage 2 against stage 1, {family}: {', '.join(told)}" for family, told in lines.items()]


def gain_line(result: TaskResult, metrics: Sequence[str]) -> list[str]:
    """What stage 2 adds to stage 1 in one line; none where it was not measured.

    result: may have {"stage2_gain": {metric: {"difference", "low", "high"}}}; of these, `metrics` are told.
    """
    gain = result.get("stage2_gain", {})
    told = [{"metric": metric, **gain[metric]} for metric in metrics if metric in gain]
    changes = [
        f"{label(t['metric'])} {_signed(t, 'difference')} [{_signed(t, 'low')}, {_signed(t, 'high')}]" for t in told
    ]
    return [f"Stage 2 against stage 1: {', '.join(changes)}"] if changes else []


def label(metric: str) -> str:
    """The metric as people write it, after the slice it was measured on.

    >>> label("ndcg@100"), label("cold/recall@20")
    ('NDCG@100', 'cold Recall@20')
    """
    of, name, k = Metric.parse(metric)
    shown = LABELS.get(name, name)
    return " ".join([*of.split("/"), shown if k is None else f"{shown}@{k}"]).strip()


def in_words(hidden: Mapping[str, Any]) -> str:
    """How many songs were hidden from the models, and how they were drawn.

    >>> in_words({"songs": 210, "of_songs": 1000, "by": "artist", "artists": 20, "of_artists": 100, "seed": 7})
    '210 of 1,000 songs, all those of 20 of 100 artists, drawn with seed 7'
    """
    songs = f"{hidden['songs']:,} of {hidden['of_songs']:,} songs"
    if hidden["by"] == "artist":
        songs += f", all those of {hidden['artists']:,} of {hidden['of_artists']:,} artists"
    return f"{songs}, drawn with seed {hidden['seed']}"


def _title(result: TaskResult) -> Text:
    dataset = result["dataset"]
    words = [result["task"], *([result["scenario"]] if "scenario" in result else [])]
    words += ["on", dataset["name"]] if "name" in dataset else []
    words += ["(simulated data)"] if dataset.get("simulated") else []
    hidden = result.get("protocol", {}).get("hidden")
    words += [f"{hidden['songs']:,} of {hidden['of_songs']:,} songs hidden"] if hidden else []
    return Text(" ".join(words))


def _caption(result: TaskResult, metrics: Sequence[str]) -> Text:
    protocol = result.get("protocol", {})
    asked, by = (protocol.get(name, {}).get("all") for name in ("queries", "listeners"))  # type: ignore[attr-defined]
    of = "playlists" if "seeds" in protocol else "listeners"
    told = [f"{asked:,} queries of {by:,} {of if by != 1 else of[:-1]}"] if asked and by else []
    notes = [*told, f"±: farther end of the {result.get('level', 0.95):.0%} interval", "bold: best"]
    if any(lower_is_better(metric) for metric in metrics):
        notes.append("↓: lower is better")
    return Text("; ".join([*notes, f"{result['seconds']:,.0f} s"]))


def _header(metric: str) -> Text:
    arrow = " ↓" if lower_is_better(metric) else ""
    return Text(label(metric).replace(" ", "\n", 1) + arrow)


def _best(models: Mapping[str, Mapping[str, Interval]], metric: str) -> float | None:
    means = [measured[metric]["mean"] for measured in models.values() if metric in measured]
    choose = min if lower_is_better(metric) else max
    return choose(means, default=None)


def _cell(metric: str, interval: Interval | None, best: float | None) -> Text:
    if interval is None:
        return Text("-")
    mean, digits = interval["mean"], _digits(metric)
    if "low" not in interval:
        return Text(f"{mean:.{digits}f}", style="bold" if mean == best else "")
    reach = max(mean - interval["low"], interval["high"] - mean)
    return Text(f"{mean:.{digits}f} ±{reach:.{digits}f}", style="bold" if mean == best else "")


def _signed(test: Mapping[str, Any], field: str) -> str:
    return f"{test[field]:+.{_digits(test['metric'])}f}"


def _digits(metric: str) -> int:
    return 2 if Metric.parse(metric).name == "clicks" else 3


def p_value(p: float) -> str:
    """As it is printed: three digits, and no more is claimed of a smaller one."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
