"""The tables of recsys in a settings file: what they say is done and remembered; the rest is refused."""

from pathlib import Path

import pytest

from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.training.recipe import Changes
from recsys.fitted.fit import chosen_before
from recsys.fitted.store import read_choices
from recsys.settings import ProductSettings, TuningSettings
from tests.recsys.faults import version_of

BOTH = "[semantic]\nepochs = 3\n[tuning]\ntrials = 3\n[ranking]\ndepth = 40\n[index]\nbackend = 'faiss-hnsw'\n"


def write(folder: Path, content: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(content)
    return path


def test_one_file_serves_training_and_what_is_built_on_it(tmp_path: Path) -> None:
    file = write(tmp_path, BOTH)
    product = ProductSettings.from_toml(file)
    assert (product.tuning.trials, product.ranking.depth, product.index.backend) == (3, 40, "faiss-hnsw")
    assert product.tuning.queries == TuningSettings().queries
    assert Changes.from_toml(file).semantic == {"epochs": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[tuning]\ntrial = 3", r'\[tuning\] trial: no such setting; the closest name is "trials"'),
        ("[tuning]\ntrials = 0", r"\[tuning\] trials: Input should be greater than 0"),
        ("[index]\nbackend = 'annoy'", r"\[index\] backend: Input should be 'auto'"),
        ("[tunning]\ntrials = 3", 'tunning is no table of settings; the closest name is "tuning"'),
    ],
)
def test_what_cannot_be_meant_is_refused_by_either_reader(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ProductSettings.from_toml(write(tmp_path, content))


def test_a_build_is_tuned_by_them_and_the_next_one_remembers(commands, copy_of_built, tmp_path) -> None:
    file = write(tmp_path, BOTH.split("\n", 2)[2])
    result = commands.run("recsys.build_index", "-w", copy_of_built, "--settings", file)
    assert result.code == 0, result.err
    space = Workspace(copy_of_built)
    choices = read_choices(space.models)
    assert set(choices.trials.values()) == {1, 3}
    assert (choices.tuning.trials, choices.ranking.depth) == (3, 40)
    assert "faiss-hnsw" in result.err
    again = commands.run("recsys.build_index", "-w", copy_of_built)
    assert again.code == 0, again.err
    assert "tuning" not in again.err
    assert chosen_before(space).ranking.depth == 40


def test_a_build_says_whose_trials_ended_early_and_what_its_index_finds(commands, copy_of_built, tmp_path) -> None:
    file = write(tmp_path, "[tuning]\nminutes = 0.00001\n[index]\nmin_recall = 0.9\n")
    result = commands.run("recsys.build_index", "-w", copy_of_built, "--settings", file)
    assert result.code == 0, result.err
    assert set(read_choices(Workspace(copy_of_built).models).trials.values()) == {1}
    assert "minutes of [tuning] ended early those of" in " ".join(result.err.split())
    assert read_manifest(version_of(copy_of_built)).settings == {"asked": "auto", "min_recall": 0.9}
    assert "faiss-flat (chosen for this size), exact" in " ".join(result.err.split())
