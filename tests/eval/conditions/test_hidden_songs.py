"""Songs hidden from every model: which they are, what is asked, and that nothing published is touched."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import UserError
from eval.conditions.hidden_songs import Hiding, artists_of, refuse_nothing_learned, without_hidden
from eval.metrics.slices import slices
from recsys.candidates.simple.popularity import play_counts
from recsys.tasks import held_out

MODELS = "popularity,item-knn,rp3beta,htcl-stage2,fused"


@pytest.fixture(scope="module")
def world(fixed_world):
    _, dataset, split = fixed_world
    return dataset, split


class TestDraw:
    @pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
    def test_songs_are_a_share_of_the_catalogue_and_the_same_every_time(self, world, share):
        dataset, _ = world
        hidden = Hiding(share).draw(dataset)
        assert hidden.sum() == round(share * len(dataset.track_ids))
        assert np.array_equal(hidden, Hiding(share).draw(dataset))
        assert not np.array_equal(hidden, Hiding(share, seed=1).draw(dataset))

    def test_artists_are_hidden_with_all_their_songs(self, world):
        dataset, _ = world
        hidden, artists = Hiding(0.3, "artist").draw(dataset), artists_of(dataset)
        gone = np.unique(artists[hidden])
        assert np.array_equal(np.isin(artists, gone), hidden)
        assert len(gone) == round(0.3 * len(np.unique(artists)))

    def test_a_song_of_an_unknown_artist_stands_alone(self, publish):
        names = ["a", None, "A", None, "b"]
        dataset = publish(tracks=pl.DataFrame({"track_id": list("12345"), "artist": names}))
        found = artists_of(dataset)
        assert sorted(np.bincount(found).tolist()) == [1, 1, 1, 2]
        assert found[0] == found[2]

    @pytest.mark.parametrize(("share", "some"), [(0.001, "none of"), (0.999, "all of")])
    def test_too_small_a_catalogue_is_refused(self, world, share, some):
        with pytest.raises(UserError, match=some):
            Hiding(share).draw(world[0])

    def test_where_nothing_is_left_to_learn_from_nothing_is_measured(self, world):
        dataset, split = world
        refuse_nothing_learned(dataset, split)
        with pytest.raises(UserError, match="left to learn from"):
            refuse_nothing_learned(dataset, split.hiding(np.ones(len(dataset.track_ids), np.bool_)))


@pytest.mark.parametrize("task", ["next-song", "discovery", "playlist"])
def test_the_same_is_wanted_and_no_history_tells_of_hidden_songs(world, task):
    dataset, split = world
    hiding = Hiding(0.3)
    split = split.hiding(hiding.draw(dataset))
    question = held_out(dataset, split, task, "test")
    found = without_hidden(question, split, hiding.facts(dataset, split.hidden))
    assert split.hidden[found.targets.tracks].any()
    assert np.array_equal(found.targets.tracks, held_out(dataset, world[1], task, "test").targets.tracks)
    assert len(found.queries) == len(question.queries)
    for before, after in zip(question.queries, found.queries, strict=True):
        kept = ~split.hidden[before.history]
        np.testing.assert_array_equal(after.history, before.history[kept])
        np.testing.assert_array_equal(after.exclude, before.exclude)
        for per_play in ("evidence", "ages_days"):
            if (values := getattr(before, per_play)) is not None:
                np.testing.assert_array_equal(getattr(after, per_play), values[kept])
        assert (after.user, after.text) == (before.user, before.text)
    assert f"{split.hidden.sum()} of {len(dataset.track_ids)} songs" in found.protocol


def test_cold_start_asks_for_hidden_songs_as_well(world):
    dataset, split = world
    hiding = split.hiding(Hiding(0.3).draw(dataset))
    plain, found = (held_out(dataset, one, "cold-start", "test").targets.tracks for one in (split, hiding))
    assert set(plain) < set(found)
    assert hiding.hidden[np.setdiff1d(found, plain)].all()


def test_hidden_songs_are_a_slice_and_cold(world):
    dataset, split = world
    hiding = split.hiding(Hiding(0.3).draw(dataset))
    question, plays = held_out(dataset, hiding, "next-song", "test"), play_counts(hiding.past(dataset))
    parts = {part.prefix: part.targets.tracks for part in slices(question, hiding, plays)}
    np.testing.assert_array_equal(parts["hidden/"], [song for song in question.targets.tracks if hiding.hidden[song]])
    assert set(parts["hidden/"]) <= set(parts["cold/"])
    assert not set(parts["hidden/"]) & set(parts["warm/"])
    assert "hidden/" not in {part.prefix for part in slices(question, replace(hiding, hidden=None), plays)}


def published(root: Path) -> dict[str, bytes]:
    """The manifests of everything but what belongs to hidden songs; a manifest holds the checksums of its files."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("manifest.json")
        if "hidden" not in path.relative_to(root).parts
    }


def test_the_command_goes_on_where_it_was_cut_off_and_leaves_what_is_published(commands, copy_of_built, tmp_path):
    asked = ("eval.run", "--task", "discovery", "-w", copy_of_built, "--models", MODELS, "--json", tmp_path / "a.json")
    asked += ("--hide-songs", "0.3")
    cut = commands.run(*asked, die=("before", "*/hidden/songs-0.3/models"))
    assert cut.code == -9, cut.err
    encoder = (copy_of_built / "hidden/songs-0.3/encoder/manifest.json").read_bytes()
    before = published(copy_of_built)
    result = commands.run(*asked)
    assert result.code == 0, result.err
    assert "18 of 60 songs hidden" in result.out
    assert (copy_of_built / "hidden/songs-0.3/encoder/manifest.json").read_bytes() == encoder
    assert published(copy_of_built) == before
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["protocol"]["hidden"] == {"share": 0.3, "by": "song", "seed": 20260101, "songs": 18, "of_songs": 60}
    assert "without a play or playlist entry of a hidden song" in found["protocol"]["fitted"]
    for name in ("popularity", "item-knn", "rp3beta"):
        assert found["models"][name]["hidden/recall@500"]["mean"] == 0
    assert found["models"]["htcl-stage2"]["hidden/recall@500"]["mean"] > 0.5
    assert "low" in found["models"]["fused"]["hidden/ndcg@100"]
    assert "hidden/ndcg@100" in {test["metric"] for test in found["tests"]}
    (report,) = (copy_of_built / "reports").glob("discovery-hidden-songs-*.json")
    page = commands.run("eval.report", report, "-w", copy_of_built, "--out", tmp_path / "page.html")
    assert page.code == 0, page.err
    written = (tmp_path / "page.html").read_text()
    assert "18 of 60 songs, drawn with seed 20260101, were hidden from every model" in written
    assert "On the songs hidden from the models" in written
    again = commands.run(*asked[:-4], "--json", tmp_path / "b.json", "--hide-songs", "0.3")
    assert again.code == 0, again.err
    assert "stage 1" not in again.err
    assert "fits" not in again.err
    assert json.loads((tmp_path / "b.json").read_text())["models"] == found["models"]


def test_artists_all_tasks_and_among_the_hidden_alone(commands, copy_of_built, tmp_path):
    asked = ("eval.run", "-w", copy_of_built, "--hide-songs", "0.2", "--by", "artist", "--models", "random,same-artist")
    result = commands.run(*asked, "--json", tmp_path / "all.json")
    assert result.code == 0, result.err
    tasks = json.loads((tmp_path / "all.json").read_text())["tasks"]
    assert [one["task"] for one in tasks] == ["next-song", "playlist", "cold-start", "discovery"]
    for one in tasks:
        assert one["protocol"]["hidden"]["by"] == "artist"
        assert one["models"]["same-artist"]["hidden/recall@500"]["mean"] == 0, "nobody knows a song of the artist"
    among = commands.run(*asked, "--task", "discovery", "--among-new", "--json", tmp_path / "new.json")
    assert among.code == 0, among.err
    found = json.loads((tmp_path / "new.json").read_text())
    assert "warm/" not in found["protocol"]["queries"]
    assert found["models"]["random"]["recall@500"]["mean"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hide-songs", "0"], "a share between 0 and 1, not 0"),
        (["--hide-songs", "1"], "a share between 0 and 1, not 1"),
        (["--hide-songs", "2"], "a share between 0 and 1, not 2"),
        (["--hide-songs=-1"], "a share between 0 and 1, not -1"),
        (["--hide-songs", "nan"], "a share between 0 and 1, not nan"),
        (["--hide-songs", "0.2", "--by", "genre"], '--by takes song or artist, not "genre"'),
        (["--by", "artist"], "--by says what --hide-songs draws"),
        (["--hide-songs", "0.2", "--repeats", "2"], "by one training"),
        (["--hide-songs", "0.2", "--task", "semantic"], "by one training"),
        (["--hide-songs", "0.001"], "--hide-songs 0.001 hides none of 60 songs"),
    ],
)
def test_what_cannot_be_hidden_is_refused(commands, copy_of_built, arguments, words):
    result = commands.run("eval.run", "-w", copy_of_built, *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert not (copy_of_built / "hidden").exists()
