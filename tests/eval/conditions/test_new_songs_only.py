"""The same question with only the new songs to choose from."""

import json

import numpy as np
import pytest

import eval.conditions.new_songs_only
from eval.conditions.new_songs_only import among_new, answering_with_new
from recsys.candidates.simple.popularity import Popularity, PopularitySettings
from recsys.tasks import held_out


@pytest.fixture(scope="module")
def world(fixed_world):
    _, dataset, split = fixed_world
    return dataset, split


@pytest.mark.parametrize("task", ["next-song", "playlist", "cold-start", "discovery"])
def test_every_target_is_new_and_every_query_has_one(world, task):
    dataset, split = world
    question, new = held_out(dataset, split, task, "test"), split.cold_before("test")
    found = among_new(question, new)
    assert new[found.targets.tracks].all()
    assert len(found.targets.tracks) == new[question.targets.tracks].sum() > 0
    assert found.targets.nonempty().all()
    assert len(found.queries) == len(found.targets) == len(found.groups)
    assert len(found.repeats) == len(found.targets.tracks)
    at = {id(query): row for row, query in enumerate(question.queries)}
    for row, query in enumerate(found.queries):
        before = question.targets.tracks[slice(*question.targets.offsets[at[id(query)] :][:2])]
        after = found.targets.tracks[slice(*found.targets.offsets[row:][:2])]
        np.testing.assert_array_equal(after, before[new[before]])


def test_a_model_answers_with_new_songs_alone_in_the_order_it_would_have_had(world, monkeypatch):
    dataset, split = world
    queries, new = held_out(dataset, split, "playlist", "test").queries, split.cold_before("test")
    everything = Popularity(PopularitySettings()).fit(dataset).candidates
    monkeypatch.setattr(eval.conditions.new_songs_only, "EXCLUDED_AT_ONCE", 3 * int((~new).sum()))
    narrowed = answering_with_new(everything, new)
    wanted = [tracks[new[tracks]] for tracks, _ in everything(queries, len(new))]
    found = [tracks for tracks, _ in narrowed(queries, len(new))]
    assert len(queries) > 3
    assert any(len(tracks) for tracks in found)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(narrowed([], 10)) == 0


def test_the_command(commands, copy_of_built, tmp_path):
    asked = ("eval.run", "--task", "playlist", "-w", copy_of_built, "--models", "random,popularity,htcl-stage2")
    result = commands.run(*asked, "--among-new", "--json", tmp_path / "new.json")
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "new.json").read_text())
    assert found["protocol"]["text"].endswith("Only songs that are new to the models may be answered")
    assert "warm/" not in found["protocol"]["queries"]
    means = {name: of["recall@500"]["mean"] for name, of in found["models"].items()}
    assert means["popularity"] == 0
    assert means["random"] == means["htcl-stage2"] == 1
    refused = commands.run("eval.run", "--task", "semantic", "-w", copy_of_built, "--among-new")
    assert refused.code == 2
