"""`python -m eval.bench build`: its tables are worth building, and each step of a build is noted."""

import json
import logging
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from data.dataset import load_dataset
from data.reporting import done
from data.storage.workspace import Workspace
from eval.bench import __main__ as command
from eval.bench.building import suite
from eval.bench.building.suite import Built, Step, StepClock, read_once, rows_of
from eval.bench.building.tables import ENTRIES, TABLES, write_tables
from recsys import pipeline
from recsys.settings import ProductSettings

SONGS = 600


def test_tables_refer_to_one_another_and_their_words_follow_the_clusters(tmp_path: Path):
    size = write_tables(tmp_path, SONGS, 10)
    tables = {name: pl.read_parquet(tmp_path / f"{name}.parquet") for name in TABLES}
    assert size == read_once(tmp_path)[0]
    assert tables["tracks"].height == SONGS
    assert tables["listens"].height == 10 * SONGS
    for name in ("listens", "playlist_tracks"):
        assert tables[name]["track_id"].is_in(tables["tracks"]["track_id"].implode()).all()
    entries = tables["playlist_tracks"]
    assert entries.height == ENTRIES * tables["playlists"].height
    assert entries.unique(["playlist_id", "track_id"]).height == entries.height, "no song twice in a list"
    genres = entries.join(tables["tracks"], on="track_id").group_by("playlist_id").agg(pl.col("genres").n_unique())
    assert (genres["genres"] == 1).all(), "a list is of one cluster"
    assert tables["tracks"]["genres"].n_unique() > 1


def test_the_time_between_steps_belongs_to_the_step_that_ends(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "htcl")
    with StepClock() as clock:
        done("first", "facts", 1.0)
        sum(range(2_000_000))
        done("second", "facts", 1.0)
    done("third", "facts", 1.0)
    assert [step.name for step in clock.steps] == ["first", "second", "end"]
    assert clock.steps[1].cpu_seconds > clock.steps[0].cpu_seconds
    assert all(step.peak_mib > 0 for step in clock.steps)


def test_steps_of_one_name_are_one_row_and_a_million_songs_have_a_bound():
    steps = [Step("embed", 2.0, 3.0, 100.0), Step("tuning", 60.0, 70.0, 2048.0), Step("embed", 4.0, 5.0, 50.0)]
    rows = {row.measure: row for row in rows_of(Built(1_000_000, 10_000_000, 2**20, 2.0, steps))}
    assert rows["build, 1,000,000 songs"].ours == pytest.approx(1.1)
    assert rows["build, 1,000,000 songs"].reached
    assert rows["build, 1,000,000 songs, peak memory"].ours == 2
    embed = rows["embed, 1,000,000 songs, processors"]
    assert (embed.ours, embed.ratio) == (8.0, 4.0)
    assert len(rows) == 4
    assert rows_of(Built(1000, 10, 1, 1.0, steps))[0].reached is None


def test_the_command_imports_the_tables_and_writes_rows_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    built: list[int] = []

    def build(workspace: Workspace, product: ProductSettings) -> None:
        built.append(load_dataset(workspace).listens.height)
        assert product.tuning.minutes == 0.5
        for step in ("stage 2", "tuning", "models"):
            done(step, "stands in for it", 1.0)

    monkeypatch.setattr(suite, "in_a_child", lambda function, *args: function(*args))
    monkeypatch.setattr(pipeline, "build", build)
    rows, page = tmp_path / "rows.json", tmp_path / "page.html"
    asked = ["build", "--songs", "200,600", "--minutes", "0.5", "--json", str(rows), "--picture", str(page)]
    ran = CliRunner().invoke(command.app, asked)
    assert ran.exit_code == 0, ran.output
    assert built == [2000, 6000]
    names = [row["measure"] for row in json.loads(rows.read_text())["rows"]]
    assert names[:2] == ["build, 200 songs", "build, 200 songs, peak memory"]
    assert {"tables, 600 songs, processors", "tuning, 600 songs, processors"} <= set(names)
    assert {"all steps", "600"} <= set(re.findall(r">([^<>]+)</text>", page.read_text()))
