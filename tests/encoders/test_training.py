"""The training loop: it learns, it goes on where it was stopped, and it says what went wrong."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import encoders.validation as validation
from encoders.batches import SongReader
from encoders.checkpoint import Checkpoint
from encoders.losses import Songs, semantic_loss
from encoders.model import HtclModel
from encoders.stages import Listening, Place, PreferenceSettings, train_preference, train_semantic, usable_pairs
from encoders.training import Batch, Plan, TrainingSettings, parameter_groups, schedule, train
from tests.encoders.toys import build_reader, tiny_model, toy_mels, toy_texts

FAST = TrainingSettings(epochs=4, batch_size=8, lr=3e-3, audio_lr=3e-3, text_lr=3e-3, crop_frames=20)
STAGE_2 = PreferenceSettings(**FAST.model_dump())
TRACKS = np.arange(16, dtype=np.int32)
Weights = dict[str, Tensor]


def fresh(reader: SongReader, dropout: float = 0.1) -> HtclModel:
    return tiny_model(vocabulary=len(reader.tokenizer), dropout=dropout, head_dropout=dropout)


def stage_1(
    reader: SongReader, scratch: Path, settings: TrainingSettings = FAST, identity: object = "a", dropout: float = 0.1
) -> tuple[Weights, list[float]]:
    model = fresh(reader, dropout)
    scratch.mkdir(exist_ok=True)
    history = train_semantic(model, reader, TRACKS, settings, Place(scratch, identity))
    return weights(model), history.losses


def weights(model: HtclModel) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


def pairs_of(*couples: tuple[int, int]) -> pl.DataFrame:
    first, second = zip(*couples, strict=True)
    schema = {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64, "weight": pl.Float64}
    count = len(couples)
    return pl.DataFrame({"first": first, "second": second, "support": [2.0] * count, "weight": [1.0] * count}, schema)


NEIGHBOURS = pairs_of(*((n, n + 1) for n in range(0, 16, 2)))


def stop_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next training is cut off once that many checkpoints are written."""
    save, saved = Checkpoint.save, 0

    def save_and_stop(self: Checkpoint, *args: Any) -> None:
        nonlocal saved
        save(self, *args)
        saved += 1
        if saved == epochs:
            monkeypatch.setattr(Checkpoint, "save", save)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", save_and_stop)


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
        losses = train_preference(model, toy_reader, Listening(NEIGHBOURS), settings, Place(tmp_path, "a")).losses
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
        losses = train_preference(model, reader, Listening(NEIGHBOURS), settings, Place(tmp_path, "a")).losses
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
            fresh(reader, 0.0), reader, Listening(NEIGHBOURS), settings, Place(tmp_path, "a")
        ).losses
        assert losses[-1] < losses[0]

    def test_pairs_with_a_song_of_which_nothing_is_known_are_not_usable(self, tmp_path: Path) -> None:
        mels = [*toy_mels(14), None, None]
        reader = build_reader(tmp_path, mels, [*toy_texts(14), None, "calm"])
        couples = pairs_of((0, 1), (1, 14), (1, 15), (13, 14))
        assert usable_pairs(reader, couples).select("first", "second").rows() == [(0, 1), (1, 15)]


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
        train_preference(whole, toy_reader, Listening(NEIGHBOURS), settings, Place(tmp_path / "whole", "a"))
        stop_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            train_preference(
                fresh(toy_reader), toy_reader, Listening(NEIGHBOURS), settings, Place(tmp_path / "cut", "a")
            )
        resumed = fresh(toy_reader)
        train_preference(resumed, toy_reader, Listening(NEIGHBOURS), settings, Place(tmp_path / "cut", "a"))
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
                history = train_semantic(model, toy_reader, TRACKS, settings, Place(scratch, "a"))
            else:
                listening = Listening(NEIGHBOURS, skips)
                history = train_preference(model, toy_reader, listening, settings, Place(scratch, "a"))
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
    def test_other_data_or_settings_start_afresh(
        self,
        toy_reader: SongReader,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
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

    @pytest.mark.parametrize("damage", ["cut", "empty", "noise", "header"])
    def test_a_damaged_checkpoint_is_said_and_training_starts_afresh(
        self, toy_reader: SongReader, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
    ) -> None:
        expected, _ = stage_1(toy_reader, tmp_path / "scratch")
        path = tmp_path / "scratch" / "checkpoint.safetensors"
        content = path.read_bytes()
        damaged = {"cut": content[:-500], "empty": b"", "noise": b"\x07" * 900, "header": content[:40]}[damage]
        path.write_bytes(damaged)
        capsys.readouterr()
        found, losses = stage_1(toy_reader, tmp_path / "scratch")
        assert "damaged" in capsys.readouterr().err
        assert len(losses) == 4
        assert same(found, expected)

    def test_a_finished_training_is_not_repeated(self, toy_reader: SongReader, tmp_path: Path) -> None:
        first, losses = stage_1(toy_reader, tmp_path / "scratch")
        model = fresh(toy_reader)
        again = train_semantic(model, toy_reader, TRACKS, FAST, Place(tmp_path / "scratch", "a"))
        assert again.losses == losses
        assert same(weights(model), first)

    def test_the_seed_decides(self, toy_reader: SongReader, tmp_path: Path) -> None:
        first, _ = stage_1(toy_reader, tmp_path / "a")
        second, _ = stage_1(toy_reader, tmp_path / "b")
        other, _ = stage_1(toy_reader, tmp_path / "c", FAST.model_copy(update={"seed": 1}))
        assert same(first, second)
        assert not same(first, other)


def toy_plan(reader: SongReader, settings: TrainingSettings, *rows: slice) -> Plan:
    """Stage 1 on the same batches in every epoch."""
    batches = [lambda part=part: Batch(TRACKS[part], semantic_loss) for part in rows]
    return Plan("toy", reader, lambda epoch: batches, settings, "a")


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


class TestLockedText:
    @pytest.mark.parametrize("shortcut", [False, True])
    def test_text_stays_and_sound_moves_and_everything_can_be_trained_afterwards(
        self, toy_reader: SongReader, tmp_path: Path, shortcut: bool
    ) -> None:
        model = tiny_model(vocabulary=len(toy_reader.tokenizer), text_shortcut=shortcut)
        before = weights(model)
        settings = FAST.model_copy(update={"lock_text": True, "epochs": 2, "ema": 0.5})
        train_semantic(model, toy_reader, TRACKS, settings, Place(tmp_path, "a"))
        changed = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
        assert any(name.startswith("audio_model.") for name in changed)
        assert any(name.startswith("audio_head.") for name in changed)
        assert not any(name.startswith("text_") for name in changed)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_goes_on_where_it_was_stopped(
        self, toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = FAST.model_copy(update={"lock_text": True})
        whole, _ = stage_1(toy_reader, tmp_path / "whole", settings)
        stop_after(2, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            stage_1(toy_reader, tmp_path / "cut", settings)
        resumed, _ = stage_1(toy_reader, tmp_path / "cut", settings)
        assert same(resumed, whole)


def test_the_curves_hold_every_steps_loss_and_every_epochs_validation(
    toy_reader: SongReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "LEAST", 4)
    settings = FAST.model_copy(update={"validation_share": 0.25, "batch_size": 6})
    place = Place(tmp_path, "a", tmp_path / "logs")
    history = train_semantic(fresh(toy_reader), toy_reader, TRACKS, settings, place)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert {"stage 1/loss", "stage 1/validation", "stage 1/rate", "stage 1/scale_1"} <= set(events.Tags()["scalars"])
    losses = events.Scalars("stage 1/loss")
    assert [event.step for event in losses] == list(range(1, 9))
    means = np.array([event.value for event in losses]).reshape(4, 2).mean(axis=1)
    assert means.tolist() == pytest.approx(history.losses, rel=1e-5)
    checked = events.Scalars("stage 1/validation")
    assert [event.step for event in checked] == [1, 2, 3, 4]
    assert [event.value for event in checked] == pytest.approx(history.validation, rel=1e-5)


class TestWhatGoesWrong:
    def test_a_loss_that_is_not_finite_raises_with_epoch_and_step(self, tmp_path: Path) -> None:
        reader = build_reader(tmp_path, toy_mels(16), toy_texts(16))
        model = fresh(reader)
        torch.nn.init.constant_(model.audio_head[0].weight, torch.nan)
        with pytest.raises(FloatingPointError, match="stage 1: the loss is nan in epoch 0, batch"):
            train_semantic(model, reader, TRACKS, FAST, Place(tmp_path, "a"))
        assert not (tmp_path / "checkpoint.safetensors").exists()

    def test_a_gradient_that_is_not_finite_raises_before_it_reaches_the_weights(
        self, toy_reader: SongReader, tmp_path: Path
    ) -> None:
        model = fresh(toy_reader)

        def bad_loss(vectors: Songs, log_scales: Tensor) -> Tensor:
            return (log_scales - log_scales.detach()).sqrt().sum()

        plan = Plan("stage 1", toy_reader, lambda epoch: [lambda: Batch(TRACKS, bad_loss)], FAST, "a")
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
