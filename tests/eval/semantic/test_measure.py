"""The semantic task on a small world whose vectors are made so that the answers are known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data.errors import UserError
from eval.results.terminal import result_table
from eval.semantic.embeddings import Embedding, open_externals
from eval.semantic.measure import LEAST, Fold, ProbedSongs, measure_semantic
from tests.conftest import BLOCKS

SIZE = 16


@pytest.fixture(scope="module")
def world(fixed_world):
    """Dataset and split; every third song is held out."""
    _, dataset, split = fixed_world
    return dataset, replace(split, held_out_only=np.arange(len(dataset.track_ids)) % 3 == 0)


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def by_block(dataset, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    block = [BLOCKS.index(name.split("-")[0]) for name in dataset.track_ids.names]
    return unit(np.eye(SIZE)[block] + noise * rng.normal(size=(len(block), SIZE)))


@pytest.fixture(scope="module")
def result(world):
    dataset, split = world
    noise = unit(np.random.default_rng(9).normal(size=(len(dataset.track_ids), SIZE)))
    good = by_block(dataset, 0.3, 1)
    near = unit(good + 0.02 * noise)
    moods = {"calm": 0, "furious": 1, "cheerful": 2, "driving": 3, **{block: at for at, block in enumerate(BLOCKS)}}

    def encode(words: list[str]) -> np.ndarray:
        return np.eye(SIZE, dtype=np.float32)[[moods[word] for word in words]]

    spaces = {
        "mel": Embedding(noise),
        "htcl-stage1": Embedding(noise, noise, noise[::-1].copy(), encode),
        "htcl-stage2": Embedding(good, good, near, encode),
    }
    return measure_semantic(dataset, split, [Fold(split.held_out_only, spaces)])


def mean(result, model: str, metric: str) -> float:
    return result["models"][model][metric]["mean"]


def test_a_space_that_knows_is_told_from_one_that_does_not(result):
    for metric in ("probe_tags_roc_auc", "probe_tags_pr_auc", "zero_shot_tags_roc_auc", "zero_shot_genre_accuracy"):
        assert mean(result, "htcl-stage2", metric) > 0.9
    assert mean(result, "htcl-stage1", "zero_shot_tags_roc_auc") < 0.75
    assert mean(result, "htcl-stage2", "text_to_audio_recall@1") == 1
    assert mean(result, "htcl-stage2", "audio_to_text_median_rank") == 1
    assert mean(result, "htcl-stage1", "text_to_audio_recall@10") < 0.9


def test_chance_is_told(result):
    held_out = result["protocol"]["queries"]["all"]
    assert mean(result, "chance", "text_to_audio_recall@10") == pytest.approx(10 / held_out)
    assert mean(result, "chance", "audio_to_text_median_rank") == (held_out + 1) / 2
    assert mean(result, "chance", "probe_tags_roc_auc") == 0.5
    assert 0 < mean(result, "chance", "probe_tags_pr_auc") < 0.5
    assert 0 < mean(result, "chance", "probe_genre_macro_f1") < mean(result, "chance", "probe_genre_accuracy") < 1
    assert mean(result, "chance", "zero_shot_genre_accuracy") == mean(result, "chance", "probe_genre_accuracy")


def test_every_model_is_tested_against_mel_and_stage_2_against_stage_1(result):
    against = {(test["model"], test["baseline"]) for test in result["tests"]}
    assert ("htcl-stage2", "htcl-stage1") in against
    lines = [test for test in result["tests"] if test["metric"] == "text_to_audio_recall@1"]
    assert [test["baseline"] for test in lines] == ["htcl-stage1"]
    assert lines[0]["difference"] > 0.8
    for baseline in ("mel", "htcl-stage1"):
        family = [test for test in result["tests"] if test["baseline"] == baseline]
        assert min(test["p_holm"] for test in family) == pytest.approx(len(family) * min(t["p"] for t in family))
    # Four artists cannot prove anything: with so few, all differences may have the same sign by chance.
    assert lines[0]["verdict"] == "no difference shown"


def test_what_stage_2_costs_is_told_for_every_metric_of_both(result):
    cost, (first, second) = result["semantic_cost"], (result["models"][f"htcl-stage{at}"] for at in (1, 2))
    assert set(cost) == set(first) & set(second)
    for metric, found in cost.items():
        assert found["difference"] == pytest.approx(second[metric]["mean"] - first[metric]["mean"])
        assert found["low"] <= found["difference"] <= found["high"]
    assert cost["probe_tags_roc_auc"]["low"] > 0
    assert cost["audio_to_text_median_rank"]["high"] < 0


def test_without_both_stages_nothing_is_said_of_a_cost(world):
    dataset, split = world
    found = measure_semantic(
        dataset, split, [Fold(split.held_out_only, {"htcl-stage1": Embedding(by_block(dataset, 0.3, 1))})]
    )
    assert found["semantic_cost"] == {}


def test_an_external_model_is_told_apart_and_songs_it_lacks_are_asked_of_nobody(world, result):
    dataset, split = world
    theirs = by_block(dataset, 0.3, 3)
    theirs[np.flatnonzero(split.held_out_only)[:3]] = np.nan
    spaces = {"mel": Embedding(by_block(dataset, 1, 2)), "theirs": Embedding(theirs, origin="clap, 1234")}
    found = measure_semantic(dataset, split, [Fold(split.held_out_only, spaces)])
    assert found["protocol"]["queries"]["all"] == result["protocol"]["queries"]["all"] - 3
    assert found["protocol"]["external"] == {"theirs": "clap, 1234"}
    assert any("theirs" in note for note in found["protocol"]["notes"])
    assert result["protocol"]["external"] == {}
    assert ("theirs", "mel") in {(test["model"], test["baseline"]) for test in found["tests"]}


def test_the_strength_of_a_probe_is_chosen_across_artists_but_for_albums(world):
    dataset, split = world
    songs = ProbedSongs.of(dataset, np.flatnonzero(~split.held_out_only), np.flatnonzero(split.held_out_only))
    assert np.array_equal(songs.folds("tags"), songs.groups)
    # An album is by one artist: with artists apart, none would be on both sides and every strength look useless.
    assert len(np.unique(songs.folds("album"))) == len(dataset.track_ids)


def test_language_is_probed_as_genre_is_among_songs_by_other_artists(world):
    dataset, split = world
    sung = ["pt" if BLOCKS.index(name.split("-")[0]) % 2 else "en" for name in dataset.track_ids.names]
    spoken = replace(dataset, tracks=dataset.tracks.with_columns(pl.Series("language", sung)))
    spaces = {"htcl-stage1": Embedding(by_block(dataset, 0.3, 1)), "htcl-stage2": Embedding(by_block(dataset, 0.3, 2))}
    found = measure_semantic(spoken, split, [Fold(split.held_out_only, spaces)])
    assert mean(found, "htcl-stage1", "probe_language_accuracy") > 0.9
    assert mean(found, "htcl-stage1", "probe_language_macro_f1") > 0.9
    assert 0.3 < mean(found, "chance", "probe_language_accuracy") < 0.7
    assert "probe_language_accuracy" in found["semantic_cost"]
    rows = np.arange(len(dataset.track_ids))
    songs = ProbedSongs.of(spoken, rows[~split.held_out_only], rows[split.held_out_only])
    _, train, test = songs.sides("language")
    assert not set(songs.groups[train]) & set(songs.groups[test])


def test_a_label_of_one_artist_alone_is_not_probed(world):
    dataset, _ = world
    rows = np.arange(len(dataset.track_ids))
    one = np.flatnonzero(dataset.artists == dataset.artists[0])
    songs = ProbedSongs.of(dataset, one, np.setdiff1d(rows, one))
    assert songs.sides("genre")[0] == []


def test_names_that_are_taken_are_refused_before_a_folder_is_read(tmp_path):
    for folders in (["fused"], ["a/theirs", "b/theirs/"], ["a/../mel"]):
        with pytest.raises(UserError, match=r'two models would be called "(fused|theirs|mel)"\n'):
            open_externals([tmp_path / folder for folder in folders])
    with pytest.raises(UserError, match="no transformers model"):
        open_externals([tmp_path / "theirs"])


def test_the_table_shows_it(result):
    assert result_table(result, ["text_to_audio_recall@10", "probe_tags_roc_auc"]).row_count == 4


def test_no_artist_is_on_both_sides_of_a_probe(world):
    dataset, _ = world
    rows = np.arange(len(dataset.track_ids))
    held_out = (rows % 7 == 0) & (rows < 30)
    songs = ProbedSongs.of(dataset, rows[~held_out], rows[held_out])
    for kind in ("genre", "tags"):
        _, train, test = songs.sides(kind)
        assert len(train)
        assert held_out[test].all()
        assert not held_out[train].any()
        assert not set(songs.groups[train]) & set(songs.groups[test])


def test_labels_that_are_rare_are_not_asked_for(world):
    dataset, split = world
    train, test = np.flatnonzero(~split.held_out_only), np.flatnonzero(split.held_out_only)
    songs = ProbedSongs.of(dataset, train, test)
    names, _, _ = songs.sides("tags")
    for name in names:
        assert sum(name in songs.labels["tags"][row] for row in test) >= LEAST


def test_nothing_held_out_is_the_users_to_mend(world):
    dataset, split = world
    space = {"mel": Embedding(by_block(dataset, 1, 1))}
    with pytest.raises(UserError, match="nothing to measure for semantic"):
        measure_semantic(dataset, split, [Fold(np.zeros(len(dataset.track_ids), np.bool_), space)])
