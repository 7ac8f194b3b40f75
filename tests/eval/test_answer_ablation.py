"""The answer without each of its sources: what is chosen, that it is kept, and the command on a small catalogue."""

import json

import numpy as np
import pytest

import eval.answer_ablation
import recsys.tuning.fusion_weights
from data.dataset import load_dataset
from data.split import ensure_split
from data.storage.workspace import Workspace
from eval.answer_ablation import Asked, Validation, answered, ensure_chosen, learned
from recsys.fitted.store import read_choices
from recsys.line_up import FUSED
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings
from recsys.tasks import TASKS


@pytest.fixture
def validation(copy_of_built) -> Validation:
    space = Workspace(copy_of_built)
    dataset = load_dataset(space)
    return Validation(space, dataset, ensure_split(space, dataset), read_choices(space.tuning.models), FUSED)


def test_a_source_that_is_taken_away_has_no_say():
    rows = {"a": [3, 1], "b": [2, 4], "c": [5]}
    rankings = {
        name: Ranked.from_rows([(np.array(row, np.int32), np.arange(len(row), 0, -1, dtype=np.float32))])
        for name, row in rows.items()
    }
    asked = Asked(None, rankings, np.zeros(6, np.bool_))  # type: ignore[arg-type]
    chosen = FusionSettings(weights={"a": 1.0, "b": 2.0, "c": 0.0})
    assert answered(asked, ["a", "b", "c"], chosen, 9).tracks.tolist() == [2, 4, 3, 1]
    assert answered(asked, ["a", "c"], chosen, 9).tracks.tolist() == [3, 1]


def test_with_all_sources_the_product_is_chosen(validation, monkeypatch):
    monkeypatch.setattr(recsys.tuning.fusion_weights, "WEIGHTS", (0.0, 1.0))  # as the workspace was built
    for task in TASKS:
        assert learned(validation.asked[task], FUSED, validation.product) == validation.choices.fusion[task]


def test_weights_are_chosen_again_without_the_source_and_kept(validation, monkeypatch):
    left = [name for name in FUSED if name != "item-knn"]
    chosen = ensure_chosen(validation, "no item-knn", left)
    assert set(chosen) == set(TASKS)
    assert all(set(fusion.weights) == set(left) for fusion in chosen.values())
    assert all(any(fusion.weights.values()) for fusion in chosen.values())
    asked = validation.asked["discovery"]
    assert chosen["discovery"] == learned(asked, left, validation.product)
    monkeypatch.setattr(eval.answer_ablation, "learned", lambda *_: pytest.fail("chosen again"))
    assert ensure_chosen(validation, "no item-knn", left) == chosen


def test_the_command(commands, copy_of_built, tmp_path):
    asked = ("eval.ablation", "--of", "answer", "-w", copy_of_built, "--only", "no item-knn,no htcl-imputed")
    result = commands.run(*asked, "--json", tmp_path / "found.json")
    assert result.code == 0, result.err
    tasks = json.loads((tmp_path / "found.json").read_text())["tasks"]
    assert [task["task"] for task in tasks] == list(TASKS)
    for task in tasks:
        assert list(task["models"]) == ["all sources", "no item-knn", "no htcl-imputed"]
        assert {test["baseline"] for test in task["tests"]} <= {"all sources"}
        fusions = task["chosen_on_validation"]["fusions"]
        assert "item-knn" not in fusions["no item-knn"]["weights"]
        assert "item-knn" in fusions["all sources"]["weights"]
    again = commands.run(*asked, "--json", tmp_path / "again.json")
    assert again.code == 0, again.err
    assert [task["models"] for task in json.loads((tmp_path / "again.json").read_text())["tasks"]] == [
        task["models"] for task in tasks
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--of", "singer"), ['no ablation of "singer"', "encoder"]),
        (("--of", "answer", "--only", "no luck"), ['no variant "no luck"', "no item-knn"]),
    ],
)
def test_what_there_is_not_is_refused(commands, copy_of_built, arguments, words):
    result = commands.run("eval.ablation", "-w", copy_of_built, *arguments)
    assert (result.code, result.out) == (2, "")
    assert all(word in result.err for word in words)
