"""The ablation: what is taken away, and the command on a small catalogue."""

import json

import pytest
from typer.testing import CliRunner

import eval.ablation as command
from data.dataset import load_dataset
from data.errors import UserError
from data.split import ensure_split
from data.storage.workspace import Workspace
from encoders.training.presets import PreferenceSettings
from eval import ablation_study as ablation
from eval.ablation_study import variants
from recsys.settings import TuningSettings


def test_every_variant_differs_from_the_default_in_what_it_says() -> None:
    paper = variants(PreferenceSettings())
    assert "fused by a gate" in paper
    assert "fused by mlp" not in paper
    ours = variants(PreferenceSettings(fusion="gated", fused_pairs=1.0))
    assert {"fused by mlp", "no pairs of fused vectors", "no text", "no alignment"} <= ours.keys()
    assert "fused by a gate" not in ours
    assert ours["no popularity correction"].pairs == {"popularity_power": 0.0}
    assert "no band statistics" not in ours
    assert not variants(PreferenceSettings(), statistics=True)["no band statistics"].statistics


@pytest.fixture
def quick(monkeypatch):
    """One short epoch of every variant, and two trials; the workspace is taken as it was built."""
    few = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 8}
    for name in ("learn_semantic", "learn_preference"):
        learn = getattr(ablation, name)

        def short(*given, learn=learn):
            *before, settings, place = given
            return learn(*before, settings.model_copy(update=few), place)

        monkeypatch.setattr(ablation, name, short)

    def as_built(space: Workspace):
        dataset = load_dataset(space)
        return dataset, ensure_split(space, dataset), None

    monkeypatch.setattr(ablation, "ready", as_built)
    monkeypatch.setattr(ablation, "TuningSettings", lambda: TuningSettings(trials=2))


def test_variants_are_measured_beside_stage_2_and_kept(copy_of_built, quick, tmp_path, monkeypatch) -> None:
    words = ["-w", str(copy_of_built), "--only", "no text,no band statistics", "--json", str(tmp_path / "found.json")]
    result = CliRunner().invoke(command.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    tasks = json.loads((tmp_path / "found.json").read_text())["tasks"]
    lines = {"stage 2", "stage 1 only", "audio only", "no text", "no band statistics"}
    assert tasks
    assert all(set(task["models"]) - {"chance"} == lines for task in tasks)
    assert {test["baseline"] for task in tasks if task["task"] != "semantic" for test in task["tests"]} == {"stage 2"}
    for name in ("learn_semantic", "learn_preference"):
        monkeypatch.setattr(ablation, name, lambda *_: pytest.fail("trained again"))
    assert CliRunner().invoke(command.app, words, catch_exceptions=False).exit_code == 0


def test_an_unknown_variant_is_refused_with_the_names_there_are(copy_of_built, quick) -> None:
    with pytest.raises(UserError, match='no variant "no luck"'):
        CliRunner().invoke(command.app, ["-w", str(copy_of_built), "--only", "no luck"], catch_exceptions=False)
