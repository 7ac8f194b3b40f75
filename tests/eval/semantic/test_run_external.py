"""`eval.run --task semantic --external FOLDER` from end to end, and what it refuses before it builds anything."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.dataset import load_dataset
from data.split import ensure_split
from data.storage.workspace import Workspace
from encoders.pretrained import catalogue_vectors as external_vectors
from eval import evaluate, run
from eval.semantic import embeddings as spaces
from eval.semantic import measure as semantic
from eval.semantic import probes
from tests.encoders.pretrained.foreign import save_clap, save_wav2vec


@pytest.fixture
def measure(copy_of_built, monkeypatch):
    """`measure(*arguments)`: the semantic task in this process, of a catalogue too small for it as it is."""

    def as_built(space: Workspace, names: object):
        dataset = load_dataset(space)
        return dataset, ensure_split(space, dataset), None

    monkeypatch.setattr(semantic, "LEAST", 2)
    monkeypatch.setattr(probes, "RESAMPLES", 10)
    monkeypatch.setattr(evaluate, "ready", as_built)

    def measure(*arguments: object):
        words = [str(each) for each in ("--task", "semantic", "-w", copy_of_built, *arguments)]
        return CliRunner().invoke(run.app, words, catch_exceptions=False)

    return measure


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("foreign")
    return [save_clap(root / "tiny-clap"), save_wav2vec(root / "tiny-wav2vec")]


def test_external_models_are_measured_beside_ours(measure, folders, tmp_path, copy_of_built, monkeypatch):
    arguments = [word for folder in folders for word in ("--external", folder)]
    result = measure(*arguments, "--json", tmp_path / "found.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found["models"]) == [*spaces.NAMES, "tiny-clap", "tiny-wav2vec"]
    assert found["protocol"]["external"].keys() == {"tiny-clap", "tiny-wav2vec"}
    assert found["models"]["tiny-clap"].keys() == found["models"]["htcl-stage2"].keys()
    assert found["models"]["tiny-wav2vec"].keys() == found["models"]["mel"].keys()
    assert "text_to_audio_recall@10" in found["semantic_cost"]
    for words in ("tiny-wav2vec", "Stage 2 against stage 1, retrieval: Text→sound Recall@10 ", "learned from these"):
        assert words in result.output

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(external_vectors, "load_mono", refuse)
    space = Workspace(copy_of_built)
    again = spaces.embeddings_of(space, load_dataset(space), spaces.open_externals(folders))
    assert list(again) == [*spaces.NAMES[1:], "tiny-clap", "tiny-wav2vec"]


def test_our_own_folder_gives_what_was_measured_anyway(measure, copy_of_built, tmp_path):
    (tmp_path / "ours").symlink_to(copy_of_built / "tuning/encoder")
    result = measure("--external", tmp_path / "ours", "--json", tmp_path / "found.json")
    assert result.exit_code == 0, result.output
    models = json.loads((tmp_path / "found.json").read_text())["models"]
    # Seven songs, and mels that the cache does not round: one of them may change places with its neighbour.
    for metric, value in models["htcl-stage2"].items():
        assert models["ours"][metric]["mean"] == pytest.approx(value["mean"], abs=0.15), metric


@pytest.mark.parametrize(
    ("task", "folder", "words"),
    [
        ("semantic", "nowhere", "no transformers model in nowhere"),
        ("all", "some/fused", 'two models would be called "fused"'),
        ("playlist", "nowhere", "--external is not measured by --task playlist"),
    ],
)
def test_a_bad_folder_is_refused_before_anything_is_built(commands, tmp_path, task, folder, words):
    result = commands.run("eval.run", "-w", tmp_path / "new", "--task", task, "--external", folder)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert words in result.err
    assert not (tmp_path / "new").exists()
