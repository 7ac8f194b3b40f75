"""What a reader sees: everything within 100 columns, the best marked, the tests as sentences."""

import doctest
import io
from typing import Any

import pytest
from rich.console import Console

from eval.results import terminal as table

METRICS = ["recall@100", "ndcg@100", "mrr@20", "r_precision_artist", "clicks"]


def result(models: int = 9, **dataset: Any) -> dict[str, Any]:
    def interval(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.011, "high": mean + 0.013}

    return {
        "task": "playlist",
        "dataset": {"name": "demo", **dataset},
        "protocol": {"text": "hold out", "queries": {"all": 40}, "listeners": {"all": 8}},
        "models": {
            f"a-long-model-name-{i}": {
                **{metric: interval(0.1 + i / 100) for metric in METRICS},
                "clicks": interval(49.0 - i),
            }
            for i in range(models)
        },
        "tests": [],
        "seconds": 1234.5,
    }


def shown(evaluation: dict[str, Any], colour: bool = False, metrics: list[str] = METRICS) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=colour, color_system="standard" if colour else None)
    console.print(table.result_table(evaluation, metrics))
    return out.getvalue()


def test_nine_models_by_five_metrics_fit_a_hundred_columns() -> None:
    lines = shown(result()).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    for i in range(9):
        [line] = [line for line in lines if f"a-long-model-name-{i} " in line]
        assert f"{0.1 + i / 100:.3f} ±0.013" in line
        assert f"{49 - i:.2f} ±0.01" in line
    assert not any("…" in line for line in lines)


def test_marks_the_best_of_each_column() -> None:
    lines = shown(result(), colour=True).splitlines()
    bold = [line for line in lines if "model-name" in line and "\x1b[1m" in line]
    assert len(bold) == 1
    assert bold[0].count("\x1b[1m") == len(METRICS)  # the last model is best at all, with the fewest clicks too
    assert "a-long-model-name-8" in bold[0]


def test_says_which_direction_is_better() -> None:
    text = shown(result())
    assert "Clicks ↓" in text
    assert "NDCG@100 ↓" not in text
    assert "lower is better" in text
    assert "lower is better" not in shown(result(), metrics=["ndcg@100"])


def test_says_when_the_data_are_simulated() -> None:
    assert "playlist on demo (simulated data)" in shown(result(simulated=True))
    assert "simulated" not in shown(result(simulated=False))


def test_a_metric_that_was_not_measured_is_a_dash() -> None:
    evaluation = result(2)
    del evaluation["models"]["a-long-model-name-1"]["ndcg@100"]
    [line] = [line for line in shown(evaluation).splitlines() if "a-long-model-name-1" in line]
    assert " - " in line
    for measured in evaluation["models"].values():
        measured.clear()
    assert "a-long-model-name-0" in shown(evaluation)


def test_markup_in_a_name_is_only_text() -> None:
    evaluation = result(1)
    evaluation["models"]["[red]x[/red]"] = {}
    assert "[red]x[/red]" in shown(evaluation)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "fused against ials (best baseline): +0.012 NDCG@100 [+0.008, +0.016], p = 0.002 (Holm): better"),
        (
            {"difference": -1.25, "low": -1.5, "high": -1.0, "metric": "clicks", "p_holm": 0.0004},
            "fused against ials (best baseline): -1.25 Clicks [-1.50, -1.00], p < 0.001 (Holm): better",
        ),
        (
            {"low": -0.004, "p_holm": 0.31, "verdict": "no difference shown"},
            "fused against ials (best baseline): +0.012 NDCG@100 [-0.004, +0.016], p = 0.310 (Holm): "
            "no difference shown",
        ),
    ],
)
def test_a_paired_test_reads_as_a_sentence(changes: dict[str, Any], line: str) -> None:
    test = {
        "metric": "ndcg@100",
        "model": "fused",
        "baseline": "ials",
        "difference": 0.012,
        "low": 0.008,
        "high": 0.016,
        "p": 0.001,
        "p_holm": 0.002,
        "verdict": "better",
    }
    assert table.test_lines([test | changes]) == [line]


def test_examples() -> None:
    assert doctest.testmod(table).failed == 0


def test_what_stage_2_costs_is_told_by_family() -> None:
    cost = {
        "probe_tags_roc_auc": {"difference": 0.1274, "low": 0.08, "high": 0.17},
        "probe_album_accuracy": {"difference": -0.02, "low": -0.1, "high": 0.06},
        "zero_shot_tags_roc_auc": {"difference": 0.0, "low": -0.01, "high": 0.01},
        "text_to_audio_recall@10": {"difference": 0.171, "low": 0.1, "high": 0.25},
        "text_to_audio_recall@1": {"difference": 0.5, "low": 0.5, "high": 0.5},
    }
    shown = [metric for metric in reversed(cost) if metric != "text_to_audio_recall@1"]
    assert table.cost_lines({"semantic_cost": cost}, [*shown, "probe_genre_accuracy"]) == [
        "Stage 2 against stage 1, retrieval: Text→sound Recall@10 +0.171 [+0.100, +0.250]",
        "Stage 2 against stage 1, zero-shot: Zero-shot tags ROC-AUC +0.000 [-0.010, +0.010]",
        "Stage 2 against stage 1, probes: Album accuracy -0.020 [-0.100, +0.060], Tags ROC-AUC +0.127 [+0.080, +0.170]",
    ]
    assert table.cost_lines({}, shown) == []


def test_what_stage_2_adds_is_one_line() -> None:
    gain = {"ndcg@100": {"difference": 0.0512, "low": 0.01, "high": 0.09}, "cold/ndcg@100": {}}
    line = "Stage 2 against stage 1: NDCG@100 +0.051 [+0.010, +0.090]"
    assert table.gain_line({"stage2_gain": gain}, ["ndcg@100", "recall@100"]) == [line]
    assert table.gain_line({}, ["ndcg@100"]) == []
