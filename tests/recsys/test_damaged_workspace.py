"""Whatever is broken in a workspace, or out of date, is named, and the command says what to do."""

import shutil
from pathlib import Path

import pytest

from data.dataset import load_dataset
from data.errors import UserError
from data.storage.workspace import Workspace
from recsys.fitted import store as models
from recsys.index.publishing import read_index
from tests.recsys.faults import answering, cut_in_half, flip_a_bit
from tests.recsys.workspaces import same_results

DAMAGE = pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, Path.unlink], ids=["flipped", "cut", "gone"])


@DAMAGE
@pytest.mark.parametrize(
    "victim",
    ["index/*/index.json", "index/*/ids.parquet", "index/*/*.faiss", "vectors/preference/item.npy", "models/*.npz"],
)
def test_a_damaged_file_is_refused_by_recommend(commands, copy_of_built, victim, damage):
    path = sorted(answering(copy_of_built).glob(victim))[0]
    damage(path)
    result = commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm", "--json")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert path.name in result.err
    assert "build_index" in result.err


@DAMAGE
def test_a_damaged_encoder_is_refused_where_words_need_it(commands, copy_of_built, damage):
    damage(answering(copy_of_built) / "encoder/model.safetensors")
    result = commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm")
    assert result.code == 2
    assert "model.safetensors" in result.err


def test_an_encoder_with_a_flipped_bit_is_not_trained_upon(commands, copy_of_built):
    flip_a_bit(copy_of_built / "encoder-semantic/model.safetensors")
    shutil.rmtree(copy_of_built / "encoder")
    result = commands.run("recsys.build_index", "-w", copy_of_built)
    assert result.code == 2
    assert "encoder-semantic/model.safetensors is damaged" in result.err


def test_vectors_with_a_flipped_bit_are_not_built_upon(commands, copy_of_built):
    flip_a_bit(copy_of_built / "vectors/preference/item.npy")
    result = commands.run("recsys.build_index", "-w", copy_of_built)
    assert result.code == 2
    assert "item.npy is damaged" in result.err


@pytest.mark.parametrize("of", [lambda root: root, answering], ids=["the build's", "the answering version's"])
def test_doing_what_the_message_says_mends_it(commands, copy_of_built, built, of):
    flip_a_bit(of(copy_of_built) / "vectors/preference/item.npy")
    shutil.rmtree(of(copy_of_built) / "vectors/preference")
    assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
    assert same_results(copy_of_built, built)
    assert commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm").code == 0


@pytest.mark.parametrize("content", ["v-0123456789abcdef", "../../etc", "", "\x00\xff"])
@pytest.mark.parametrize("of", [lambda root: root / "live", lambda root: answering(root) / "index"])
def test_a_pointer_to_nowhere_is_refused_and_mended_by_the_next_run(commands, copy_of_built, content, of):
    current = of(copy_of_built) / "CURRENT"
    right = current.read_text()
    current.write_text(content, encoding="latin-1")
    result = commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm")
    assert result.code == 2
    assert "CURRENT" in result.err
    assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
    assert current.read_text() == right


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half])
def test_a_damaged_training_checkpoint_is_said_and_passed_over(commands, copy_of_built, damage, built):
    root = copy_of_built
    shutil.rmtree(root / "encoder-semantic")
    shutil.rmtree(root / "tuning/encoder-semantic")
    moment = ("after", "*/.work/tuning-train-semantic/checkpoint.safetensors")
    assert commands.run("recsys.build_index", "-w", root, die=moment).code == -9
    damage(root / ".work/tuning-train-semantic/checkpoint.safetensors")
    result = commands.run("recsys.build_index", "-w", root)
    assert result.code == 0, result.err
    assert "checkpoint.safetensors is damaged" in result.err
    assert same_results(root, built)


def test_models_fitted_by_another_version_are_to_be_built_again(built, monkeypatch):
    space = Workspace(built)
    dataset, fits = load_dataset(space), models.read_fits

    def without_what_is_new(folder):
        manifest, choices, states = fits(folder)
        for name in (name for name in states if name.startswith("item-knn")):
            states[name] = {part: values for part, values in states[name].items() if part != "known"}
        return manifest, choices, states

    monkeypatch.setattr(models, "read_fits", without_what_is_new)
    with pytest.raises(UserError, match="item-knn model was fitted by another version") as caught:
        models.load_models(space, dataset, read_index(space, dataset)[0])
    assert "recsys.build_index" in str(caught.value)
