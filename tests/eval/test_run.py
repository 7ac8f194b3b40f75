"""`python -m eval.run` on a small workspace: the JSON it writes, the choices it takes, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.dataset import save_dataset
from data.storage.workspace import Workspace
from data.tables import Imported
from eval.metrics.registry import METRICS
from eval.results.per_query import load_per_query
from eval.workspace_checks import answerable
from recsys.line_up import EVERY_NAME as ALL
from recsys.line_up import SOURCE_NAMES as ALL_BASELINES
from recsys.tasks import TASKS

KEYS = {"task", "dataset", "protocol", "models", "tests", "seconds"}
BASELINES = tuple(name for name in ALL_BASELINES if name != "features")
LINE_UP = tuple(name for name in ALL if name != "features")
"The demo has no precomputed features."
COLLABORATIVE = tuple(
    name for name in BASELINES if name not in ("random", "same-artist", "repeat", "tfidf", "centroid", "content-ridge")
)
"They know a song by its training plays alone."


@pytest.fixture(scope="module")
def workspace(built, tmp_path_factory) -> Path:
    """Evaluations write reports, so they get a copy."""
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("measured") / "workspace"))


@pytest.fixture(scope="module")
def everything(commands, workspace) -> dict[str, Any]:
    """--task all with every model, as JSON."""
    file = workspace / "out/all.json"
    result = commands.run("eval.run", "--task", "all", "--models", "all", "-w", workspace, "--json", file)
    assert result.code == 0, result.err
    return dict(json.loads(file.read_text()))


@pytest.fixture(scope="module")
def measured(everything) -> dict[str, Any]:
    return {result["task"]: result for result in everything["tasks"]}


class TestAll:
    def test_one_result_per_task(self, everything):
        assert set(everything) == {"tasks", "per_query"}
        assert [result["task"] for result in everything["tasks"]] == [
            "next-song",
            "playlist",
            "cold-start",
            "discovery",
        ]
        assert all(set(result) >= KEYS for result in everything["tasks"])

    def test_all_models_are_measured_by_all_metrics(self, measured):
        for result in measured.values():
            assert tuple(result["models"]) == LINE_UP
            for found in result["models"].values():
                assert set(METRICS) <= set(found)
                assert {f"cold/{metric}" for metric in METRICS} <= set(found)
                asked = result["protocol"]["listeners"]
                for metric, value in found.items():
                    if asked[metric.rpartition("/")[0] + "/" if "/" in metric else "all"] == 1:
                        assert set(value) == {"mean"}, metric  # one listener is no sample
                    else:
                        assert value["low"] <= value["mean"] <= value["high"], metric

    def test_collaborative_models_find_no_cold_song(self, measured):
        for result in measured.values():
            for model in COLLABORATIVE:
                found = result["models"][model]
                for metric in METRICS:
                    if metric != "r_precision_artist":
                        assert found[f"cold/{metric}"]["mean"] == (51 if metric == "clicks" else 0), (model, metric)
        cold_start = measured["cold-start"]["models"]
        assert all(cold_start[model]["recall@500"]["mean"] == 0 for model in COLLABORATIVE)
        assert cold_start["htcl-stage2"]["recall@500"]["mean"] > 0.5

    def test_says_what_was_measured_and_how(self, measured):
        for task, result in measured.items():
            assert result["dataset"]["simulated"] is True
            assert result["dataset"]["name"] == "demo"
            assert result["protocol"]["queries"]["all"] > 0
            assert result["protocol"]["catalogue"] == 60
            assert "95 %" in result["protocol"]["intervals"]
            assert result["seconds"] >= 0
            assert set(result["seconds_per_model"]) == set(LINE_UP)
            assert result["chosen_on_validation"]["ndcg@100"]["fused"] > 0, task

    def test_our_models_are_tested_against_the_best_baseline(self, measured):
        for result in measured.values():
            headline = [test for test in result["tests"] if test["metric"] == "ndcg@100"]
            assert {test["model"] for test in headline} == {"htcl-stage1", "htcl-stage2", "htcl-imputed", "fused"}
            baselines = {name: found["ndcg@100"]["mean"] for name, found in result["models"].items()}
            best = max(BASELINES, key=lambda name: baselines[name])
            assert {test["baseline"] for test in headline} == {best}
            assert all(0 < test["p"] <= test["p_holm"] <= 1 for test in headline)

    def test_a_report_lies_in_the_workspace_too(self, everything, workspace):
        reports = {path: json.loads(path.read_text()) for path in (workspace / "reports").glob("all-*.json")}
        (path,) = (path for path, report in reports.items() if report["tasks"] == everything["tasks"])
        assert (path.parent / reports[path]["per_query"]).is_file()
        assert everything["per_query"] == "all.npz"
        assert set(load_per_query(workspace / "out/all.npz")) == set(TASKS)

    def test_playlists_have_a_curve_over_the_songs_given(self, measured):
        curve = measured["playlist"]["curves"]["seeds"]
        assert curve["n"][0] == 0
        assert curve["n"][-1] == curve["after"]
        assert curve["queries"] > 0
        for metric in ("recall@100", "ndcg@100"):
            assert set(curve[metric]) == set(LINE_UP)
            assert all(len(points) == len(curve["n"]) for points in curve[metric].values())
        # Whoever needs songs knows nothing from the title alone.
        assert curve["recall@100"]["same-artist"][0] == 0 < max(curve["recall@100"]["same-artist"])

    def test_diversity_is_measured_in_htcl_space(self, measured):
        for result in measured.values():
            found = {
                name: of["diversity_htcl@20"] for name, of in result["beyond"].items() if "diversity_htcl@20" in of
            }
            assert {"random", "fused"} <= set(found)
            assert all(0 <= value["mean"] <= 2 for value in found.values())


def test_a_second_evaluation_says_the_same_and_rebuilds_nothing(commands, workspace, measured):
    models = (workspace / "models/manifest.json").stat().st_mtime_ns
    file = workspace / "out/next.json"
    asked = ("--task", "next-song", "--models", "all")
    result = commands.run("eval.run", *asked, "-w", workspace, "--json", file)
    assert result.code == 0, result.err
    assert "trials" not in result.err
    again = json.loads(file.read_text())
    assert again["models"] == measured["next-song"]["models"]
    assert again["tests"] == measured["next-song"]["tests"]
    assert (workspace / "models/manifest.json").stat().st_mtime_ns == models


def test_the_table_is_for_people(commands, workspace):
    result = commands.run("eval.run", "--task", "playlist", "--models", "ials,fused", "-w", workspace)
    assert result.code == 0, result.err
    for words in ("playlist on demo (simulated data)", "R-precision", "Protocol: ", "Queries: ", "Report: ", "Next: "):
        assert words in result.out


def test_what_is_tried_for_each_model_is_shown(commands):
    result = commands.run("eval.run", "--spaces")
    assert result.code == 0, result.err
    assert all(name in result.out for name in (*ALL_BASELINES, "htcl-stage1", "htcl-stage2"))
    for words in ("5 to 1000, log", "at query", "trials for each model"):
        assert words in result.out


def test_two_runs_are_compared(commands, workspace):
    files = [workspace / f"out/{name}.json" for name in ("before", "after", "compared")]
    for file, models in zip(files[:2], ("random,ials", "random,popularity"), strict=True):
        result = commands.run("eval.run", "--task", "discovery", "--models", models, "-w", workspace, "--json", file)
        assert result.code == 0, result.err
    result = commands.run("eval.run", "--compare", f"{files[0]},{files[1]}", "--json", files[2])
    assert result.code == 0, result.err
    for words in ("only in A: ials", "only in B: popularity", "random, NDCG@100", "no difference shown"):
        assert words in result.out
    (task,) = json.loads(files[2].read_text())["tasks"]
    assert task["task"] == "discovery"
    assert {row["difference"] for row in task["rows"]} == {0.0}
    assert task["changed"] == []


@pytest.mark.parametrize("task", ["session", "new-user"])
def test_a_task_that_is_not_tuned_says_whose_settings_it_takes(commands, workspace, task):
    file = workspace / f"out/{task}.json"
    arguments = ("--models", "popularity,item-knn,fused", "--max-queries", 30, "--json", file)
    result = commands.run("eval.run", "--task", task, "-w", workspace, *arguments)
    assert result.code == 0, result.err
    assert "Note: settings as validation chose them for" in result.out
    found = json.loads(file.read_text())
    assert found["task"] == task
    assert found["models"]["item-knn"]["recall@500"]["mean"] > 0


def test_the_scenarios_of_the_challenge(commands, workspace):
    file = workspace / "out/scenarios.json"
    arguments = ("--task", "playlist", "--scenario", "all", "--models", "popularity,fused", "--json", file)
    result = commands.run("eval.run", "-w", workspace, *arguments)
    assert result.code == 0, result.err
    found = json.loads(file.read_text())["tasks"]
    names = [one["scenario"] for one in found]
    assert names[:3] == ["title", "title+1", "title+5"]
    assert "title+100" not in names  # no playlist is that long
    assert "playlist title+100: skipped" in result.err
    assert "scenario title+5: the title and the first 5 given" in result.out
    assert set(load_per_query(file.with_suffix(".npz"))) == {f"playlist {name}" for name in names}


def test_title_alone(commands, workspace):
    file = workspace / "out/title.json"
    asked = ("--task", "playlist", "--models", "all", "--seeds", 0)
    result = commands.run("eval.run", *asked, "-w", workspace, "--json", file)
    assert result.code == 0, result.err
    found = json.loads(file.read_text())
    assert "the title alone" in found["protocol"]["text"]
    # Without songs, those who only know songs say nothing; those who read say something.
    for silent in ("repeat", "same-artist", *COLLABORATIVE[1:]):
        assert found["models"][silent]["recall@500"]["mean"] == 0
    assert found["models"]["htcl-stage2"]["recall@500"]["mean"] > 0.5


def test_only_some_models_and_some_queries(commands, workspace):
    file = workspace / "out/some.json"
    arguments = ("--models", "random, htcl-stage2", "--max-queries", 20, "--json", file)
    result = commands.run("eval.run", "--task", "next-song", "-w", workspace, *arguments)
    assert result.code == 0, result.err
    found = json.loads(file.read_text())
    assert list(found["models"]) == ["random", "htcl-stage2"]
    assert found["protocol"]["queries"]["all"] == 20


class TestWithoutOrder:
    """Data sets of counts: which play came before which is drawn."""

    @pytest.fixture
    def drawn(self, tmp_path) -> Workspace:
        space = Workspace(tmp_path / "drawn")
        listens = pl.DataFrame({"user_id": ["u"], "track_id": ["t"], "position": [7]})
        save_dataset(space, Imported({"listens": listens}, facts={"importer": "counts", "ordered": False}), {})
        return space

    @pytest.mark.parametrize("task", ["next-song", "session", "cold-user", "new-user"])
    def test_what_asks_for_order_is_refused_before_anything_is_trained(self, commands, drawn, task):
        result = commands.run("eval.run", "--task", task, "-w", drawn.root)
        assert (result.code, result.out) == (2, "")
        first, second = result.err.strip().splitlines()
        assert first == f"error: {task} needs the order of plays, and that of the dataset (counts) is drawn"
        assert second.strip() == "Take playlist, cold-start, discovery or semantic."
        assert {path.name for path in drawn.root.iterdir() if path.is_dir()} == {".work", "dataset", "imports"}

    @pytest.mark.usefixtures("listening")
    def test_of_all_tasks_the_others_are_left(self, drawn, capsys):
        assert answerable(drawn, "all", TASKS) == ("playlist", "cold-start", "discovery")
        assert capsys.readouterr().err == "next-song: skipped, the order of plays in the dataset (counts) is drawn.\n"
        assert answerable(drawn, "discovery", ("discovery",)) == ("discovery",)
        assert answerable(drawn, "semantic", ()) == ()

    def test_other_datasets_are_asked_everything(self, workspace, tmp_path):
        for space in (Workspace(workspace), Workspace(tmp_path / "nothing yet")):
            assert answerable(space, "all", TASKS) == TASKS


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (
                ["--task", "karaoke"],
                ['no task "karaoke"', "next-song, playlist, cold-start, discovery, session", "semantic or all"],
            ),
            (["--models", "ials,svd"], ['no model "svd"', "item-knn"]),
            (["--task", "playlist", "--scenario", "3"], ['no scenario "3"', "title+25,", "or take all"]),
            (["--task", "session", "--scenario", "title"], ["--scenario says", "--task playlist"]),
            (["--compare", "no.json,nothing.json"], ["cannot read no.json"]),
            (["--compare", "one.json"], ["--compare takes two reports, not 1"]),
        ],
    )
    def test_an_unknown_name_is_refused_before_anything_is_built(self, commands, tmp_path, arguments, words):
        result = commands.run("eval.run", "-w", tmp_path / "new", *arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: ")
        assert all(word in result.err for word in words)
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("arguments", [["--seeds", "-1"], ["--max-queries", "0"]])
    def test_a_number_out_of_range_is_refused(self, commands, workspace, arguments):
        assert commands.run("eval.run", "-w", workspace, *arguments).code == 2

    def test_seeds_that_no_playlist_has_are_refused(self, commands, workspace):
        result = commands.run("eval.run", "--task", "playlist", "--seeds", 1000, "-w", workspace)
        assert result.code == 2
        assert "nothing to measure for playlist" in result.err

    def test_too_few_new_songs_for_the_semantic_task_are_refused(self, commands, workspace):
        result = commands.run("eval.run", "--task", "semantic", "-w", workspace)
        assert result.code == 2
        assert "nothing to measure for semantic" in result.err

    def test_what_was_trained_on_all_data_is_not_measured_nor_trained_again(self, commands, copy_of_built):
        assert commands.run("recsys.build_index", "-w", copy_of_built, "--train-on", "all").code == 0
        before = (copy_of_built / "encoder/manifest.json").read_text()
        result = commands.run("eval.run", "--task", "all", "-w", copy_of_built)
        assert (result.code, result.out) == (2, "")
        assert "trained on all data" in result.err
        assert "--train-on split" in result.err
        assert (copy_of_built / "encoder/manifest.json").read_text() == before


def test_the_same_in_a_process_that_python_started_itself(tmp_path):
    command = [sys.executable, "-m", "eval.run", "--task", "karaoke", "-w", str(tmp_path / "new")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith('error: no task "karaoke"')
