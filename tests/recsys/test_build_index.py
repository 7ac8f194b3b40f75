"""`python -m recsys.build_index` under power cuts, company and repetition."""

import json
import os
import shutil
import time

import numpy as np
import polars as pl
import pytest

from data.dataset import load_dataset, save_dataset
from data.split import ensure_split
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from data.tables import Imported
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted import store as models
from recsys.index.publishing import read_index
from recsys.recommender import Recommender
from tests.recsys.faults import answering, version_of
from tests.recsys.workspaces import STEPS, TRAINED, file_times, published, same_results


class TestPowerCuts:
    MOMENTS = (
        ("before", "*/demo-audio/track-0030*"),  # half of the catalogue is synthesised
        ("before", "*/dataset"),
        ("before", "*/mels/chunk-00000.json"),  # the mels are there, their description is not
        ("after", "*/.work/tuning-train-semantic/checkpoint.safetensors"),  # one epoch of two
        ("before", "*/tuning/vectors/semantic"),
        ("after", "*/tuning/encoder"),
        ("before", "*/tuning/models"),
        ("after", "*/encoder-semantic"),  # copied, not trained again
        ("after", "*/.work/train-preference/checkpoint.safetensors"),
        ("before", "*/workspace/models"),
        ("before", "*/index/CURRENT"),
        ("before", "*/live/v-*"),
        ("before", "*/live/CURRENT"),
    )

    def test_the_next_run_goes_on_and_ends_where_an_undisturbed_one_does(self, commands, built, tmp_path):
        root = tmp_path / "workspace"
        finished: dict[str, Manifest] = {}
        times: dict[str, int] = {}
        for number, moment in enumerate(self.MOMENTS):
            result = commands.run("recsys.build_index", "-w", root, die=moment)
            assert result.code == -9, f"{moment} never came:\n{result.err}"
            now = published(root)
            assert {step: now[step] for step in finished} == finished
            assert len(now) >= len(finished)
            assert {path: file_times(root)[path] for path in times} == times
            finished = now
            times = {path: at for path, at in file_times(root).items() if path.split("/")[0] in {"dataset", "split"}}
            asked = commands.run("recsys.recommend", "-w", root, "--text", "calm")
            # A first build that has only its name to be given answers as it is.
            assert asked.code == (0 if "/live/" in moment[1] else 2), number
            assert "Traceback" not in asked.err
        last = commands.run("recsys.build_index", "-w", root)
        assert last.code == 0, last.err
        done = published(root)
        assert {step: done[step] for step in finished} == finished
        assert set(done) == {*STEPS, "index"}
        assert not list((root / ".work").iterdir())
        assert not [path for path in root.rglob("*") if path.name.endswith((".new", ".old"))]
        # An epoch that was done before the cut is not done again, and the weights come out the same.
        assert same_results(root, built)
        assert commands.run("recsys.recommend", "-w", root, "--text", "calm").code == 0

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("moment", ["*/index/v-*", "*/index/CURRENT"])
    def test_while_another_index_is_published_the_old_one_answers_or_the_new(
        self, commands, copy_of_built, moment, when
    ):
        expected = Recommender.load(copy_of_built).search("calm", 5)
        result = commands.run("recsys.build_index", "-w", copy_of_built, "--index", "exact", die=(when, moment))
        assert result.code == -9, result.err
        found = Recommender.load(copy_of_built).search("calm", 5)
        assert [song.track_id for song in found] == [song.track_id for song in expected]
        assert commands.run("recsys.build_index", "-w", copy_of_built, "--index", "exact").code == 0
        assert read_manifest(version_of(copy_of_built)).settings["asked"] == "exact"
        assert len(list((copy_of_built / "index").glob("v-*"))) == 1

    def test_a_folder_that_had_stepped_aside_comes_back(self, commands, copy_of_built):
        os.replace(copy_of_built / "models", copy_of_built / ".models.old")  # killed between the two moves
        shutil.copytree(copy_of_built / ".models.old", copy_of_built / ".models.new")
        assert commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm").code == 0
        before = published(copy_of_built)
        assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
        assert published(copy_of_built) == before

    @pytest.mark.parametrize("moment", ["*/encoder", "*/vectors/preference", "*/models", "*/live/v-*"])
    def test_until_a_retraining_is_complete_what_was_published_before_answers(self, commands, copy_of_built, moment):
        expected, before = Recommender.load(copy_of_built).search("calm", 5), answering(copy_of_built)
        train = ("recsys.build_index", "-w", copy_of_built, "--train-on", "all")
        assert commands.run(*train, die=("after", moment)).code == -9
        assert answering(copy_of_built) == before
        assert Recommender.load(copy_of_built).search("calm", 5) == expected
        assert commands.run(*train).code == 0
        assert answering(copy_of_built) != before
        assert Recommender.load(copy_of_built).search("calm", 5) != expected


class TestValidationFoldedIn:
    def test_settings_come_from_the_training_part_and_what_is_published_from_the_past(self, built):
        space = Workspace(built)
        dataset = load_dataset(space)
        split = ensure_split(space, dataset)
        parts = {step: (made.trained_on or {}).get("part") for step, made in published(built).items()}
        for step in ("encoder", "vectors/preference", "models"):
            assert (parts[f"tuning/{step}"], parts[step]) == ("train", "past")
        assert parts["index"] == "past"
        assert published(built)["encoder-semantic"] == published(built)["tuning/encoder-semantic"]
        assert not np.array_equal(*(np.load(built / f"{at}vectors/preference/item.npy") for at in ("", "tuning/")))
        choices = [(built / at / "models/choices.json").read_text() for at in ("", "tuning")]
        assert choices[0] == choices[1]
        loaded = models.load_models(space, dataset, read_index(space, dataset)[0])
        np.testing.assert_array_equal(loaded.unplayed, play_counts(split.past(dataset)) == 0)
        assert (loaded.unplayed != (play_counts(split.training(dataset)) == 0)).any()
        for source in loaded.sources["discovery"].values():
            if source.name == "item-knn":
                again = models.make_source("item-knn", loaded.choices.settings["discovery"]["item-knn"])
                expected = again.fit(split.past(dataset)).state()
                for name, value in source.state().items():
                    np.testing.assert_array_equal(value, expected[name])

    def test_production_takes_what_validation_chose_in_a_fresh_workspace_too(self, commands, built, copy_of_built):
        root = copy_of_built
        for name in ("encoder", "encoder-semantic", "vectors", "models", "index", "tuning"):
            shutil.rmtree(root / name)
        result = commands.run("recsys.build_index", "-w", root, "--train-on", "all")
        assert result.code == 0, result.err
        parts = {step: (made.trained_on or {}).get("part") for step, made in published(root).items()}
        assert {parts[step] for step in TRAINED} == {"all"}
        assert parts["tuning/encoder-semantic"] == "split"
        choices = [json.loads((at / "models/choices.json").read_text()) for at in (root, root / "tuning", built)]
        assert choices[0] == choices[1] == choices[2]
        # And back: what settings are chosen with is still there.
        assert commands.run("recsys.build_index", "-w", root, "--train-on", "split").code == 0
        assert same_results(root, built)

    def test_a_workspace_from_before_is_built_again_with_the_stage_1_it_has(self, commands, built, copy_of_built):
        shutil.rmtree(copy_of_built / "tuning")
        made = (copy_of_built / "encoder-semantic/manifest.json").read_bytes()
        result = commands.run("recsys.build_index", "-w", copy_of_built)
        assert result.code == 0, result.err
        assert "stage 1 " not in result.err
        assert (copy_of_built / "tuning/encoder-semantic/manifest.json").read_bytes() == made
        assert same_results(copy_of_built, built)


class TestRepetition:
    def test_a_second_run_does_nothing(self, commands, built):
        before, times = published(built), file_times(built)
        result = commands.run("recsys.build_index", "-w", built)
        assert result.code == 0
        assert published(built) == before
        assert file_times(built) == times

    def test_the_kind_of_index_is_kept_unless_another_is_asked_for(self, commands, copy_of_built):
        assert commands.run("recsys.build_index", "-w", copy_of_built, "--index", "faiss-hnsw").code == 0
        before = published(copy_of_built)["index"]
        assert before.settings["asked"] == "faiss-hnsw"
        assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
        assert published(copy_of_built)["index"] == before

    def test_two_fresh_builds_are_the_same_wherever_they_lie(self, commands, built, tmp_path):
        """Same seed, same result: the audio is copied, so that only its place and time differ."""
        first, second = tmp_path / "workspace", built
        first.mkdir()
        shutil.copytree(built / "demo-audio", first / "demo-audio", copy_function=shutil.copy2)
        assert commands.run("recsys.build_index", "-w", first).code == 0
        assert same_results(first, second)
        fingerprints = [{step: made.fingerprint for step, made in published(root).items()} for root in (first, second)]
        assert fingerprints[0]["dataset"] == fingerprints[1]["dataset"]
        assert fingerprints[0]["index"] == fingerprints[1]["index"]

    def test_two_processes_in_one_workspace_both_end_well(self, commands, built, tmp_path):
        root = tmp_path / "workspace"
        shutil.copytree(built, root)
        shutil.rmtree(root / "models")
        shutil.rmtree(root / "tuning/models")
        shutil.rmtree(root / "index")
        running = [commands.start("recsys.build_index", "-w", root) for _ in range(2)]
        results = [each.wait() for each in running]
        assert [result.code for result in results] == [0, 0]
        assert sum("waiting for it" in result.err for result in results) == 1
        assert sum("trials" in result.err for result in results) == 1
        assert same_results(root, built)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--index", "annoy"], "faiss-hnsw"),
            (["--preset", "huge"], "demo, small or paper"),
            (["--train-on", "test"], "split or all"),
            (["--split", "random"], "time or leave-last-out"),
        ],
    )
    def test_are_exit_code_2_with_what_to_do(self, commands, copy_of_built, arguments, words):
        started = time.monotonic()
        result = commands.run("recsys.build_index", "-w", copy_of_built, *arguments)
        assert result.code == 2
        assert words in result.err
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("columns", [["track_id", "title"], ["track_id"]], ids=["no audio", "neither audio nor text"])
def test_playlists_alone_are_enough_from_end_to_end(commands, tmp_path, columns):
    root = tmp_path / "workspace"
    names = [f"song {number:02}" for number in range(20)]
    entries = [
        {"playlist_id": f"p{number:02}", "position": place, "track_id": names[(number * 3 + place) % 20]}
        for number in range(40)
        for place in range(5)
    ]
    tables = {
        "tracks": pl.DataFrame({"track_id": names, "title": names}).select(columns),
        "playlists": pl.DataFrame({"playlist_id": [f"p{n:02}" for n in range(40)], "title": ["a list"] * 40}),
        "playlist_tracks": pl.DataFrame(entries),
    }
    save_dataset(Workspace(root), Imported(tables), {"importer": "test"})
    built = commands.run("recsys.build_index", "-w", root)
    assert built.code == 0, built.err
    for question in (["--playlist", "song 03,song 04"], ["--title", "a list"]):
        asked = commands.run("recsys.recommend", "-w", root, *question, "--json")
        assert asked.code == 0, asked.err
        assert len(json.loads(asked.out)) > 0
    measured = commands.run("eval.run", "-w", root)
    assert measured.code == 0, measured.err
    assert "next-song: skipped" in measured.err


def test_the_dataset_knows_it_is_simulated(built):
    assert load_dataset(Workspace(built)).simulated
