"""`python -m eval.bench search` on sizes without meaning: every measure runs, and what it counts is right."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from data.errors import UserError
from eval.bench import __main__ as command
from eval.bench.searching import suite
from eval.bench.searching.clusters import clustered
from eval.bench.searching.picture import search_picture
from eval.bench.searching.suite import Point, SearchSizes
from eval.report.charts import curve_chart
from recsys.index import FaissIndex
from recsys.index.recall import NearestSongs

TINY = SearchSizes(songs=(300,), repeats=1, dimension=16, queries=20, timed=3)


class TestVectors:
    def test_are_seeded_and_of_length_1(self):
        vectors = clustered(500, 16)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(vectors, clustered(500, 16))
        assert not np.array_equal(vectors, clustered(500, 16, seed=1))

    def test_lie_in_clusters(self):
        """The nearest is far nearer than one of a structureless sphere would be."""
        similar = clustered(400, 128) @ clustered(400, 128).T
        np.fill_diagonal(similar, -1)
        assert np.median(similar.max(axis=1)) > 0.45
        assert abs(np.median(similar)) < 0.05


class TestMeasures:
    def test_exact_search_is_held_to_a_target_from_batch_64(self):
        rows = suite.exact_rows(TINY, 300, clustered(300, 16))
        assert [row.target for row in rows] == [None, None, 4.0, 4.0]
        assert all("simulated" in row.note for row in rows)

    def test_every_kind_has_recall_and_memory(self):
        rows, points = suite.short_cut_rows(TINY, 300, clustered(300, 16), lambda text: None)
        assert [row.measure.split(",")[0] for row in rows] == ["flat", "hnsw", "ivf", "ivfpq"]
        assert rows[0].ours == 1
        assert all(row.target == 0.95 and "bytes a song" in row.note for row in rows)
        assert "chosen for this size" in rows[0].note
        assert {point.kind for point in points} == {"flat", "hnsw", "ivf", "ivfpq"}
        assert all(0 < point.recall <= 1 and point.milliseconds > 0 for point in points)

    def test_the_graph_is_left_out_where_it_takes_too_long(self, monkeypatch):
        monkeypatch.setattr(suite, "GRAPH_UP_TO", 200)
        said: list[str] = []
        rows, _ = suite.short_cut_rows(TINY, 300, clustered(300, 16), said.append)
        assert not any(row.measure.startswith("hnsw") for row in rows)
        assert "hnsw left out" in said[0]

    def test_stored_vectors_stay_on_the_disk(self):
        vectors, tracks = clustered(300, 16), np.arange(300, dtype=np.int32)
        for kind, on_disk in (("ivf", False), ("ivfpq", True)):
            index = FaissIndex(16, kind)
            index.add(tracks, vectors)
            memory, stored = suite.bytes_of(index)
            assert memory > 0
            assert (stored > 2 * vectors.size) == on_disk
        point = suite.measured(index, NearestSongs.of(tracks, vectors, queries=10), 3, "as published")
        assert (point.kind, point.effort) == ("ivfpq", "as published")


def test_the_curve_has_a_place_for_every_point_and_says_the_best():
    curves = {"ivf": [(0.1, 0.7, "probes=1"), (1.0, 0.99, "probes=8")], "flat": [(10.0, 1.0, "all")]}
    chart = curve_chart("500 songs", "ms", "recall@100", curves, {})
    assert [tick.text for tick in chart.x_ticks] == ["0.1", "1", "10"]
    assert [len(series.marks) for series in chart.series] == [2, 1]
    places = [mark for series in chart.series for mark in series.marks]
    assert [mark.x for mark in places] == sorted(mark.x for mark in places)
    assert places[0].y > places[1].y > places[2].y
    assert "ivf 0.990, flat 1.000" in chart.description


def test_the_picture_says_that_vectors_are_simulated():
    page = search_picture({500: [Point("ivf", "probes=1", 0.9, 0.2), Point("flat", "all", 1.0, 2.0)]}, "a machine")
    assert page.count("<svg") == 1
    assert "simulated" in page
    assert "ivf, probes=1: 0.20 ms, recall@100 0.900" in page


class TestCommand:
    def test_table_json_and_picture(self, tmp_path: Path):
        file, drawn = tmp_path / "rows.json", tmp_path / "search.html"
        options = ["search", "--tiny", "--songs", "300", "--json", str(file), "--picture", str(drawn)]
        ran = CliRunner().invoke(command.app, options)
        assert ran.exit_code == 0, ran.output
        assert json.loads(file.read_text())["bench"] == "search"
        assert "300 songs" in drawn.read_text()

    def test_a_part_of_it(self, tmp_path: Path):
        drawn = tmp_path / "search.html"
        options = ["search", "--tiny", "--songs", "300", "--only", "exact", "--threads", "1", "--picture", str(drawn)]
        ran = CliRunner().invoke(command.app, options)
        assert ran.exit_code == 0, ran.output
        assert "batch 64" in ran.output
        assert "recall" not in ran.output
        assert not drawn.exists()

    @pytest.mark.parametrize("songs", ["many", "1000,", "10", "-5"])
    def test_what_is_no_size_is_refused(self, songs):
        ran = CliRunner().invoke(command.app, ["search", f"--songs={songs}"])
        assert isinstance(ran.exception, UserError)
