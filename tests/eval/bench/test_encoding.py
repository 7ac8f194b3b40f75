"""`python -m eval.bench` on sizes without meaning: every measure runs, and what it counts and compares is right."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from data.audio.reading import load_mono
from data.errors import UserError
from encoders.htcl import HtclModel
from encoders.model.config import HtclAudioConfig
from encoders.model.processing import collate_mels
from encoders.model.towers import AudioTower
from encoders.training.losses import semantic_loss
from eval.bench import __main__ as command
from eval.bench.encoding import paper
from eval.bench.encoding import suite as encoders
from eval.bench.encoding.floors import layer_products, tower_flops
from eval.bench.encoding.gpu import gpu
from eval.bench.encoding.plain_training import plain_loss, plain_step
from eval.bench.encoding.sizes import Sizes, tiny_sizes
from eval.bench.encoding.songs import batch_of, cached_mels, found_files, music_files, noise_mels, noise_words
from eval.bench.rows import Row, cells, medians, rows_table


@pytest.fixture
def sizes() -> Sizes:
    return tiny_sizes()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process takes seconds to import torch."""

    def call(function, *args, **kwargs):
        return function(*args, **kwargs)

    def decode(files):
        return [load_mono(file) for file in files]

    monkeypatch.setattr(encoders, "in_a_child", call)
    monkeypatch.setattr(paper, "in_a_child", call)
    monkeypatch.setattr(encoders, "decode_all", decode)


class TestRows:
    def test_a_ratio_is_held_to_the_target_from_the_right_side(self):
        assert Row("rate", 9.0, "songs/s", 10.0, 0.9).reached is True
        assert Row("rate", 8.9, "songs/s", 10.0, 0.9).reached is False
        assert Row("memory", 11.0, "MiB", 10.0, 1.1, at_most=True).reached is True
        assert Row("memory", 11.1, "MiB", 10.0, 1.1, at_most=True).reached is False

    def test_without_a_floor_the_number_itself_is_held_to_it(self):
        assert Row("cosine", 0.9995, "", None, 0.999).reached is True
        assert Row("difference", 1e-3, "", None, 1e-6, at_most=True).reached is False
        assert Row("seconds", 3.0, "s").reached is None

    def test_a_row_in_words(self):
        assert cells(Row("rate", 120.0, "GFLOP/s", 160.0, 0.8)) == (
            "120 GFLOP/s",
            "160 GFLOP/s",
            "0.75",
            "≥ 0.8",
            "missed",
        )
        assert cells(Row("seconds", 3.0, "s")) == ("3.00 s", "-", "-", "", "")

    def test_the_table_fits(self):
        rows = [Row("GPU: encoding cached mels, bfloat16", 1234.0, "TFLOP/s", 1000.0, 0.5)] * 2
        out = io.StringIO()
        Console(file=out, width=100).print(rows_table(rows, "bench"))
        assert all(word in out.getvalue() for word in ("measure", "ours", "floor", "ratio", "target", "ok"))
        assert max(map(len, out.getvalue().splitlines())) <= 100

    def test_calls_take_turns_and_are_warmed_up(self):
        order: list[str] = []
        assert len(medians([lambda: order.append("a"), lambda: order.append("b")], 2)) == 2
        assert order == ["a", "b"] * 3


class TestArithmetic:
    @pytest.mark.parametrize("frames", [17, 60, 203])
    def test_operations_counted_by_torch_equal_the_formula(self, sizes, frames):
        tower = AudioTower(sizes.full.audio_config).eval()
        assert self.counted(tower, torch.zeros(1, frames, 128)) == tower_flops(tower, frames)

    def test_29_gflop_at_full_size(self):
        with torch.device("meta"):
            tower = AudioTower(HtclAudioConfig()).eval()
            assert self.counted(tower, torch.zeros(1, 1251, 128)) == tower_flops(tower, 1251)
        assert round(tower_flops(tower, 1251) / 1e9) == 29

    def counted(self, tower: AudioTower, frames: torch.Tensor) -> int:
        counter = FlopCounterMode(display=False)
        # torch does not count the fused attention of the CPU.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            tower(frames)
        return counter.get_total_flops()

    def test_the_floor_counts_the_products_that_it_makes(self, sizes):
        tower = AudioTower(sizes.full.audio_config)
        run, operations = layer_products(tower, 3, 60, like=torch.zeros(0))
        counter = FlopCounterMode(display=False)
        with counter:
            run()
        assert counter.get_total_flops() == operations
        assert operations < 3 * tower_flops(tower, 60)


class TestPlainLoop:
    def model(self, sizes: Sizes) -> HtclModel:
        return encoders.fresh_model(sizes.small).eval()

    def test_its_loss_is_ours_where_nothing_is_padded(self, sizes):
        model, mels, words = self.model(sizes), noise_mels(5, 1251), noise_words(sizes.small, 5)
        ours = semantic_loss(model(**batch_of(mels, words)), model.log_scales)
        frames = collate_mels(mels, published=True)[0]
        plain = plain_loss(model, frames, words["input_ids"], words["attention_mask"])
        torch.testing.assert_close(ours, plain)

    def test_it_pads_every_song_to_two_minutes(self, sizes, monkeypatch):
        seen = []
        model = self.model(sizes)
        monkeypatch.setattr(model.audio_model, "forward", lambda x: seen.append(x.shape) or (x, x.mean(1)[:, :32]))
        plain_step(model, noise_mels(3, 40, 20), noise_words(sizes.small, 3))()
        assert seen == [(3, 1251, 128)]

    def test_both_steps_move_the_weights(self, sizes):
        mels, words = noise_mels(4, 60), noise_words(sizes.small, 4)
        for make in (lambda m: plain_step(m, mels, words), lambda m: encoders.our_step(m, batch_of(mels, words))):
            model = self.model(sizes)
            before = model.audio_head[0].weight.detach().clone()
            make(model)()
            assert not torch.equal(model.audio_head[0].weight, before)


class TestSongs:
    def test_files_of_every_kind_decode_to_their_length(self, tmp_path):
        files = music_files(tmp_path, 8, 1.5)
        assert [file.suffix for file in files[:3]] == [".flac", ".ogg", ".mp3"]
        for file in files:
            assert len(load_mono(file)) == pytest.approx(1.5 * 16_000, abs=1200)
        assert soundfile.info(files[0]).channels == 2

    def test_a_folder_without_music_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("no music")
        with pytest.raises(UserError, match="music files"):
            found_files(tmp_path)

    def test_a_made_up_cache_reads_like_a_real_one(self, tmp_path):
        mels = cached_mels(tmp_path, 130, 20)
        assert {place[0] for place in mels.where if place} == {0, 1}
        assert mels.present.all()
        assert mels[129].shape == (20, 128)
        assert np.isfinite(mels[129]).all()


@pytest.mark.usefixtures("in_this_process")
class TestMeasures:
    def test_decoding(self, sizes):
        (row,) = encoders.decoding(sizes)
        assert row.unit == "songs/s"
        assert row.target == 0.9

    def test_decoding_of_real_files(self, sizes, tmp_path):
        music_files(tmp_path, 4, 1.0)
        assert encoders.decoding(sizes, tmp_path)[0].measure == "decoding, 4 files"

    def test_memory(self, sizes):
        rows = encoders.memory(sizes)
        assert [row.unit for row in rows] == ["MiB", "MiB"]
        assert all(row.at_most for row in rows)

    def test_full_size_rows_and_parity(self, sizes):
        rows = paper.paper(sizes)
        assert len(rows) == 7
        assert rows[-1].ours == 0
        assert rows[-1].reached is True

    def test_what_a_gpu_runs_also_runs_here(self, sizes):
        rows = gpu(sizes, "cpu")
        assert [row.target for row in rows] == [None, 0.5, 3.0, 1.0, 0.999]
        assert rows[-1].ours > 0.99


class TestCommand:
    def test_table_json_and_exit_code_0_though_targets_are_missed(self, tmp_path: Path):
        file = tmp_path / "out" / "bench.json"
        ran = CliRunner().invoke(
            command.app, ["encoders", "--tiny", "--only", "encoding,training", "--json", str(file)]
        )
        assert ran.exit_code == 0, ran.output
        assert "torch" in ran.output
        assert "whole songs" in ran.output
        found = json.loads(file.read_text())
        assert set(found) == {"bench", "device", "date", "versions", "rows"}
        assert len(found["rows"]) == 3
        for row in found["rows"]:
            assert row["ratio"] == pytest.approx(row["ours"] / row["floor"])
            assert row["reached"] == (row["ratio"] >= row["target"])

    def test_an_unknown_measure_is_refused_with_the_known_ones(self):
        ran = CliRunner().invoke(command.app, ["encoders", "--only", "speed"])
        assert isinstance(ran.exception, UserError)
        assert "decoding, encoding, training, memory, gpu, paper" in str(ran.exception)

    def test_without_a_gpu_it_says_so(self, capsys, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert command.on_a_gpu(tiny_sizes()) == []
