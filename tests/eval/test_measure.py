"""What is measured on what: slices of the targets, and the refusal to measure on what was learned from."""

import json

import numpy as np
import pytest

from data.errors import UserError
from data.storage.manifest import Manifest
from eval.line_up import chosen_names
from eval.measurement import describe, measure, refuse_leaks
from eval.metrics.registry import METRICS
from eval.metrics.slices import HEADLINE, slices
from eval.statistics import holm
from recsys.candidates.simple.popularity import play_counts
from recsys.line_up import BUILT
from recsys.line_up import EVERY_NAME as LINE_UP
from recsys.line_up import SOURCE_NAMES as BASELINES
from recsys.queries import Query
from recsys.ranked import Ranked, rank_scores
from recsys.tasks import HeldOut, held_out


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


TESTED = [prefix for prefix in HEADLINE if prefix != "hidden/"]
"No song is hidden here."


def popular_first(plays: np.ndarray):
    """A model that always answers with the most played songs."""
    return lambda queries, k: rank_scores(
        np.tile(plays, (len(queries), 1)), np.ones((len(queries), len(plays)), bool), k
    )


class TestMeasure:
    @pytest.fixture(scope="class")
    def result(self, world):
        question = held_out(*world, "next-song", "test", max_queries=120)
        models = {"random": silent, "htcl-stage2": clairvoyant(question, len(world[0].track_ids))}
        return measure(*world, question, models, resamples=50)[0]

    def test_every_metric_of_every_slice_has_an_interval(self, result):
        prefixes = {"" if name == "all" else name for name in result["protocol"]["queries"]}
        assert prefixes > {*TESTED, "head/", "mid/", "tail/"}
        for measured in result["models"].values():
            assert set(measured) == {f"{prefix}{metric}" for prefix in prefixes for metric in METRICS}
            for value in measured.values():  # equal values, summed in another order, may differ in the last bit
                assert value["low"] - 1e-12 <= value["mean"] <= value["high"] + 1e-12

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

    def test_a_slice_of_whole_queries_is_measured_as_if_nothing_else_were_asked(self, world):
        dataset, split = world
        question = held_out(dataset, split, "next-song", "test", max_queries=60)
        model = popular_first(play_counts(split.past(dataset)))
        together = measure(dataset, split, question, {"random": model}, resamples=10)[0]["models"]["random"]
        for part in slices(question, split, play_counts(split.past(dataset))):
            rows = np.flatnonzero(part.asked)
            queries, targets = [question.queries[row] for row in rows], part.targets.select(part.asked)
            alone = HeldOut("next-song", queries, targets, question.repeats[rows], question.groups[rows], "")
            found = measure(dataset, split, alone, {"random": model}, resamples=10)[0]["models"]["random"]
            assert {m: found[m]["mean"] for m in METRICS} == {m: together[part.prefix + m]["mean"] for m in METRICS}

    def test_only_headline_slices_are_tested_and_all_tests_are_one_family(self, result):
        tests = result["tests"]
        assert {test["metric"].rpartition("/")[0] for test in tests} == {name.rstrip("/") for name in TESTED}
        adjusted = holm({test["metric"]: test["p"] for test in tests})
        assert {test["metric"]: test["p_holm"] for test in tests} == pytest.approx(adjusted)
        assert str(len(tests)) in result["protocol"]["family"]

    def test_curves_pass_through_the_table(self, result):
        curves = result["curves"]
        assert curves["k"] == [1, 2, 5, 10, 20, 50, 100, 200, 500]
        for name in result["models"]:
            for metric in ("recall", "ndcg"):
                points = dict(zip(curves["k"], curves[metric][name], strict=True))
                for k in (10, 20, 100, 500):
                    assert points[k] == pytest.approx(result["models"][name][f"{metric}@{k}"]["mean"])
            assert curves["recall"][name] == sorted(curves["recall"][name])

    def test_tells_of_each_model_what_lies_beyond_accuracy(self, result):
        found = result["beyond"]
        assert found["htcl-stage2"]["coverage@20"]["mean"] > 0
        assert found["htcl-stage2"]["answered@20"]["mean"] == 1
        assert found["random"]["answered@20"]["mean"] == 0
        assert "coverage@20" not in found["random"]  # nothing recommended
        assert "diversity_htcl@20" not in found["htcl-stage2"]  # no vectors were handed in

    def test_what_each_query_contributed_adds_up_to_the_means(self, world):
        question = held_out(*world, "next-song", "test", max_queries=60)
        models = {"random": silent, "htcl-stage2": clairvoyant(question, len(world[0].track_ids))}
        result, values = measure(*world, question, models, resamples=10)
        assert len(values.keys) == len(np.unique(values.keys)) == 60
        for metric, value in values.values.items():
            prefix = metric[: metric.rfind("/") + 1]
            assert value.shape == (2, values.asked[prefix].sum())
            means = [result["models"][model][metric]["mean"] for model in values.models]
            assert value.mean(axis=1).tolist() == pytest.approx(means)

    def test_is_plain_json(self, result):
        assert json.loads(json.dumps(result, allow_nan=False)) == result

    def test_same_questions_same_numbers(self, world, result):
        question = held_out(*world, "next-song", "test", max_queries=120)
        models = {"random": silent, "htcl-stage2": clairvoyant(question, len(world[0].track_ids))}
        again = measure(*world, question, models, resamples=50)[0]
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

    @pytest.mark.parametrize("part", ["split", "train", "past"])
    def test_what_lies_before_the_test_of_this_split_is_fine(self, world, part):
        split = world[1]
        refuse_leaks({"models": self.manifest(part=part, split=split.fingerprint)}, split)

    def test_all_data_is_refused(self, world):
        split = world[1]
        good = self.manifest(part="past", split=split.fingerprint)
        with pytest.raises(UserError, match="the index was trained on all data"):
            refuse_leaks({"models": good, "index": self.manifest(part="all", split=split.fingerprint)}, split)

    def test_another_split_is_refused(self, world):
        with pytest.raises(UserError, match="the models was trained on another split"):
            refuse_leaks({"models": self.manifest(part="past", split="0123")}, world[1])

    def test_what_does_not_say_is_refused(self, world):
        with pytest.raises(UserError, match="--train-on split"):
            refuse_leaks({"models": self.manifest()}, world[1])


class TestLineUp:
    def test_takes_what_is_fitted_anyway_or_all_or_the_named(self):
        assert chosen_names("all") == LINE_UP == (*BASELINES, "htcl-stage1", "htcl-stage2", "htcl-imputed", "fused")
        assert set(chosen_names(None)) == {*BUILT, "fused"}
        assert chosen_names("ials, fused") == ("ials", "fused")

    @pytest.mark.usefixtures("listening")
    def test_without_features_the_model_of_them_is_left_out_and_refused_where_it_is_named(self, capsys):
        assert chosen_names("all", features=False) == tuple(name for name in LINE_UP if name != "features")
        assert "features: left out" in capsys.readouterr().err
        assert chosen_names("ials, fused", features=False) == ("ials", "fused")
        with pytest.raises(UserError, match="no precomputed features"):
            chosen_names("ials, features", features=False)

    def test_an_unknown_name_is_refused_with_the_known_ones(self):
        with pytest.raises(UserError, match=r'no model "svd"[\s\S]*item-knn'):
            chosen_names("ials,svd")
