"""The training loop: it learns, and it says what went wrong."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import encoders.training.epoch_selection as validation
from encoders.encoding.song_batches import SongReader
from encoders.model.outputs import SongVectors
from encoders.training.loop import Batch, Run, TrainingPlan, TrainingSettings, parameter_groups, schedule, train
from encoders.training.stages import Listening, TrainingFolder, train_preference, train_semantic, usable_pairs
from tests.encoders.toys import build_reader, tiny_model, toy_mels, toy_texts
from tests.encoders.training.toy_training import (
    FAST,
    NEIGHBOURS,
    STAGE_2,
    TRACKS,
    fresh,
    pairs_of,
    stage_1,
    weights,
)


class TestLearning:
    def test_stage_1_falls_clearly_below_chance(self, toy_reader: SongReader, tmp_path: Path) -> None:
        settings = FAST.model_copy(
            update={"epochs": 60, "batch_size": 16, "lr": 1e-3, "audio_lr": 1e-3, "text_lr": 1e-3}
        )
        _, losses = stage_1(toy_reader, tmp_path / "scratch", settings, dropout=0.0)
        assert losses[0] > 0.8 * math.log(16)
        assert losses[-1] < 0.6 * math.log(16)

    def test_stage_2_brings_partners_together_and_keeps_audio_near_its_text(
        self, toy_reader: SongReader, tmp_path: Path
    ) -> None:
        settings = STAGE_2.model_copy(update={"epochs": 4, "steps_per_epoch": 30})
        model = fresh(toy_reader, 0.0)
        losses = train_preference(
            model, toy_reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path, "a")
        ).losses
        assert losses[-1] < 0.7 * losses[0]
        assert model.config.fusion == "mlp"
        assert not model.training
        with torch.no_grad():
            songs = model(**toy_reader.read(TRACKS))
        audio, text = (torch.nn.functional.normalize(vectors, dim=1) for vectors in (songs.audio, songs.text))
        cosines = (audio @ audio.T).fill_diagonal_(-1)
        partner = torch.arange(16) + 1 - 2 * (torch.arange(16) % 2)
        assert (cosines.argmax(dim=1) == partner).float().mean() > 0.7
        own = (audio * text).sum(dim=1).mean()
        assert own > (audio @ text.T).mean() + 0.2

    def test_learns_from_texts_alone(self, tmp_path: Path) -> None:
        reader = build_reader(tmp_path, [None] * 16, toy_texts(16))
        model = fresh(reader, 0.0)
        before = weights(model)
        settings = STAGE_2.model_copy(update={"epochs": 6, "steps_per_epoch": 5})
        losses = train_preference(model, reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path, "a")).losses
        assert losses[-1] < losses[0]
        assert model.config.fusion == "mean"
        changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
        assert any(name.startswith("text_head.") for name in changed)
        assert not any(name.startswith(("audio_", "fusion_")) for name in changed)

    def test_learns_where_songs_lack_either_modality(self, tmp_path: Path) -> None:
        mels = [mel if n % 3 else None for n, mel in enumerate(toy_mels(16))]
        texts = [text if n % 3 != 1 else None for n, text in enumerate(toy_texts(16))]
        reader = build_reader(tmp_path, mels, texts)
        settings = STAGE_2.model_copy(update={"epochs": 6, "steps_per_epoch": 5})
        losses = train_preference(
            fresh(reader, 0.0), reader, Listening(NEIGHBOURS), settings, TrainingFolder(tmp_path, "a")
        ).losses
        assert losses[-1] < losses[0]

    def test_pairs_with_a_song_of_which_nothing_is_known_are_not_usable(self, tmp_path: Path) -> None:
        mels = [*toy_mels(14), None, None]
        reader = build_reader(tmp_path, mels, [*toy_texts(14), None, "calm"])
        couples = pairs_of((0, 1), (1, 14), (1, 15), (13, 14))
        assert usable_pairs(reader, couples).select("first", "second").rows() == [(0, 1), (1, 15)]


def test_the_curves_hold_every_steps_loss_and_every_epochs_validation(
    toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "LEAST", 4)
    settings = FAST.model_copy(update={"validation_share": 0.25, "batch_size": 6})
    place = TrainingFolder(tmp_path, "a", tmp_path / "logs")
    history = train_semantic(fresh(toy_reader), toy_reader, TRACKS, settings, place)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert {"stage 1/loss", "stage 1/validation", "stage 1/rate", "stage 1/scale_1"} <= set(events.Tags()["scalars"])
    losses = events.Scalars("stage 1/loss")
    assert [event.step for event in losses] == list(range(1, 9))
    means = np.array([event.value for event in losses]).reshape(4, 2).mean(axis=1)
    assert means.tolist() == pytest.approx(history.losses, rel=1e-5)
    checked = events.Scalars("stage 1/validation")
    assert [event.step for event in checked] == [2, 4, 6, 8]  # at the step that ended the epoch
    assert [event.value for event in checked] == pytest.approx(history.validation, rel=1e-5)


def test_the_curves_go_on_after_a_resume_and_start_again_with_another_training(
    toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps() -> list[int]:
        events = EventAccumulator(str(tmp_path / "logs")).Reload()
        return [event.step for event in events.Scalars("stage 1/loss")]

    place, epoch = TrainingFolder(tmp_path, "a", tmp_path / "logs"), Run.epoch

    def cut(run: Run, number: int) -> float:
        loss = epoch(run, number)
        if number == 1:  # before its checkpoint
            raise KeyboardInterrupt
        return loss

    monkeypatch.setattr(Run, "epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        train_semantic(fresh(toy_reader), toy_reader, TRACKS, FAST, place)
    monkeypatch.setattr(Run, "epoch", epoch)
    train_semantic(fresh(toy_reader), toy_reader, TRACKS, FAST, place)
    whole = steps()
    assert whole == list(range(1, len(whole) + 1))
    train_semantic(fresh(toy_reader), toy_reader, TRACKS, FAST, TrainingFolder(tmp_path, "b", tmp_path / "logs"))
    assert steps() == whole


class TestWhatGoesWrong:
    def test_a_loss_that_is_not_finite_raises_with_epoch_and_step(self, tmp_path: Path) -> None:
        reader = build_reader(tmp_path, toy_mels(16), toy_texts(16))
        model = fresh(reader)
        torch.nn.init.constant_(model.audio_head[0].weight, torch.nan)
        with pytest.raises(FloatingPointError, match="stage 1: the loss is nan in epoch 0, batch"):
            train_semantic(model, reader, TRACKS, FAST, TrainingFolder(tmp_path, "a"))
        assert not (tmp_path / "checkpoint.safetensors").exists()

    def test_a_gradient_that_is_not_finite_raises_before_it_reaches_the_weights(
        self, toy_reader: SongReader, tmp_path: Path
    ) -> None:
        model = fresh(toy_reader)

        def bad_loss(vectors: SongVectors, log_scales: Tensor) -> Tensor:
            return (log_scales - log_scales.detach()).sqrt().sum()

        plan = TrainingPlan("stage 1", toy_reader, lambda epoch: [lambda: Batch(TRACKS, bad_loss)], FAST, "a")
        with pytest.raises(FloatingPointError, match="gradient"):
            train(model, plan, tmp_path)
        assert all(torch.isfinite(value).all() for value in model.parameters())

    @pytest.mark.parametrize("at_once", [3, 16])
    def test_a_batch_in_parts_learns_the_same(self, toy_reader: SongReader, tmp_path: Path, at_once: int) -> None:
        whole, losses = stage_1(toy_reader, tmp_path / "whole", dropout=0.0)
        parts, others = stage_1(
            toy_reader, tmp_path / "parts", FAST.model_copy(update={"at_once": at_once}), dropout=0.0
        )
        assert others == pytest.approx(losses, rel=1e-3)
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, atol=5e-3, rtol=0.05)

    def test_temperatures_stay_in_their_range(self, toy_reader: SongReader, tmp_path: Path) -> None:
        found, _ = stage_1(toy_reader, tmp_path / "scratch", FAST.model_copy(update={"lr": 3.0, "clip": 100.0}))
        assert found["log_scales"].min() >= 0
        assert found["log_scales"].max() <= 4.6053


class TestSchedule:
    def test_rises_to_1_and_falls_to_0(self) -> None:
        shares = np.linspace(0, 1, 1001)
        factors = np.array([schedule(share, 0.1) for share in shares])
        assert 0 < factors[0] < 0.05
        assert factors.max() == pytest.approx(1)
        assert factors[100] == pytest.approx(1, abs=1e-3)
        assert factors[-1] == pytest.approx(0)
        assert (np.diff(factors[:100]) > 0).all()
        assert (np.diff(factors[101:]) < 0).all()

    def test_without_warm_up_starts_at_the_peak(self) -> None:
        assert schedule(0.0, 0.0) == 1

    def test_the_rates_of_the_steps_follow_it(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rates: list[float] = []
        step = torch.optim.AdamW.step

        def spy(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.AdamW, "step", spy)
        stage_1(toy_reader, tmp_path / "scratch")
        assert rates == pytest.approx([3e-3 * schedule(at / 8, 0.1) for at in range(8)])


def test_parameter_groups_hold_each_parameter_once_at_its_rate() -> None:
    model = tiny_model()
    settings = TrainingSettings(lr=3.0, audio_lr=1.0, text_lr=2.0)
    groups = parameter_groups(model, settings)
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    named = dict(model.named_parameters())
    assert sum(len(group["params"]) for group in groups) == len(found) == len(named)
    for name, parameter in named.items():
        group = found[id(parameter)]
        expected = 1.0 if name.startswith("audio_model.") else 2.0 if name.startswith("text_model.") else 3.0
        assert group["lr"] == expected, name
        plain = name.endswith(".bias") or ".norm" in name or "log_scales" in name
        assert (group.get("weight_decay") == 0) if plain else True, name
    for name in ("audio_model.layers.0.linear1.weight", "text_head.0.weight"):
        assert "weight_decay" not in found[id(named[name])], name
