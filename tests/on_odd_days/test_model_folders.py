"""A model folder is what it says or is refused; what is saved is whole, and what is loaded stays as it was."""

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import UserError
from encoders import HtclModel


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of an encoder, to be spoilt."""
    return Path(shutil.copytree(built / "encoder", tmp_path / "encoder"))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def drop_tower(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if name.startswith("statistics_model")]:
        del weights[name]


def spoil(weights: dict[str, torch.Tensor]) -> None:
    weights["text_head.0.bias"][0] = torch.nan


@pytest.mark.parametrize(
    ("named", "do"),
    [
        ("audio_head.0.bias", lambda f: change_weights(f, lambda w: w.pop("audio_head.0.bias"))),
        ("statistics_model", lambda f: change_weights(f, drop_tower)),
        ("not finite in text_head.0.bias", lambda f: change_weights(f, spoil)),
        ("no place for it, odd", lambda f: change_weights(f, lambda w: w.update(odd=torch.zeros(2)))),
        ("statistics_hidden", lambda f: change_config(f, lambda c: c.pop("statistics_hidden"))),
        ("text_pooling", lambda f: change_config(f, lambda c: c.pop("text_pooling"))),
        ("audio_config", lambda f: change_config(f, lambda c: c.pop("audio_config"))),
        ("audio_config.conv_strides", lambda f: change_config(f, lambda c: c["audio_config"].pop("conv_strides"))),
        ("num_attention_heads", lambda f: change_config(f, lambda c: c["text_config"].pop("num_attention_heads"))),
        ("damaged", lambda f: (f / "config.json").write_text('{"model_type": "htcl", ')),
        ("tokenizer.json", lambda f: (f / "tokenizer.json").unlink()),
    ],
)
def test_a_folder_that_lacks_something_is_refused_by_its_name(
    folder: Path, named: str, do: Callable[[Path], object]
) -> None:
    do(folder)
    with pytest.raises(UserError, match=named):
        HtclModel.from_pretrained(folder)


def test_what_is_saved_is_whole(folder: Path, tmp_path: Path) -> None:
    model = HtclModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "saved")
    again = HtclModel.from_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode_text("sad piano"), model.encode_text("sad piano"))
    sound = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    np.testing.assert_array_equal(again.encode_audio(sound), model.encode_audio(sound))


def through_torch(model: HtclModel) -> HtclModel:
    kept = io.BytesIO()
    torch.save(model, kept)
    kept.seek(0)
    loaded: HtclModel = torch.load(kept, weights_only=False)
    return loaded


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)), through_torch])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_models_are_picklable(folder: Path, copied: Callable[[HtclModel], HtclModel], precision: torch.dtype) -> None:
    model = HtclModel.from_pretrained(folder).to(precision).train()
    again = copied(model)
    assert again.training
    assert next(again.parameters()).dtype == precision
    np.testing.assert_allclose(again.encode_text("sad piano"), model.encode_text("sad piano"), atol=1e-6)


def test_a_tokenizer_that_is_swapped_after_loading_changes_nothing(folder: Path) -> None:
    model, untouched = HtclModel.from_pretrained(folder), HtclModel.from_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    np.testing.assert_array_equal(model.encode_text("sad piano"), untouched.encode_text("sad piano"))


def test_a_relative_path_holds_after_a_change_of_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    model = HtclModel.from_pretrained("encoder")
    monkeypatch.chdir("/")
    assert np.isfinite(model.encode_text("sad piano")).all()
    assert Path(model.name_or_path).is_absolute()
