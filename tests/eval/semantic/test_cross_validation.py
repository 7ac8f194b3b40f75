"""Cross-validation of the encoder: every song measured once, by an encoder that has not met it."""

import json

import numpy as np
import polars as pl
import pytest

from data.dataset import load_dataset
from data.split import ensure_split
from data.storage.workspace import Workspace
from encoders.training.stages import Listening
from eval.semantic import cross_validation as folds_module
from eval.semantic.cross_validation import fold_of, folds, without
from eval.semantic.embeddings import Embedding
from eval.semantic.measure import Fold, measure_semantic


def test_folds_are_of_one_size_and_the_same_every_time():
    found = fold_of(64, 5)
    assert set(np.bincount(found)) == {12, 13}
    assert np.array_equal(found, fold_of(64, 5))


def test_a_pair_with_an_unseen_song_teaches_nothing():
    pairs = pl.DataFrame({"first": [0, 1, 2], "second": [1, 2, 3], "weight": [1.0, 2.0, 3.0]})
    found = without(Listening(pairs, pairs.select("first", "second")), np.array([True, False, False, False]))
    assert found.pairs["weight"].to_list() == [2.0, 3.0]
    assert found.skips is not None
    assert found.skips.rows() == [(1, 2), (2, 3)]


def test_each_song_counts_once_and_medians_are_means_over_folds(fixed_world):
    _, dataset, split = fixed_world
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(dataset.track_ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    space = {"htcl-stage1": Embedding(vectors, vectors, vectors)}
    odd = np.arange(len(vectors)) % 2 == 1
    both = measure_semantic(dataset, split, [Fold(odd, space), Fold(~odd, space)])
    alone = [measure_semantic(dataset, split, [Fold(unseen, space)]) for unseen in (odd, ~odd)]
    assert both["protocol"]["queries"]["all"] == len(vectors)
    assert both["protocol"]["folds"] == 2

    def means(metric: str, model: str = "htcl-stage1") -> list[float]:
        return [found["models"][model][metric]["mean"] for found in (both, *alone)]

    for metric in ("text_to_audio_median_rank", "text_to_audio_recall@1"):
        together, *apart = means(metric)
        assert together == pytest.approx(np.mean(apart))
    assert means("text_to_audio_recall@10", "chance")[0] == pytest.approx(10 / 30)


def test_the_command_trains_each_fold_without_its_songs_and_keeps_the_vectors(copy_of_built, commands, tmp_path):
    (tmp_path / "theirs").symlink_to(copy_of_built / "encoder")
    asked = ("eval.run", "--task", "semantic", "--folds", "2", "-w", copy_of_built, "--json", tmp_path / "found.json")
    asked += ("--external", tmp_path / "theirs")
    result = commands.run(*asked)
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["protocol"]["queries"]["all"] == 60
    assert {"chance", "mel", "htcl-stage1", "htcl-stage2", "fused", "theirs"} == set(found["models"])
    before = {path: path.stat().st_mtime_ns for path in (copy_of_built / "folds").rglob("*.npy")}
    assert len(before) == 12
    again = commands.run(*asked)
    assert again.code == 0
    assert "stage 1" not in again.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    refused = commands.run("eval.run", "--task", "next-song", "--folds", "2", "-w", copy_of_built)
    assert refused.code == 2
    assert "--task semantic" in refused.err


def test_no_song_of_a_fold_is_trained_on(copy_of_built, monkeypatch):
    workspace = Workspace(copy_of_built)
    dataset = load_dataset(workspace)
    met: list[set[int]] = []
    learn_semantic, learn_preference = folds_module.learn_semantic, folds_module.learn_preference

    def short(settings):
        return settings.model_copy(update={"epochs": 1, "steps_per_epoch": 1, "batch_size": 8, "crop_frames": 32})

    def semantic(dataset, mels, allowed, recipe, settings, place):
        met.append(set(allowed.tolist()))
        return learn_semantic(dataset, mels, allowed, recipe, short(settings), place)

    def preference(model, reader, listening, settings, place):
        met[-1] |= set(listening.pairs["first"]) | set(listening.pairs["second"])
        return learn_preference(model, reader, listening, short(settings), place)

    monkeypatch.setattr(folds_module, "learn_semantic", semantic)
    monkeypatch.setattr(folds_module, "learn_preference", preference)
    made = list(folds(workspace, dataset, ensure_split(workspace, dataset), 2))
    assert np.array_equal(made[0].unseen, ~made[1].unseen)
    for fold, known in zip(made, met, strict=True):
        assert known == set(np.flatnonzero(~fold.unseen).tolist())
