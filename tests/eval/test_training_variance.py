"""Several trainings of the same models: what depends on seed_offset, what is kept, and what is said."""

import json
import shutil

import numpy as np
import pytest

from eval.report.tasks import repeats_table
from eval.results.terminal import spread_cell
from eval.training_variance import depends_on_seed, means, measure_repeats, reseeded
from recsys.ranked import Ranked
from recsys.tasks import held_out
from recsys.tuning.choices import Choices

SPREAD = {"mean": 0.2, "deviation": 0.0141, "low": 0.19, "high": 0.21, "values": [0.19, 0.21]}


def test_only_models_with_a_seed_and_what_is_made_of_them_depend_on_luck():
    assert all(depends_on_seed(name) for name in ("random", "bpr", "ials", "lmf", "sasrec", "htcl-stage2", "fused"))
    assert not any(depends_on_seed(name) for name in ("popularity", "item-knn", "ease", "vsknn", "htcl-stage1"))


def test_another_seed_and_no_other_setting():
    chosen = {"bpr": {"factors": 8}, "item-knn": {"neighbours": 5}, "htcl-stage2": {"temperature": 0.1}}
    choices = Choices(settings={"discovery": chosen})
    seeds = [reseeded(choices, seed_offset).settings["discovery"]["bpr"]["seed"] for seed_offset in (1, 2)]
    assert seeds[1] == seeds[0] + 1
    again = reseeded(choices, 1).settings["discovery"]
    assert again == chosen | {"bpr": {"factors": 8, "seed": seeds[0]}}
    assert "seed" not in choices.settings["discovery"]["bpr"]


class Trained:
    """Stands for the models of a training: every model answers the same songs."""

    def __init__(self, songs):
        self.songs, self.choices = np.array(songs, np.int32), Choices()
        self.sources = {"discovery": dict.fromkeys(("bpr", "item-knn"), self)}

    def candidates(self, queries, k):
        row = (self.songs[:k], np.arange(len(self.songs[:k]), 0, -1, dtype=np.float32))
        return Ranked.from_rows([row] * len(queries))


def test_trainings_are_measured_as_the_first_one_was(fixed_world):
    _, dataset, split = fixed_world
    question = held_out(dataset, split, "discovery", "test")
    trainings = [Trained(range(60)), Trained(range(59, -1, -1))]
    columns = ["recall@20", "cold/recall@20"]
    reached = [means(dataset, split, question, {"bpr": one.candidates}, columns)["bpr"] for one in trainings]
    assert reached[0]["recall@20"] != reached[1]["recall@20"]
    first = {name: {m: {"mean": reached[0][m]} for m in columns} for name in ("bpr", "item-knn")}
    found = measure_repeats(dataset, split, question, first, trainings[1:], columns)
    assert found["trainings"] == 2
    assert set(found["models"]) == {"bpr"}
    for metric in columns:
        values = [one[metric] for one in reached]
        told = found["models"]["bpr"][metric]
        assert told["values"] == values
        assert told["mean"] == pytest.approx(sum(values) / 2)
        assert told["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert (told["low"], told["high"]) == (min(values), max(values))


def test_the_page_and_the_terminal_show_the_spread():
    result = {"task": "discovery", "models": {}, "repeats": {"trainings": 2, "models": {"bpr": {"recall@20": SPREAD}}}}
    table = repeats_table(result, ["recall@20", "ndcg@100"])
    assert [name for name, _ in table.columns] == ["Recall@20"]
    ((name, (cell,)),) = table.rows
    assert (name, cell.text, cell.interval) == ("bpr", "0.200 ± 0.014", "0.190 to 0.210")
    assert repeats_table({"task": "discovery"}, ["recall@20"]) is None
    assert spread_cell("recall@20", SPREAD) == "0.200 ±0.014\n0.190-0.210"
    assert spread_cell("recall@20", None) == "-"


def test_every_training_is_kept_and_not_made_again(commands, copy_of_built, tmp_path):
    models = ("--models", "item-knn,bpr,lmf,htcl-stage1,htcl-stage2,fused")
    asked = ("eval.run", "--task", "discovery", *models, "-w", copy_of_built, "--repeats", 2)
    result = commands.run(*asked, "--json", tmp_path / "a.json", die=("before", "*/repeats/2/models"))
    assert result.code == -9, result.err
    encoder = (copy_of_built / "repeats/2/encoder/manifest.json").read_bytes()
    result = commands.run(*asked, "--json", tmp_path / "a.json")
    assert result.code == 0, result.err
    assert (copy_of_built / "repeats/2/encoder/manifest.json").read_bytes() == encoder
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found["repeats"]["models"]) == {"bpr", "lmf", "htcl-stage2", "fused"}
    for name, metrics in found["repeats"]["models"].items():
        for metric, spread in metrics.items():
            assert spread["values"][0] == found["models"][name][metric]["mean"]
    assert any(spread["deviation"] > 0 for spread in found["repeats"]["models"]["htcl-stage2"].values())
    assert "2 trainings" in result.out
    # What needs no seed_offset is the published one; what does is another.
    folders = [copy_of_built / at for at in ("models", "repeats/2/models")]
    names = [{path.name for path in folder.glob("*.npz")} for folder in folders]
    assert {name for name in names[0] if name.startswith("item-knn")} <= names[1]
    assert not {name for name in names[0] & names[1] if name.startswith("bpr")}
    shutil.rmtree(copy_of_built / "reports")
    again = commands.run(*asked, "--json", tmp_path / "b.json")
    assert again.code == 0, again.err
    assert "stage 2 " not in again.err
    assert json.loads((tmp_path / "b.json").read_text())["repeats"] == found["repeats"]
