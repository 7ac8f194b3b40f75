"""Which songs choose the epoch, how they judge an encoder, and which epoch is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import ndcg_score
from torch import Tensor

import encoders.training.epoch_selection as validation
from encoders.encoding.retrieval import ranks_of_own, vectors_of
from encoders.encoding.song_batches import SongReader
from encoders.htcl import HtclModel
from encoders.model.outputs import SongVectors
from encoders.training.checkpoint import History
from encoders.training.epoch_selection import LEAST, MOST, Partners, choose_songs, text_and_audio
from encoders.training.loop import Batch, TrainingPlan, TrainingSettings, train
from encoders.training.losses import semantic_loss
from encoders.training.presets import PreferenceSettings
from encoders.training.stages import Listening, TrainingFolder, train_preference, train_semantic
from tests.encoders.toys import build_reader, mels_of, tiny_model, toy_mels, toy_texts

FAST = TrainingSettings(epochs=4, batch_size=8, lr=3e-3, audio_lr=3e-3, text_lr=3e-3, crop_frames=20)
TRACKS = np.arange(16, dtype=np.int32)
Weights = dict[str, Tensor]


def weights(model: HtclModel) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_vectors_that_are_all_the_same_find_their_own_by_luck_alone() -> None:
    assert ranks_of_own(torch.ones(5, 5)).tolist() == [3.0] * 5
    cosines = torch.tensor([[0.9, 0.1, 0.5], [0.7, 0.7, 0.2], [0.3, 0.8, 0.1]])
    assert ranks_of_own(cosines).tolist() == [1.0, 1.5, 3.0]


def same(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


class TestChooseSongs:
    def test_the_share_in_order_and_each_once(self) -> None:
        tracks = np.arange(0, 2000, 2, dtype=np.int32)
        chosen = choose_songs(tracks, 0.2, 0)
        assert len(chosen) == 200
        assert (np.diff(chosen) > 0).all()
        assert np.isin(chosen, tracks).all()
        assert chosen.dtype == np.int32

    @pytest.mark.parametrize(("count", "expected"), [(LEAST * 10 - 10, 0), (LEAST * 10, LEAST), (MOST * 30, MOST)])
    def test_too_few_are_none_and_there_is_a_most(self, count: int, expected: int) -> None:
        assert len(choose_songs(np.arange(count, dtype=np.int32), 0.1, 0)) == expected

    def test_a_share_of_0_is_none(self) -> None:
        assert len(choose_songs(np.arange(10_000, dtype=np.int32), 0.0, 0)) == 0

    def test_the_seed_decides(self) -> None:
        tracks = np.arange(1000, dtype=np.int32)
        assert np.array_equal(choose_songs(tracks, 0.2, 7), choose_songs(tracks, 0.2, 7))
        assert not np.array_equal(choose_songs(tracks, 0.2, 7), choose_songs(tracks, 0.2, 8))


SONGS, BLOCK = 300, 10


@pytest.fixture
def nothing_known() -> SongReader:
    return SongReader(mels_of([None] * SONGS), ["a song"] * SONGS, None)  # type: ignore[arg-type]


@pytest.fixture
def blocks() -> pl.DataFrame:
    """All pairs inside blocks of 10 songs."""
    couples = [(a, b) for a in range(SONGS) for b in range(a + 1, SONGS) if a // BLOCK == b // BLOCK]
    return pl.DataFrame(couples, {"first": pl.Int32, "second": pl.Int32}, orient="row")


def give(vectors: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch, text: Any = None) -> Any:
    """A "model" whose vectors are these; row by track."""

    def found(model: Any, reader: Any, tracks: NDArray[np.int32]) -> SongVectors:
        rows = torch.from_numpy(vectors[tracks])
        everyone = torch.ones(len(tracks), dtype=torch.bool)
        return SongVectors(rows, rows if text is None else torch.from_numpy(text[tracks]), rows, everyone, everyone)

    monkeypatch.setattr(validation, "vectors_of", found)


class TestPartners:
    CHOSEN = np.arange(0, SONGS, 7, dtype=np.int32)

    def test_a_perfect_space_is_worth_1(
        self, nothing_known: SongReader, blocks: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A song's own vector is nearest of all: where its own row counted, the partners would not stand first.
        rng = np.random.default_rng(0)
        give(np.eye(30)[np.arange(SONGS) // BLOCK] + 0.01 * rng.standard_normal((SONGS, 30)), monkeypatch)
        assert Partners(nothing_known, self.CHOSEN, blocks, 0)(tiny_model()) == pytest.approx(1.0)

    def test_a_random_space_is_worth_what_chance_is(
        self, nothing_known: SongReader, blocks: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(1)
        give(rng.standard_normal((SONGS, 30)), monkeypatch)
        asked = Partners(nothing_known, self.CHOSEN, blocks, 0)
        chance = np.mean([ndcg_score(asked.relevant, rng.random(asked.relevant.shape), k=100) for _ in range(20)])
        assert asked(tiny_model()) == pytest.approx(chance, abs=0.05)
        assert chance < 0.3

    def test_the_pool_holds_the_chosen_some_partners_and_others(
        self, nothing_known: SongReader, blocks: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(validation, "POOL", 120)
        chosen = np.array([3, 55, 290], np.int32)
        asked = Partners(nothing_known, chosen, blocks, 0)
        assert len(asked.pool) == len(np.unique(asked.pool)) == 120
        assert np.isin(chosen, asked.pool).all()
        for row, song in enumerate(chosen):
            assert asked.pool[asked.own[row]].tolist() == [song]
            assert asked.relevant[row].sum() >= validation.PARTNERS
            assert set(asked.pool[asked.relevant[row]] // BLOCK) == {song // BLOCK}
        assert not (asked.own & asked.relevant).any()

    def test_songs_of_which_nothing_is_known_fill_no_pool(self, blocks: pl.DataFrame) -> None:
        texts = ["a song" if number < 200 else None for number in range(SONGS)]
        reader = SongReader(mels_of([None] * SONGS), texts, None)  # type: ignore[arg-type]
        asked = Partners(reader, np.array([3, 55], np.int32), blocks, 0)
        assert asked.pool.max() < 200

    def test_the_same_seed_asks_the_same(self, nothing_known: SongReader, blocks: pl.DataFrame) -> None:
        one, two = (Partners(nothing_known, self.CHOSEN, blocks, 3) for _ in range(2))
        assert np.array_equal(one.pool, two.pool)


class TestTextAndAudio:
    def test_equal_vectors_are_worth_1_and_random_ones_next_to_nothing(
        self, nothing_known: SongReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(0)
        vectors, others = rng.standard_normal((2, SONGS, 30))
        tracks = np.arange(200, dtype=np.int32)
        give(vectors, monkeypatch, 3 * vectors)
        assert text_and_audio(tiny_model(), nothing_known, tracks) == 1
        give(vectors, monkeypatch, others)
        chance = (1 / np.arange(1, 201)).mean()
        assert text_and_audio(tiny_model(), nothing_known, tracks) == pytest.approx(chance, abs=0.02)

    def test_both_ways_count(self, nothing_known: SongReader, monkeypatch: pytest.MonkeyPatch) -> None:
        # Both sounds lie nearest to the first text, and each text nearest to its own sound.
        sounds, texts = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[1.0, 0.0], [0.2, 1.0]])
        give(sounds, monkeypatch, texts)
        found = text_and_audio(tiny_model(), nothing_known, np.arange(2, dtype=np.int32))
        assert found == pytest.approx((1 + 1 + 1 + 1 / 2) / 4)


def test_vectors_of_come_in_the_order_asked_for(tmp_path: Path) -> None:
    mels = [mel if n % 3 else None for n, mel in enumerate(toy_mels(16))]
    texts = [text if n % 3 != 1 else None for n, text in enumerate(toy_texts(16))]
    reader = build_reader(tmp_path, mels, texts)
    model, tracks = tiny_model(vocabulary=len(reader.tokenizer)), np.array([9, 2, 15, 4, 0], np.int32)
    found = vectors_of(model, reader, tracks)
    for row, track in enumerate(tracks):
        with torch.no_grad():
            alone = model(**reader.read(np.array([track])))
        assert (found.has_audio[row], found.has_text[row]) == (alone.has_audio[0], alone.has_text[0])
        for name in ("audio", "text", "fusion"):
            if getattr(alone, name) is not None:
                torch.testing.assert_close(getattr(found, name)[row], getattr(alone, name)[0], atol=1e-5, rtol=0)


class Script:
    """Says what it was told to, whatever the weights; remembers them."""

    def __init__(self, *values: float) -> None:
        self.values: Iterator[float] = iter(values)
        self.seen: list[Weights] = []

    def __call__(self, model: HtclModel) -> float:
        assert not model.training
        assert not torch.is_grad_enabled()
        self.seen.append(weights(model))
        return next(self.values)


def scripted(reader: SongReader, scratch: Path, script: Script | None, **changed: Any) -> tuple[HtclModel, History]:
    scratch.mkdir(exist_ok=True)
    settings = FAST.model_copy(update=changed)
    model = tiny_model(vocabulary=len(reader.tokenizer), dropout=0.1)
    batches = [lambda: Batch(TRACKS[:8], semantic_loss), lambda: Batch(TRACKS[8:], semantic_loss)]
    return model, train(model, TrainingPlan("toy", reader, lambda epoch: batches, settings, "a", script), scratch)


class TestWhatIsKept:
    @pytest.mark.parametrize("ema", [None, 0.7])
    def test_the_best_epochs_weights_the_first_of_equals(
        self, toy_reader: SongReader, tmp_path: Path, ema: float | None
    ) -> None:
        script = Script(0.1, 0.5, 0.3, 0.5)
        model, history = scripted(toy_reader, tmp_path / "scratch", script, ema=ema)
        assert (history.best, history.epochs, history.validation) == (2, 4, [0.1, 0.5, 0.3, 0.5])
        assert same(weights(model), script.seen[1])
        assert not any(same(weights(model), script.seen[epoch]) for epoch in (0, 2, 3))
        assert "epoch 2 of 4 kept (validation 0.500)" in history.kept()

    def test_without_validation_the_last(self, toy_reader: SongReader, tmp_path: Path) -> None:
        script = Script(0.1, 0.2, 0.3, 0.4)
        watched, _ = scripted(toy_reader, tmp_path / "watched", script)
        model, history = scripted(toy_reader, tmp_path / "plain", None)
        assert history.best is None
        assert same(weights(model), script.seen[3])
        assert same(weights(watched), script.seen[3])

    def test_patience_ends_it(self, toy_reader: SongReader, tmp_path: Path) -> None:
        script = Script(0.1, 0.5, 0.3, 0.4, 0.9)
        model, history = scripted(toy_reader, tmp_path / "scratch", script, epochs=6, patience=2)
        assert (history.best, history.epochs) == (2, 4)
        assert same(weights(model), script.seen[1])

    def test_patience_counts_from_the_best(self, toy_reader: SongReader, tmp_path: Path) -> None:
        script = Script(0.5, 0.3, 0.6, 0.4, 0.7, 0.1)
        _, history = scripted(toy_reader, tmp_path / "scratch", script, epochs=6, patience=2)
        assert (history.best, history.epochs) == (5, 6)

    def test_one_that_was_stopped_by_patience_is_not_gone_on_with(self, toy_reader: SongReader, tmp_path: Path) -> None:
        script = Script(0.5, 0.4)
        first, _ = scripted(toy_reader, tmp_path / "scratch", script, patience=1)
        again, history = scripted(toy_reader, tmp_path / "scratch", Script(), patience=1)
        assert history.epochs == 2
        assert same(weights(again), weights(first))


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Every track that is read as training reads, cropped and in its batch's place."""
    found: set[int] = set()
    read = SongReader.read

    def spy(self: SongReader, tracks: NDArray[np.int32], view: Any = None, *args: Any) -> Any:
        if view is not None:
            found.update(tracks.tolist())
        return read(self, tracks, view, *args)

    monkeypatch.setattr(SongReader, "read", spy)
    return found


class TestSongsThatChoose:
    SETTINGS = PreferenceSettings(
        **FAST.model_copy(update={"epochs": 3, "validation_share": 0.25, "batch_size": 4}).model_dump(),
        hard_negatives=1.0,
    )

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(validation, "LEAST", 4)

    def test_stage_1_trains_on_all_others_alone(
        self, toy_reader: SongReader, tmp_path: Path, trained_on: set[int]
    ) -> None:
        chosen = choose_songs(TRACKS, 0.25, self.SETTINGS.seed)
        model = tiny_model(vocabulary=len(toy_reader.tokenizer))
        history = train_semantic(model, toy_reader, TRACKS, self.SETTINGS, TrainingFolder(tmp_path, "a"))
        assert len(chosen) == 4
        assert trained_on == set(range(16)) - set(chosen.tolist())
        assert len(history.validation) == 3
        assert all(0 < value <= 1 for value in history.validation)

    def test_stage_2_trains_on_no_pair_and_no_skip_of_theirs(
        self, toy_reader: SongReader, tmp_path: Path, trained_on: set[int]
    ) -> None:
        schema = {"first": pl.Int32, "second": pl.Int32, "support": pl.Float64, "weight": pl.Float64}
        couples = [(a, b, 2.0, 1.0) for a in range(16) for b in range(a + 1, 16) if (b - a) % 3 == 0]
        pairs = pl.DataFrame(couples, schema, orient="row")
        skips = pl.DataFrame(
            [(a, b, 2.0) for a in range(16) for b in range(16) if (b - a) % 3],
            schema=["first", "second", "support"],
            orient="row",
        )
        chosen = choose_songs(TRACKS, 0.25, self.SETTINGS.seed)
        model = tiny_model(vocabulary=len(toy_reader.tokenizer))
        settings = self.SETTINGS.model_copy(update={"steps_per_epoch": 8})
        history = train_preference(model, toy_reader, Listening(pairs, skips), settings, TrainingFolder(tmp_path, "a"))
        assert trained_on == set(range(16)) - set(chosen.tolist())
        assert len(history.validation) == 3
        assert all(0 < value <= 1 for value in history.validation)
