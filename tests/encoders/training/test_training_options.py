"""What the training loop can do besides: averaged weights, gradients of several batches, a text tower that stays."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from data.console.progress import console_meter
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.training.loop import Batch, TrainingPlan, TrainingSettings, schedule, train
from encoders.training.losses import semantic_loss
from encoders.training.stages import TrainingFolder, train_semantic
from tests.encoders.toys import tiny_model
from tests.encoders.training.toy_training import FAST, TRACKS, Weights, fresh, same, stage_1, stop_after, weights


def toy_plan(reader: SongReader, settings: TrainingSettings, *rows: slice) -> TrainingPlan:
    """Stage 1 on the same batches in every epoch."""
    batches = [lambda part=part: Batch(TRACKS[part], semantic_loss) for part in rows]
    return TrainingPlan("toy", reader, lambda epoch: batches, settings, "a")


class TestAverage:
    def test_is_the_exponential_one_of_the_weights_after_each_step(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = fresh(toy_reader)
        after = [weights(model)]
        clamp = HtclModel.clamp_scales

        def spy(self: HtclModel) -> None:  # the last thing that changes weights in a step
            clamp(self)
            after.append(weights(self))

        monkeypatch.setattr(HtclModel, "clamp_scales", spy)
        settings = FAST.model_copy(update={"ema": 0.7, "epochs": 3})
        train(model, toy_plan(toy_reader, settings, slice(0, 8), slice(8, 16)), tmp_path)
        assert len(after) == 7
        for name, value in weights(model).items():
            expected = after[0][name].double()
            for step in after[1:]:
                expected = 0.7 * expected + 0.3 * step[name]
            torch.testing.assert_close(value.double(), expected.double(), rtol=1e-5, atol=1e-6)
        assert not same(weights(model), after[-1])


class TestAccumulation:
    """Two batches in one step."""

    A, B, C = slice(0, 5), slice(5, 10), slice(10, 16)

    def gradients(
        self, reader: SongReader, scratch: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int, *rows: slice
    ) -> list[Weights]:
        """Of every step of an epoch that moves nothing to speak of."""
        found: list[Weights] = []
        model = fresh(reader, dropout=0.0)

        def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> None:
            found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

        scratch.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", spy)
            settings = FAST.model_copy(update={"epochs": 1, "accumulate": accumulate, "clip": 1e9, "crop_frames": None})
            train(model, toy_plan(reader, settings, *rows), scratch)
        return found

    def test_a_step_takes_the_mean_gradient_and_the_last_one_what_is_left(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a, b, c = self.gradients(toy_reader, tmp_path / "one", monkeypatch, 1, self.A, self.B, self.C)
        both, rest = self.gradients(toy_reader, tmp_path / "two", monkeypatch, 2, self.A, self.B, self.C)
        assert both.keys() == a.keys() == b.keys()
        for name, value in both.items():
            torch.testing.assert_close(value, (a[name] + b[name]) / 2, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(rest[name], c[name], rtol=1e-4, atol=1e-6)

    def test_the_loss_said_is_that_of_a_batch_and_the_rates_go_by_steps(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rates: list[float] = []
        step = torch.optim.AdamW.step
        monkeypatch.setattr(
            torch.optim.AdamW, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1]
        )
        slow = {"lr": 1e-12, "audio_lr": 1e-12, "text_lr": 0.0, "epochs": 2, "crop_frames": None}
        losses = []
        for accumulate in (1, 2):
            settings = FAST.model_copy(update=slow | {"accumulate": accumulate})
            plan = toy_plan(toy_reader, settings, self.A, self.B, self.C)
            losses.append(train(fresh(toy_reader, 0.0), plan, tmp_path).losses)
        assert losses[1] == pytest.approx(losses[0], rel=1e-4)
        assert rates[6:] == pytest.approx([1e-12 * schedule(at / 4, 0.1) for at in range(4)])


def test_the_line_without_a_terminal_tells_loss_temperature_speed_and_time_left(
    toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("data.console.progress.PLAIN_EVERY_S", 0.0)
    monkeypatch.setattr("data.reporting._progress", console_meter)
    stage_1(toy_reader, tmp_path, FAST)
    line = r"stage 1 +8/8  epoch 4/4  loss \d\.\d\d  scale 1\d\.\d  \d+ songs/s  0 s left"
    assert re.search(line, capsys.readouterr().err)


class TestLockedText:
    @pytest.mark.parametrize("shortcut", [False, True])
    def test_text_stays_and_sound_moves_and_everything_can_be_trained_afterwards(
        self, toy_reader: SongReader, tmp_path: Path, shortcut: bool
    ) -> None:
        model = tiny_model(vocabulary=len(toy_reader.tokenizer), text_shortcut=shortcut)
        before = weights(model)
        settings = FAST.model_copy(update={"lock_text": True, "epochs": 2, "ema": 0.5})
        train_semantic(model, toy_reader, TRACKS, settings, TrainingFolder(tmp_path, "a"))
        changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
        assert any(name.startswith("audio_model.") for name in changed)
        assert any(name.startswith("audio_head.") for name in changed)
        assert not any(name.startswith("text_") for name in changed)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_without_a_rate_the_tower_stays_and_its_head_moves(self, toy_reader: SongReader, tmp_path: Path) -> None:
        model = tiny_model(vocabulary=len(toy_reader.tokenizer))
        before = weights(model)
        settings = FAST.model_copy(update={"text_lr": 0.0, "epochs": 2})
        train_semantic(model, toy_reader, TRACKS, settings, TrainingFolder(tmp_path, "a"))
        changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
        assert not any(name.startswith("text_model.") for name in changed)
        assert any(name.startswith("text_head.") for name in changed)
        assert any(name.startswith("audio_model.") for name in changed)

    @pytest.mark.parametrize("still", [{"text_lr": 0.0}, {"lock_text": True}])
    def test_what_stays_drops_nothing_out(
        self, toy_reader: SongReader, tmp_path: Path, still: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modes = set()
        step = torch.optim.AdamW.step
        model = fresh(toy_reader)

        def spy(self: torch.optim.AdamW) -> None:
            modes.add((model.audio_model.training, model.text_model.training))
            step(self)

        monkeypatch.setattr(torch.optim.AdamW, "step", spy)
        settings = FAST.model_copy(update={"epochs": 2, **still})
        train_semantic(model, toy_reader, TRACKS, settings, TrainingFolder(tmp_path, "a"))
        assert modes == {(True, False)}

    @pytest.mark.parametrize("still", [{"text_lr": 0.0}, {"lock_text": True}])
    def test_goes_on_where_it_was_stopped(
        self, toy_reader: SongReader, tmp_path: Path, still: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = FAST.model_copy(update=still)
        whole, _ = stage_1(toy_reader, tmp_path / "whole", settings)
        stop_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            stage_1(toy_reader, tmp_path / "cut", settings)
        resumed, _ = stage_1(toy_reader, tmp_path / "cut", settings)
        assert same(resumed, whole)
