"""Published checkpoints into a model folder and back."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.console.command import run
from encoders import convert
from encoders.htcl import HtclModel
from encoders.model.original_weights import PARTS, from_original_names, original_parts, to_original_names
from tests.encoders.toys import tiny_model


def as_published() -> HtclModel:
    return tiny_model(statistics_hidden=0)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run(convert.app)
    return int(ended.value.code or 0)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The five parts of a small model under the published names, and its configuration."""
    model, folder = as_published(), tmp_path / "published"
    folder.mkdir()
    for name, weights in original_parts(model).items():
        if name == "text_mlp":
            torch.save(weights, folder / "text_mlp.pt")
        else:
            save_file({key: value.contiguous() for key, value in weights.items()}, folder / f"{name}.safetensors")
    model.config.save_pretrained(tmp_path / "config")
    return folder


def test_names_there_and_back() -> None:
    ours = as_published().audio_model.state_dict()
    there = to_original_names(ours)
    assert "transformer_encoder.layers.0.self_attn.in_proj_weight" in there
    assert not any("q_proj" in name or "k_proj" in name for name in there)
    back = from_original_names(there)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_into_a_model_folder_and_back(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--published", published, "--config", tmp_path / "config", "--out", tmp_path / "model"]
    assert call(monkeypatch, *arguments) == 0
    assert "from_pretrained" in capsys.readouterr().err
    loaded, made = HtclModel.from_pretrained(tmp_path / "model").state_dict(), as_published().state_dict()
    assert all(torch.equal(loaded[name], made[name]) for name in made)
    assert call(monkeypatch, "--model", tmp_path / "model", "--out", tmp_path / "again") == 0
    for part in PARTS:
        again = load_file(tmp_path / "again" / f"{part}.safetensors")
        expected = original_parts(as_published())[part]
        assert again.keys() == expected.keys()
        assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_missing_parts_are_named(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (published / "fusion_mlp.safetensors").unlink()
    call(monkeypatch, "--published", published, "--config", tmp_path / "config", "--out", tmp_path / "model")
    assert "fusion_mlp missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --published"),
        (["--published", "nowhere"], "no published part in nowhere"),
        (["--model", "nowhere"], "no model in nowhere"),
    ],
)
def test_wrong_input_is_named(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, *arguments, "--out", tmp_path / "out") == 2
    assert said in capsys.readouterr().err


def test_nothing_is_written_over(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in published.iterdir()}
    assert call(monkeypatch, "--published", published, "--config", tmp_path / "config", "--out", published) == 2
    assert {path: path.read_bytes() for path in published.iterdir()} == before


def test_what_the_published_parts_lack_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model(feature_dim=3, fusion="gated").save_pretrained(tmp_path / "model")
    assert call(monkeypatch, "--model", tmp_path / "model", "--out", tmp_path / "out") == 2
    assert (
        "a layer over the statistics of the mel and a tower for precomputed features and a gated fusion"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
