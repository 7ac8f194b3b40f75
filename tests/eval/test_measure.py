"""What is measured on what: slices of the targets, and the refusal to measure on what was learned from."""

import json

import numpy as np
import pytest

from data.errors import UserError
from data.workspace import Manifest
from eval.measure import describe, measure, refuse_leaks, slices
from eval.metrics import METRICS
from eval.models import BASELINES, LINE_UP, check_names
from recsys.held_out import HeldOut, held_out
from recsys.queries import Query
from recsys.ranked import Ranked, rank_scores


@pytest.fixture(scope="module")
def world(fixed_world):
    _, dataset, split = fixed_world
    return dataset, split


def clairvoyant(question: HeldOut, tracks: int):
    """A model that answers with the targets."""
    place = {id(query): row for row, query in enumerate(question.queries)}

    def model(queries: list[Query], k: int) -> Ranked:
        scores = np.full((len(queries), tracks), 0.0, np.float32)
        for row, query in enumerate(queries):
            at = place[id(query)]
            scores[row, question.targets.tracks[question.targets.offsets[at] : question.targets.offsets[at + 1]]] = 1
        return rank_scores(scores, np.ones(scores.shape, np.bool_), k)

    return model


def silent(queries: list[Query], k: int) -> Ranked:
    """A model that answers nothing."""
    nothing = (np.zeros(0, np.int32), np.zeros(0, np.float32))
    return Ranked.from_rows([nothing] * len(queries))


class TestSlices:
    @pytest.mark.parametrize("task", ["next-song", "playlist", "cold-start"])
    def test_cold_and_warm_divide_all_targets(self, world, task):
        dataset, split = world
        question = held_out(dataset, split, task, "test")
        found = {part.prefix: part for part in slices(question, split)}
        cold = found["cold/"].targets
        warm_count = len(found["warm/"].targets.tracks) if "warm/" in found else 0
        assert len(cold.tracks) + warm_count == len(question.targets.tracks)
        assert split.cold[cold.tracks].all()
        assert "warm/" not in found or not split.cold[found["warm/"].targets.tracks].any()
        for part in found.values():
            assert len(part.targets) == len(part.asked) == len(question.queries)
            np.testing.assert_array_equal(part.asked, part.targets.counts() > 0)

    def test_cold_start_has_no_warm_targets(self, world):
        question = held_out(*world, "cold-start", "test")
        assert [part.prefix for part in slices(question, world[1])] == ["", "cold/"]

    def test_repeats_and_discoveries_divide_the_next_songs(self, world):
        question = held_out(*world, "next-song", "test")
        found = {part.prefix: part for part in slices(question, world[1])}
        assert set(found) == {"", "cold/", "warm/", "repeat/", "discovery/"}
        np.testing.assert_array_equal(found["repeat/"].asked, question.repeats)
        np.testing.assert_array_equal(found["discovery/"].asked, ~question.repeats)
        for query in np.flatnonzero(found["repeat/"].asked):
            target = found["repeat/"].targets.tracks[found["repeat/"].targets.offsets[query]]
            heard = world[0].listens.filter(user=question.queries[query].user)["track"].to_list()
            assert heard.count(target) > 1


class TestMeasure:
    @pytest.fixture(scope="class")
    def result(self, world):
        question = held_out(*world, "next-song", "test", max_queries=120)
        models = {"random": silent, "htcl-stage2": clairvoyant(question, len(world[0].track_ids))}
        return measure(*world, question, models, resamples=50)

    def test_every_metric_of_every_slice_has_an_interval(self, result):
        prefixes = ("", "cold/", "warm/", "repeat/", "discovery/")
        for measured in result["models"].values():
            assert set(measured) == {f"{prefix}{metric}" for prefix in prefixes for metric in METRICS}
            assert all(value["low"] <= value["mean"] <= value["high"] for value in measured.values())

    def test_the_best_and_the_worst_get_the_ends_of_the_scale(self, result):
        for metric in ("recall@10", "ndcg@100", "mrr@20", "cold/ndcg@100", "discovery/hr@10"):
            assert result["models"]["htcl-stage2"][metric]["mean"] == 1
            assert result["models"]["random"][metric]["mean"] == 0
        assert result["models"]["random"]["clicks"]["mean"] == 51
        assert result["models"]["htcl-stage2"]["clicks"]["mean"] == 0

    def test_a_better_model_is_called_better(self, result):
        headline = next(test for test in result["tests"] if test["metric"] == "ndcg@100")
        assert (headline["model"], headline["baseline"], headline["verdict"]) == ("htcl-stage2", "random", "better")
        assert headline["difference"] == 1

    def test_says_how_many_queries_and_targets_each_slice_has(self, result):
        queries = result["protocol"]["queries"]
        assert queries["all"] == queries["cold/"] + queries["warm/"] == queries["repeat/"] + queries["discovery/"]
        assert result["protocol"]["targets"]["all"] == 120
        assert result["protocol"]["catalogue"] == 60

    def test_is_plain_json(self, result):
        assert json.loads(json.dumps(result, allow_nan=False)) == result

    def test_same_questions_same_numbers(self, world, result):
        question = held_out(*world, "next-song", "test", max_queries=120)
        models = {"random": silent, "htcl-stage2": clairvoyant(question, len(world[0].track_ids))}
        again = measure(*world, question, models, resamples=50)
        assert (again["models"], again["tests"]) == (result["models"], result["tests"])

    def test_nothing_to_ask_is_the_users_to_know(self, world):
        dataset, split = world
        question = held_out(dataset, split, "playlist", "test", seeds=100)
        with pytest.raises(UserError, match="nothing to measure for playlist"):
            measure(dataset, split, question, {"random": silent})

    def test_describes_the_data(self, world):
        assert describe(world[0])["simulated"] is True
        assert describe(world[0])["name"] == "block world"
        assert "60 tracks" in describe(world[0])["summary"]


class TestRefuseLeaks:
    def manifest(self, **trained_on: str) -> Manifest:
        return Manifest(step="models", trained_on=trained_on or None)

    def test_the_training_part_of_this_split_is_fine(self, world):
        split = world[1]
        refuse_leaks({"models": self.manifest(part="split", split=split.fingerprint)}, split)

    def test_all_data_is_refused(self, world):
        split = world[1]
        good = self.manifest(part="split", split=split.fingerprint)
        with pytest.raises(UserError, match="the index was trained on all data"):
            refuse_leaks({"models": good, "index": self.manifest(part="all", split=split.fingerprint)}, split)

    def test_another_split_is_refused(self, world):
        with pytest.raises(UserError, match="the models was trained on another split"):
            refuse_leaks({"models": self.manifest(part="split", split="0123")}, world[1])

    def test_what_does_not_say_is_refused(self, world):
        with pytest.raises(UserError, match="--train-on split"):
            refuse_leaks({"models": self.manifest()}, world[1])


class TestLineUp:
    def test_has_every_baseline_and_ours(self):
        assert (*BASELINES, "htcl-stage1", "htcl-stage2", "fused") == LINE_UP

    def test_an_unknown_name_is_refused_with_the_known_ones(self):
        check_names(LINE_UP)
        with pytest.raises(UserError, match=r'no model "svd"[\s\S]*item-knn'):
            check_names(["ials", "svd"])
