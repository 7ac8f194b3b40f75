"""Two reports compared: query by query where values were kept, by means alone and without a verdict where not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import DamagedError, UserError
from data.storage.workspace import Workspace
from eval.measurement import measure
from eval.results.comparison import compare, lines, read_report
from eval.results.per_query import load_per_query, query_keys
from eval.results.show_and_write import write_report
from recsys.queries import Query
from recsys.ranked import Ranked, rank_scores
from recsys.tasks import HeldOut, held_out
from recsys.tasks.targets import Targets

TRACKS = 60


def noisy(strength: float, seed: int):
    """A model that sees the songs of the history, the more clearly the stronger."""

    def model(queries: list[Query], k: int) -> Ranked:
        scores = np.random.default_rng(seed).random((len(queries), TRACKS)).astype(np.float32)
        for row, query in enumerate(queries):
            scores[row, query.history] += strength
        return rank_scores(scores, np.ones(scores.shape, np.bool_), k)

    return model


@pytest.fixture(scope="module")
def write(fixed_world, tmp_path_factory):
    """Measures next-song with these models and writes a report, as eval.run does."""
    _, dataset, split = fixed_world
    made = 0

    def write(models: dict[str, Any], most: int = 150, seed: int = 1, **changes: Any) -> Path:
        nonlocal made
        made += 1
        folder = tmp_path_factory.mktemp(f"report-{made}")
        question = held_out(dataset, split, "next-song", "test", max_queries=most, seed=seed)
        result, values = measure(dataset, split, question, models, resamples=20)
        return write_report(
            Workspace(folder), "next-song", {**result, **changes}, folder / "it.json", {"next-song": values}
        )

    return write


@pytest.fixture(scope="module")
def before(write) -> Path:
    return write({"random": noisy(0, 1), "ials": noisy(0, 2), "bpr": noisy(0, 3)})


def rows_of(comparison: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    (task,) = comparison["tasks"]
    return {(row["model"], row["metric"]): row for row in task["rows"]}


def test_a_run_differs_in_nothing_from_itself(before):
    found = compare(read_report(before), read_report(before))
    assert {row["verdict"] for row in rows_of(found).values()} == {"no difference shown"}
    assert {row["difference"] for row in rows_of(found).values()} == {0.0}
    assert found["tasks"][0]["changed"] == []
    assert found["family"] == len(rows_of(found)) == 3 * 2 * 5


def test_what_became_better_is_told_from_noise(before, write):
    after = write({"random": noisy(0, 4), "ials": noisy(5, 2), "fused": noisy(0, 1)})
    found = compare(read_report(before), read_report(after))
    rows = rows_of(found)
    assert rows["ials", "ndcg@100"]["verdict"] == "better"
    assert rows["ials", "ndcg@100"]["a"] < rows["ials", "ndcg@100"]["b"]
    assert {row["verdict"] for (model, _), row in rows.items() if model == "random"} == {"no difference shown"}
    assert (found["tasks"][0]["only_a"], found["tasks"][0]["only_b"]) == (["bpr"], ["fused"])
    told = "\n".join(lines(found))
    assert "ials, NDCG@100:" in told
    assert "better" in told
    assert "only in B: fused" in told
    back = rows_of(compare(read_report(after), read_report(before)))
    assert back["ials", "ndcg@100"]["verdict"] == "worse"


def test_only_queries_that_both_asked_are_compared(before, write):
    other = write({"random": noisy(0, 1), "ials": noisy(0, 2)}, most=100, seed=7)
    a, b = read_report(before), read_report(other)
    found = compare(a, b)
    both = np.intersect1d(a.per_query["next-song"].keys, b.per_query["next-song"].keys)
    assert 0 < len(both) < 100
    assert found["tasks"][0]["queries"] == {"a": 150, "b": 100, "both": len(both)}
    values = a.per_query["next-song"]
    mean = values.values["recall@20"][values.models.index("ials"), np.isin(values.keys, both)].mean()
    assert rows_of(found)["ials", "recall@20"]["a"] == pytest.approx(mean)


def test_says_what_else_is_not_the_same(before, write):
    protocol = json.loads(before.read_text())["protocol"]
    other = write({"ials": noisy(0, 2)}, protocol={**protocol, "split": "another", "text": "another rule"})
    found = compare(read_report(before), read_report(other))
    assert len(found["tasks"][0]["changed"]) == 2
    told = "\n".join(lines(found))
    assert "the split differs" in told
    assert "another rule" in told


def test_without_values_per_query_nothing_is_tested(before, tmp_path):
    old = tmp_path / "old.json"
    content = json.loads(before.read_text())
    del content["per_query"]
    old.write_text(json.dumps(content))
    found = compare(read_report(old), read_report(before))
    assert {row["verdict"] for row in rows_of(found).values()} == {"not tested"}
    assert rows_of(found)["ials", "ndcg@100"]["difference"] == 0
    assert found["family"] == 0
    assert "not tested" in "\n".join(lines(found))


def test_a_question_that_is_asked_twice_counts_twice(fixed_world):
    _, dataset, _ = fixed_world
    same = Query(history=np.array([3], np.int32))
    queries = [same, Query(history=np.array([4], np.int32)), same, same]
    wanted = Targets.from_rows([np.array([5])] * 4)
    asked = HeldOut("session", queries, wanted, np.zeros(4, np.bool_), np.arange(4), "")
    keys = query_keys(dataset, asked)
    assert len(set(keys.tolist())) == 4
    np.testing.assert_array_equal(query_keys(dataset, asked), keys)


class TestRefusals:
    def test_values_that_were_left_behind(self, before, tmp_path):
        alone = tmp_path / "alone.json"
        alone.write_text(before.read_text())
        with pytest.raises(UserError, match="is missing"):
            read_report(alone)

    def test_damaged_values(self, before, tmp_path):
        (tmp_path / "it.json").write_text(before.read_text())
        whole = before.with_suffix(".npz").read_bytes()
        (tmp_path / "it.npz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DamagedError, match="cannot be read"):
            read_report(tmp_path / "it.json")

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"tasks": 3}', '{"models": {}}'])
    def test_what_is_no_report(self, tmp_path, text):
        (tmp_path / "it.json").write_text(text)
        with pytest.raises(UserError, match=r"no report of eval\.run"):
            read_report(tmp_path / "it.json")
        with pytest.raises(UserError, match="cannot read"):
            read_report(tmp_path / "nothing.json")

    def test_runs_of_other_tasks(self, before, write):
        other = write({"ials": noisy(0, 2)}, task="discovery")
        with pytest.raises(UserError, match="no task in common"):
            compare(read_report(before), read_report(other))


def test_values_per_query_come_back_as_they_were(fixed_world, before):
    _, dataset, split = fixed_world
    question = held_out(dataset, split, "next-song", "test", max_queries=150, seed=1)
    _, kept = measure(
        dataset, split, question, {"random": noisy(0, 1), "ials": noisy(0, 2), "bpr": noisy(0, 3)}, resamples=20
    )
    found = load_per_query(before.with_suffix(".npz"))["next-song"]
    assert found.models == kept.models
    for name in ("keys", "groups"):
        np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))
    for name in ("asked", "values"):
        mine, theirs = getattr(found, name), getattr(kept, name)
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine)
