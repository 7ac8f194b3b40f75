"""`python -m eval.report`: sentences that claim no more than the tests, marks, escaping, and what is left out."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.encoding.vector_files import Vectors
from eval.report.catalogue_map import catalogue_map, colour, place
from eval.report.charts import line_chart, nice_ticks, spread
from eval.report.evidence import Evidence, gather
from eval.report.figures import by_mean, figure, slice_families, styles
from eval.report.literature import PUBLISHED
from eval.report.page import render
from eval.report.queries import QUERIES, TOP, ask, draw
from eval.report.summary import summary, verdict
from eval.report.tasks import beyond_table, charts, metric_table
from recsys.ranked import Ranked
from recsys.tasks import held_out
from tests.eval.report.toy_report import EVIL, MEANS, comparison, rich_result, toy_evidence, toy_result


class Tags(HTMLParser):
    """Every start tag of a page with its attributes, and the tags that were never closed."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(result, evidence=None) -> str:
    return render([result], evidence or Evidence(), "all.json", "today")


class TestSummary:
    def test_a_win_is_called_one_where_the_test_says_so(self):
        first, warm, cold = summary(toy_result())
        assert "fused wins" in first
        assert "item-knn" in first
        assert "+0.100" in first
        assert "no difference shown" in warm
        assert "wins" not in warm
        assert "fused wins" in cold

    def test_a_baseline_that_is_ahead_wins_by_its_name(self):
        result = toy_result(tests=[comparison("ndcg@100", "fused", "worse", -0.1)])
        result["models"]["bpr"]["ndcg@100"]["mean"] = 0.9
        assert "the baseline bpr wins" in verdict(result, "ndcg@100")

    def test_the_highest_mean_alone_is_no_win(self):
        said = verdict(toy_result(tests=[]), "ndcg@100")
        assert "highest mean" in said
        assert "wins" not in said

    def test_simulated_data_is_called_simulated_beside_every_task(self):
        page = page_of(toy_result())
        assert page.count("simulated data") >= 3
        assert "simulated data" not in page_of(toy_result(dataset={**toy_result()["dataset"], "simulated": False}))


class TestTables:
    def test_the_best_of_each_column_is_marked_and_lower_clicks_are_better(self):
        table = metric_table(toy_result(), ["ndcg@100", "clicks", "cold/ndcg@100"])
        best = [{name for name, cells in table.rows if cells[at].best} for at in range(3)]
        assert best == [{"fused"}, {"fused"}, {"fused"}]
        assert [meaning for _, meaning in table.columns] == ["", "lower is better", ""]
        assert dict(table.rows)["random"][0].interval == "[0.050, 0.150]"

    def test_a_metric_of_no_model_has_no_column_and_one_of_some_has_gaps(self):
        result = toy_result()
        result["models"]["fused"]["mrr@20"] = 0.5
        table = metric_table(result, ["mrr@20", "map@10"])
        assert len(table.columns) == 1
        assert [cells[0] is None for _, cells in table.rows] == [True] * 5 + [False]

    def test_beyond_accuracy_takes_numbers_and_intervals_or_is_not_measured(self):
        assert beyond_table(toy_result()) is None
        assert "Not measured" in page_of(toy_result())
        table = beyond_table(rich_result())
        assert [name for name, _ in table.columns] == ["Coverage@20", "Popularity lift@20"]
        assert dict(table.rows)["fused"][1].text == "1.800"


class TestCharts:
    def test_curves_come_from_cutoffs_where_no_curve_was_measured(self):
        titles = [chart.title for chart in charts(toy_result())]
        assert titles == ["Recall over k", "NDCG over k", "Known (warm) and new (cold) songs, NDCG@100"]

    def test_all_that_was_measured_is_drawn(self):
        drawn = {chart.title: chart for chart in charts(rich_result())}
        assert [tick.text for tick in drawn["NDCG@100 by songs given"].x_ticks] == ["1", "5", "25"]
        assert [tick.text for tick in drawn["Recall over k"].x_ticks] == ["1", "10", "100"]
        assert [tick.text for tick in drawn["NDCG@100 over songs given, 9 playlists"].x_ticks] == ["0", "5"]
        assert {"NDCG@100 against catalogue coverage@20", "NDCG@100 against popularity lift@20"} < set(drawn)
        assert all(len(chart.series) == (2 if chart.kind == "bars" else len(MEANS)) for chart in drawn.values())

    def test_a_better_model_lies_higher(self):
        chart = next(chart for chart in charts(toy_result()) if chart.title == "NDCG over k")
        heights = {series.name: series.marks[0].y for series in chart.series}
        assert sorted(heights, key=heights.get) == by_mean(toy_result(), "ndcg@100")

    def test_ours_and_the_best_baselines_have_colours(self):
        style = styles(toy_result())
        assert [style[name] for name in ("fused", "htcl-stage2", "htcl-stage1", "item-knn", "bpr", "random")] == [
            f"s{at}" for at in range(1, 7)
        ]

    def test_slices_of_one_kind_stand_in_their_order(self):
        families = {family.title: [name for name, _ in family.parts] for family in slice_families(rich_result())}
        assert families == {"Songs given": ["1", "5", "25"], "Popularity of the wanted song": ["head", "tail"]}

    @given(st.floats(0, 1e4), st.floats(1e-6, 1e6))
    def test_ticks_are_few_and_cover_the_values(self, low, reach):
        ticks = nice_ticks(low, low + reach)
        assert ticks[0] <= low + 1e-6 * reach
        assert ticks[-1] >= low + reach - 1e-6 * reach
        assert 2 <= len(ticks) <= 9
        assert ticks == sorted(set(ticks))

    @given(st.lists(st.floats(0, 300), min_size=1, max_size=40))
    def test_labels_never_cover_each_other_while_there_is_room(self, places):
        moved = spread(places, 13, 0, 300)
        assert all(-1e-6 <= at <= 300 + 1e-6 for at in moved)
        gaps = np.diff(sorted(moved))
        assert (gaps >= min(13, 300 / max(len(places) - 1, 1)) - 1e-6).all()
        order = np.argsort(places, kind="stable")
        assert (np.diff(np.array(moved)[order]) >= -1e-6).all()

    def test_one_place_alone_can_be_drawn(self):
        chart = line_chart("t", "x", "ndcg@100", ["1"], {"a": [figure(0.0)]}, {})
        assert np.isfinite([mark.y for each in chart.series for mark in each.marks]).all()


class TestPage:
    def test_asks_nothing_of_the_network(self):
        page = page_of(rich_result(), toy_evidence())
        tags = Tags(page)
        assert tags.open == []
        links = [value for _, found in tags.seen for name, value in found.items() if name in ("src", "href", "srcset")]
        assert all(link.startswith(("#", "data:")) for link in links)
        assert "url(" not in page
        assert "@import" not in page
        policy = next(found["content"] for tag, found in tags.seen if tag == "meta" and "content" in found)
        assert "default-src 'none'" in policy

    def test_what_users_write_is_text_and_nothing_else(self):
        evil = toy_result(dataset={**toy_result()["dataset"], "name": EVIL, "summary": EVIL})
        evil["models"][EVIL] = evil["models"]["fused"]
        evil["protocol"]["text"] = EVIL
        evidence = toy_evidence(EVIL)
        evidence.notes.append(EVIL)
        tags = Tags(page_of(evil, evidence))
        assert [tag for tag, _ in tags.seen].count("script") == 1
        assert not [tag for tag, found in tags.seen if tag == "img" or "onerror" in found]
        assert tags.open == []

    def test_every_chart_and_table_says_what_it_is(self):
        tags = Tags(page_of(rich_result(), toy_evidence())).seen
        ids = [found["id"] for _, found in tags if "id" in found]
        assert len(ids) == len(set(ids))
        pictures = [found for tag, found in tags if tag == "svg"]
        assert len(pictures) == len(charts(rich_result())) + 1
        assert all(found["role"] == "img" and set(found["aria-labelledby"].split()) <= set(ids) for found in pictures)
        names = [tag for tag, _ in tags]
        assert names.count("caption") == names.count("table") == names.count("thead")
        assert all("scope" in found for tag, found in tags if tag == "th")

    def test_published_figures_never_stand_without_source_and_differences(self):
        for entries in PUBLISHED.values():
            assert all(entry.source and entry.differences and entry.figures for entry in entries)
        page = page_of(toy_result())
        assert "0.3946" in page
        assert "arXiv 1810.01520" in page
        assert "What is different there" in page

    def test_a_semantic_result_is_a_table_of_spaces(self):
        models = {
            name: {"text_to_audio_recall@10": {"mean": mean, "low": mean, "high": mean}}
            for name, mean in (("chance", 0.1), ("htcl-stage1", 0.3))
        }
        result = toy_result("semantic", models=models, tests=[])
        page = page_of(result)
        assert "Text→sound Recall@10" in page
        assert "Ten real queries" not in page
        assert "best in htcl-stage1" in summary(result)[0]


class TestEvidence:
    def test_ten_queries_of_ten_listeners_with_their_hits(self, fixed_world):
        _, dataset, split = fixed_world
        question = held_out(dataset, split, "discovery", "test")

        def first_songs(queries, k):
            row = (np.arange(k, dtype=np.int32), np.ones(k, np.float32))
            return Ranked.from_rows([row] * len(queries))

        rows = draw(question)
        assert len(rows) == len(set(question.groups[rows])) == QUERIES
        assert (draw(question) == rows).all()
        asked = ask(dataset, split, question, {"first": first_songs})
        titles = dataset.tracks["title"].to_list()
        for row, each in zip(rows, asked, strict=True):
            target = int(question.targets.tracks[question.targets.offsets[row]])
            assert [song.title for song in each.answers["first"]] == titles[:TOP]
            assert [song.hit for song in each.answers["first"]] == [track == target for track in range(TOP)]
            assert each.wanted[0].title == titles[target]

    def test_a_workspace_without_data_leaves_its_parts_out_and_says_so(self, small_world, tmp_path):
        workspace, dataset, _ = small_world
        empty = type(workspace)(tmp_path / "nowhere")
        assert "no dataset" in gather(empty, [toy_result()]).notes[0]
        assert "another dataset" in gather(workspace, [toy_result()]).notes[0]
        result = toy_result(dataset={**toy_result()["dataset"], "fingerprint": dataset.fingerprint})
        found = gather(workspace, [result])
        assert len(found.notes) == 2
        assert [name for name, _ in found.manifests] == ["dataset", "split"]
        assert "left out" in page_of(result, found)

    def test_the_map_keeps_neighbours_together_and_titles_as_they_are(self, publish):
        rng = np.random.default_rng(0)
        blocks = np.repeat(np.eye(8, dtype=np.float32)[:2], 20, axis=0)
        values = blocks + rng.normal(0, 0.01, blocks.shape).astype(np.float32)
        tracks = pl.DataFrame(
            {
                "track_id": [f"t{at:02}" for at in range(40)],
                "title": [EVIL, *[f"Song {at}" for at in range(39)]],
                "genres": [["ambient"]] * 20 + [["metal"]] * 19 + [[]],
            },
            schema_overrides={"genres": pl.List(pl.String)},
        )
        dataset = publish(tracks=tracks)
        vectors = Vectors(np.arange(40, dtype=np.int32), values)
        found = catalogue_map(dataset, vectors)
        assert found == catalogue_map(dataset, vectors)
        places = np.array([(dot.x, dot.y) for dot in found.dots])
        near = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(40)
        assert ((near.argmin(axis=1) < 20) == (np.arange(40) < 20)).all()
        assert found.dots[0].title == f"{EVIL} (ambient)"
        assert [entry for entry in found.views[0].legend if entry[1]] == [
            ("ambient", 20),
            ("metal", 19),
            ("unknown", 1),
        ]
        smaller = catalogue_map(dataset, vectors, most=15)
        assert len(smaller.dots) == 15
        assert "15 of 40 songs" in smaller.method

    def test_few_songs_are_placed_too(self):
        assert catalogue_map.__doc__
        places, method = place(np.eye(5, dtype=np.float32))
        assert "PCA" in method
        assert np.isfinite(places).all()

    @given(st.lists(st.sampled_from([None, *"abcdefghijkl"])))
    def test_colours_count_every_song_once(self, labels):
        view, numbers = colour("genre", labels)
        assert sum(count for _, count in view.legend) == len(labels) == len(numbers)
        assert all(
            view.legend[at][0] in (label or "unknown", "other") for at, label in zip(numbers, labels, strict=True)
        )


class TestCommand:
    def test_takes_the_newest_evaluation_and_writes_beside_it(self, commands, tmp_path):
        reports = tmp_path / "w/reports"
        reports.mkdir(parents=True)
        (reports / "playlist-1.json").write_text(json.dumps(toy_result()))
        (reports / "ablation-2.json").write_text(json.dumps({"variants": []}))
        result = commands.run("eval.report", "-w", tmp_path / "w")
        assert result.code == 0, result.err
        assert result.out.strip() == str(reports / "playlist-1.html")
        assert "Playlist continuation" in (reports / "playlist-1.html").read_text()
        other = commands.run("eval.report", reports / "playlist-1.json", "--out", tmp_path / "new/page.html")
        assert other.code == 0, other.err
        assert (tmp_path / "new/page.html").read_text().startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize("content", ["{", "[]", '{"tasks": []}', '{"tasks": [{"task": "playlist"}]}'])
    def test_refuses_what_is_no_evaluation(self, commands, tmp_path, content):
        file = tmp_path / "x.json"
        file.write_text(content)
        result = commands.run("eval.report", file)
        assert result.code == 2
        assert "is not an evaluation" in result.err
        missing = commands.run("eval.report", "-w", tmp_path)
        assert missing.code == 2
        assert "eval.run first" in missing.err

    def test_shows_queries_map_and_costs_of_a_built_workspace(self, commands, copy_of_built):
        measured = commands.run("eval.run", "--task", "playlist", "-w", copy_of_built)
        assert measured.code == 0, measured.err
        assert "python -m eval.report" in measured.out
        result = commands.run("eval.report", "-w", copy_of_built)
        assert result.code == 0, result.err
        page = Path(result.out.strip()).read_text()
        assert "left out" not in page.lower()
        assert page.count('class="query"') == QUERIES
        assert page.count("<circle data-mark") == 60
        assert "t-SNE" in page
        assert "SHA-256 of tracks.parquet" in page
        assert "Fitted arrays" in page
