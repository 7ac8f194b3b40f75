"""`python -m eval.bench recommend` on sizes without meaning: it runs, and its worlds are worth asking."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from data.errors import UserError
from eval.bench import __main__ as command
from eval.bench.answering import suite
from eval.bench.answering.world import World, simulated_dataset, simulated_vectors, simulated_world
from recsys.line_up import FUSED


@pytest.fixture(scope="module")
def world() -> World:
    return simulated_world(400, 30, 20, 8, "faiss-flat", lambda text: None)


def test_listeners_play_songs_of_a_few_clusters_popular_ones_more_often():
    dataset = simulated_dataset(4000, 200, 50)
    played = dataset.listens["track"].to_numpy()
    assert dataset.listens.height == 200 * 50
    assert (played >= 0).all()
    assert (played < 4000).all()
    clusters = [len(np.unique(tracks % 20)) for tracks in played.reshape(200, 50)]
    assert max(clusters) <= 5
    counts = np.sort(np.bincount(played, minlength=4000))[::-1]
    assert counts[:400].sum() > 0.3 * counts.sum()


def test_vectors_are_unit_vectors_and_those_of_a_cluster_lie_together():
    values = simulated_vectors(2000, 16).values
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, rtol=1e-5)
    cluster = np.arange(2000) % 10
    cosines = values @ values.T
    same = cluster[:, None] == cluster[None, :]
    assert cosines[same].mean() > cosines[~same].mean() + 0.3


def test_every_source_of_the_product_answers_in_a_simulated_world(world):
    assert list(world.recommender.models.sources["discovery"]) == list(FUSED)
    user = world.recommender.dataset.user_ids.names[3]
    found = world.recommender.recommend(user, 10)
    assert len(found) == 10
    assert {source for song in found for source in song.sources} >= {"item-knn", "ials", "htcl-stage2"}
    assert all(count > 0 for count in world.bytes_of.values())


def test_batches_are_compared_with_implicit(world):
    names = list(world.recommender.dataset.user_ids.names)[:5]
    ours, theirs = suite.batches(world, names, 1)
    assert ours > 0
    assert theirs > 0


def test_the_command_writes_rows_of_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(suite, "in_a_child", lambda function, *args: function(*args))
    file, picture = tmp_path / "rows.json", tmp_path / "time.html"
    written = ["--json", str(file), "--picture", str(picture)]
    ended = CliRunner().invoke(command.app, ["recommend", "--tiny", "--songs", "200,400", *written])
    assert ended.exit_code == 0, ended.output
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 8
    assert {row["unit"] for row in rows} == {"ms", "listeners/s", "bytes/song"}
    assert "<svg" in picture.read_text()
    assert "http" not in picture.read_text().replace("http-equiv", "")


@pytest.mark.parametrize("songs", ["many", "1000,", "5", "-1000"])
def test_sizes_that_are_none_are_refused(songs):
    with pytest.raises(UserError, match="--songs"):
        command.catalogue_sizes(songs)
