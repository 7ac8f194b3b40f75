"""A training that was cut off ends as one that was not, bit for bit."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import encoders.training.epoch_selection as validation
from encoders.encoding.song_batches import SongReader
from encoders.training.stages import Listening, TrainingFolder, train_preference, train_semantic
from tests.encoders.training.toy_training import (
    FAST,
    NEIGHBOURS,
    STAGE_2,
    TRACKS,
    Weights,
    fresh,
    same,
    stage_1,
    stop_after,
    weights,
)


class TestResuming:
    @pytest.mark.parametrize("epochs", [1, 3])
    def test_stage_1_stopped_and_resumed_equals_one_that_was_not(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int
    ) -> None:
        whole, losses = stage_1(toy_reader, tmp_path / "whole")
        stop_after(epochs, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            stage_1(toy_reader, tmp_path / "cut")
        torch.randn(7)  # whatever happened in between
        resumed, found = stage_1(toy_reader, tmp_path / "cut")
        assert found == losses
        assert same(resumed, whole)

    def test_stage_2_stopped_and_resumed_equals_one_that_was_not(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = STAGE_2.model_copy(update={"epochs": 3, "steps_per_epoch": 2, "forget": 0.3})
        (tmp_path / "whole").mkdir()
        (tmp_path / "cut").mkdir()
        whole = fresh(toy_reader)
        train_preference(whole, toy_reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path / "whole", "a"))
        stop_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            train_preference(
                fresh(toy_reader), toy_reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path / "cut", "a")
            )
        resumed = fresh(toy_reader)
        train_preference(resumed, toy_reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path / "cut", "a"))
        assert same(weights(resumed), weights(whole))

    @pytest.mark.parametrize("epochs", [1, 2])
    @pytest.mark.parametrize("stage", ["semantic", "preference"])
    def test_with_an_average_validation_and_accumulation_too(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, epochs: int
    ) -> None:
        monkeypatch.setattr(validation, "LEAST", 4)
        changed = {"ema": 0.8, "validation_share": 0.25, "accumulate": 2, "batch_size": 3, "patience": 3, "epochs": 3}
        settings = STAGE_2.model_copy(update=changed | {"steps_per_epoch": 3, "hard_negatives": 0.5})
        skips = pl.DataFrame({"first": [0, 3, 8], "second": [9, 8, 3], "support": [2.0] * 3})

        def learn(scratch: Path) -> tuple[Weights, Any]:
            model = fresh(toy_reader)
            scratch.mkdir(exist_ok=True)
            if stage == "semantic":
                history = train_semantic(model, toy_reader, TRACKS, settings, TrainingFolder(scratch, "a"))
            else:
                listening = Listening(NEIGHBOURS, skips)
                history = train_preference(model, toy_reader, listening, settings, TrainingFolder(scratch, "a"))
            return weights(model), history

        whole, expected = learn(tmp_path / "whole")
        stop_after(epochs, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            learn(tmp_path / "cut")
        resumed, history = learn(tmp_path / "cut")
        assert history == expected
        assert len(history.validation) == 3
        assert same(resumed, whole)

    @pytest.mark.parametrize("change", ["identity", "settings"])
    @pytest.mark.usefixtures("listening")
    def test_other_data_or_settings_start_afresh(
        self,
        toy_reader: SongReader,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        change: str,
    ) -> None:
        identity = "b" if change == "identity" else "a"
        settings = FAST.model_copy(update={"lr": 1e-3}) if change == "settings" else FAST
        expected, losses = stage_1(toy_reader, tmp_path / "whole", settings, identity)
        stop_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            stage_1(toy_reader, tmp_path / "cut")
        found, other = stage_1(toy_reader, tmp_path / "cut", settings, identity)
        assert len(other) == len(losses) == 4
        assert same(found, expected)
        assert "of other data or settings; training starts afresh" in capsys.readouterr().err

    @pytest.mark.parametrize("damage", ["cut", "empty", "noise", "header", "history"])
    @pytest.mark.usefixtures("listening")
    def test_a_damaged_checkpoint_is_said_and_training_starts_afresh(
        self, toy_reader: SongReader, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
    ) -> None:
        expected, _ = stage_1(toy_reader, tmp_path / "scratch")
        path = tmp_path / "scratch" / "checkpoint.safetensors"
        content = path.read_bytes()
        damaged = {
            "cut": content[:-500],
            "empty": b"",
            "noise": b"\x07" * 900,
            "header": content[:40],
            "history": content.replace(b"losses", b"mosses"),
        }
        path.write_bytes(damaged[damage])
        capsys.readouterr()
        found, losses = stage_1(toy_reader, tmp_path / "scratch")
        assert "damaged" in capsys.readouterr().err
        assert len(losses) == 4
        assert same(found, expected)

    def test_a_finished_training_is_not_repeated(self, toy_reader: SongReader, tmp_path: Path) -> None:
        first, losses = stage_1(toy_reader, tmp_path / "scratch")
        model = fresh(toy_reader)
        again = train_semantic(model, toy_reader, TRACKS, FAST, TrainingFolder(tmp_path / "scratch", "a"))
        assert again.losses == losses
        assert same(weights(model), first)

    def test_the_seed_decides(self, toy_reader: SongReader, tmp_path: Path) -> None:
        first, _ = stage_1(toy_reader, tmp_path / "a")
        second, _ = stage_1(toy_reader, tmp_path / "b")
        other, _ = stage_1(toy_reader, tmp_path / "c", FAST.model_copy(update={"seed": 1}))
        assert same(first, second)
        assert not same(first, other)
