"""`python -m eval.bench evaluation` on sizes without meaning: every measure runs, and what it compares is the same."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from data.errors import UserError
from data.listening.sessions import SESSION_GAP, sessions, write_sessions
from eval.bench import __main__ as command
from eval.bench.children import in_a_child, in_a_lean_child, peak_mib
from eval.bench.encoding.sizes import EvaluationSizes, tiny_evaluation
from eval.bench.evaluating import suite as evaluation
from eval.bench.evaluating.listens import as_arrays, count_sessions, make_listens
from eval.bench.evaluating.plain_metrics import plain_metrics
from eval.bench.evaluating.with_pandas import pandas_sessions
from eval.metrics.registry import METRICS, all_metrics
from recsys.index import ExactIndex
from recsys.tasks.accuracy import DEPTH
from tests.eval.bench.ballast import also_loaded, held


@pytest.fixture
def sizes() -> EvaluationSizes:
    return tiny_evaluation()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process takes seconds to start."""

    def call(function, *args):
        return function(*args)

    monkeypatch.setattr(evaluation, "in_a_child", call)
    monkeypatch.setattr(evaluation, "in_a_lean_child", call)


class TestChildren:
    def test_a_childs_peak_is_its_own(self):
        ballast = np.ones(400 * 2**17)
        small, large = in_a_lean_child(held, 1), in_a_lean_child(held, 300)
        assert peak_mib() > 400
        assert large - small == pytest.approx(300, abs=30)
        del ballast

    def test_a_child_takes_any_arguments_and_gives_results(self):
        assert in_a_child(divmod, 17, 5) == (3, 2)

    @pytest.mark.parametrize(
        ("work", "loaded"),
        [("eval.bench.evaluating.listens", ["duckdb", "polars"]), ("eval.bench.evaluating.with_pandas", [])],
    )
    def test_what_is_measured_in_a_lean_child_loads_no_more_than_it_needs(self, work, loaded):
        assert in_a_lean_child(also_loaded, work, ["duckdb", "pandas", "polars", "torch"]) == loaded

    def test_what_fails_in_a_lean_child_fails_here(self):
        with pytest.raises(Exception, match="exit status 1"):
            in_a_lean_child(divmod, 1, 0)


class TestListens:
    def test_they_are_interleaved_and_fall_into_sessions(self, tmp_path):
        make_listens(tmp_path / "listens.parquet", 5000, lanes=20)
        frame = pl.read_parquet(tmp_path / "listens.parquet")
        assert frame.height == 5000
        assert (frame["user"].diff().fill_null(1) != 0).mean() > 0.9
        lengths = sessions(frame.sort("user", "listened_at")).group_by("session").len()["len"]
        assert 5 < lengths.median() < 60
        assert len(lengths) > 50

    def test_pandas_and_ours_cut_alike(self, tmp_path):
        source, target = tmp_path / "listens.parquet", tmp_path / "sessions.parquet"
        make_listens(source, 5000, lanes=20)
        as_arrays(source, tmp_path / "arrays")
        write_sessions(source, target)
        seconds, mib, count = pandas_sessions(str(tmp_path / "arrays"), SESSION_GAP.total_seconds())
        assert seconds > 0
        assert mib > 1
        assert count == count_sessions(target)
        ours = pl.read_parquet(target)
        for name in ("user", "track", "session", "place"):
            theirs = np.load(tmp_path / "arrays" / f"sorted_{name}.npy")
            np.testing.assert_array_equal(ours[name].to_numpy(), theirs)


class TestMeasures:
    def test_the_floor_is_the_whole_product(self, sizes):
        index = ExactIndex(sizes.dimension)
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(sizes.tracks, sizes.dimension)).astype(np.float32)
        index.add(np.arange(sizes.tracks, dtype=np.int32), vectors)
        product = evaluation.fastest_product(vectors[:10], index)
        counter = FlopCounterMode(display=False)
        with counter:
            product(vectors[:700])
        assert counter.get_total_flops() == 2 * 700 * sizes.tracks * sizes.dimension

    @pytest.mark.usefixtures("in_this_process")
    def test_ranking(self, sizes):
        speed, memory = evaluation.ranking(sizes)
        assert (speed.target, speed.at_most) == (0.5, False)
        assert (memory.floor, memory.target, memory.at_most) == (3072, 1.0, True)

    def test_the_plain_loop_gives_the_same_metrics(self, sizes):
        ranked, targets, artist_of = evaluation.made_up_rankings(sizes)
        assert {len(np.unique(tracks)) for tracks, _ in ranked} == {DEPTH}
        relevant = [
            set(targets.tracks[a:b].tolist()) for a, b in zip(targets.offsets[:-1], targets.offsets[1:], strict=True)
        ]
        plain = plain_metrics([tracks.tolist() for tracks, _ in ranked], relevant, artist_of.tolist())
        ours = all_metrics(ranked, targets, artist_of, sizes.tracks)
        assert 0 < ours["recall@500"].mean() < 1
        for name in METRICS:
            np.testing.assert_allclose([values[name] for values in plain], ours[name])

    def test_metrics(self, sizes):
        (row,) = evaluation.metrics(sizes)
        assert row.target == 10.0
        assert "extrapolated from 10 of the queries" in row.note

    @pytest.mark.usefixtures("in_this_process")
    def test_sessions(self, sizes):
        speed, memory = evaluation.sessionising(sizes)
        assert "both find" in speed.note
        assert (speed.target, memory.target, memory.at_most) == (1.0, 0.25, True)

    @pytest.mark.usefixtures("in_this_process")
    def test_without_pandas_it_says_so_and_compares_nothing(self, sizes, monkeypatch):
        monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
        speed, memory = evaluation.sessionising(sizes)
        assert "no pandas" in speed.note
        assert speed.reached is memory.reached is None

    def test_other_sessions_than_pandas_are_told(self, sizes):
        rows = evaluation.session_rows(sizes, [(1.0, 100.0), (3.0, 120.0), (2.0, 90.0)], [(4.0, 400.0, 7)], 8)
        assert "pandas finds 7 sessions, ours 8" in rows[0].note
        assert rows[0].ratio == pytest.approx(2.0)
        assert rows[1].ratio == pytest.approx(0.3)


class TestCommand:
    def test_table_json_and_exit_code_0_though_targets_are_missed(self, tmp_path: Path):
        file = tmp_path / "bench.json"
        ran = CliRunner().invoke(command.app, ["evaluation", "--tiny", "--only", "metrics,large", "--json", str(file)])
        assert ran.exit_code == 0, ran.output
        assert "duckdb" in ran.output
        found = json.loads(file.read_text())
        assert found["bench"] == "evaluation"
        assert [row["measure"] for row in found["rows"]] == [
            "metrics, 40 queries x 500",
            "sessions of 8,000 listens, memory",
        ]

    def test_the_largest_is_measured_only_where_asked_for(self, monkeypatch):
        asked: list[list[str]] = []
        monkeypatch.setattr(command, "measured", lambda measures, names: asked.append(list(names)) or [])
        for options in ([], ["--full"], ["--only", "large"]):
            assert CliRunner().invoke(command.app, ["evaluation", "--tiny", *options]).exit_code == 0
        assert asked == [["ranking", "metrics", "sessions"], ["ranking", "metrics", "sessions", "large"], ["large"]]

    def test_an_unknown_measure_is_refused_with_the_known_ones(self):
        ran = CliRunner().invoke(command.app, ["evaluation", "--only", "decoding"])
        assert isinstance(ran.exception, UserError)
        assert "ranking, metrics, sessions, large" in str(ran.exception)
