"""The answer without each of its sources: what is chosen, that it is kept, and the command on a small catalogue."""

import json
from dataclasses import replace

import pytest

import recsys.tuning.fusion_weights
from data.dataset import load_dataset
from data.split import ensure_split
from data.storage.workspace import Workspace
from eval.answer_ablation import Validation, ensure_chosen
from recsys.fitted.store import FittedSources, load_models, read_choices
from recsys.index.publishing import read_index
from recsys.line_up import FUSED
from recsys.tasks import TASKS


@pytest.fixture
def validation(copy_of_built) -> Validation:
    space = Workspace(copy_of_built)
    dataset = load_dataset(space)
    return Validation(space, dataset, ensure_split(space, dataset), read_choices(space.tuning.models), FUSED)


@pytest.fixture
def whole(copy_of_built, validation) -> FittedSources:
    space = Workspace(copy_of_built)
    return load_models(space, validation.dataset, read_index(space, validation.dataset)[0])


def test_with_all_sources_the_product_is_chosen(validation, monkeypatch):
    monkeypatch.setattr(recsys.tuning.fusion_weights, "WEIGHTS", (0.0, 1.0))  # as the workspace was built
    for task in TASKS:
        assert validation.fusion(task, FUSED) == validation.choices.fusion[task]


def test_weights_are_chosen_again_without_the_source_and_kept(validation, whole, monkeypatch):
    left = [name for name in FUSED if name != "item-knn"]
    found = ensure_chosen(validation, "no item-knn", left, whole)
    fusions = found.choices.fusion
    assert set(fusions) == set(TASKS)
    assert all(set(fusion.weights) == set(left) for fusion in fusions.values())
    assert all(any(fusion.weights.values()) for fusion in fusions.values())
    assert fusions["discovery"] == validation.fusion("discovery", left)
    assert all("item-knn" not in choice.sources for choice in found.choices.rankers.values())
    monkeypatch.setattr(Validation, "fusion", lambda *_: pytest.fail("chosen again"))
    assert ensure_chosen(validation, "no item-knn", left, whole).choices == found.choices


def test_a_source_that_is_taken_away_is_not_asked(validation, whole):
    left = [name for name in FUSED if name != "item-knn"]
    found = ensure_chosen(validation, "no item-knn", left, whole)
    deaf = {task: {name: each for name, each in by.items() if name in left} for task, by in found.sources.items()}
    query = validation.asked["discovery"][0].queries[:3]
    assert replace(found, sources=deaf).fused("discovery", query, 20).tracks.tolist() == (
        found.fused("discovery", query, 20).tracks.tolist()
    )


def test_the_command(commands, copy_of_built, tmp_path):
    asked = ("eval.ablation", "--of", "answer", "-w", copy_of_built, "--only", "no ranker,no item-knn,no htcl-imputed")
    result = commands.run(*asked, "--json", tmp_path / "found.json")
    assert result.code == 0, result.err
    tasks = json.loads((tmp_path / "found.json").read_text())["tasks"]
    assert [task["task"] for task in tasks] == list(TASKS)
    for task in tasks:
        assert list(task["models"]) == ["all sources", "no ranker", "no item-knn", "no htcl-imputed"]
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
