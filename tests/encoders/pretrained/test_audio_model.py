"""Models of other people: what a folder gives, and which folders are refused."""

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from data.errors import UserError
from encoders.encoding.audio_inputs import read_mel
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor
from encoders.model.text import train_wordpiece
from encoders.pretrained import audio_model as external
from encoders.pretrained.audio_model import open_external, windows
from tests.encoders.pretrained.foreign import RATE, save_ast, save_clap, save_wav2vec, save_whisper
from tests.encoders.toys import WORDS, sound, tiny_model

SAVE = {"clap": save_clap, "wav2vec": save_wav2vec, "ast": save_ast, "whisper": save_whisper}
WINDOW_S = {"clap": 2, "wav2vec": 30, "ast": 1, "whisper": 2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("foreign")
    return {kind: save(root / kind) for kind, save in SAVE.items()}


@pytest.fixture(params=SAVE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_examples() -> None:
    assert doctest.testmod(external).failed == 0


def test_a_sound_gets_the_same_vector_twice_and_another_sound_another(folders: dict[str, Path], kind: str) -> None:
    model = open_external(folders[kind])
    first, again, other = (model.encode_sound(sound(number, 5.0)) for number in (1, 1, 2))
    assert first.shape == (16,)
    assert np.array_equal(first, again)
    assert np.array_equal(open_external(folders[kind]).encode_sound(sound(1, 5.0)), first)
    assert not np.allclose(first, other)


def test_a_long_sound_is_the_mean_of_its_windows(
    folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "WINDOW_S", 2)
    model = open_external(folders[kind])
    size = min(WINDOW_S[kind], 2) * RATE
    assert model.window == size
    pieces = [sound(number, size / RATE) for number in (1, 2, 3)]
    mean = np.mean([model.encode_sound(piece) for piece in pieces], axis=0)
    if model.tokenizer is not None:
        mean /= np.linalg.norm(mean)
    rest = sound(4, 0.4 * size / RATE)  # less than half a window
    assert model.encode_sound(np.concatenate([*pieces, rest])) == pytest.approx(mean, abs=1e-5)


def test_windows_cover_the_sound() -> None:
    samples = np.arange(35, dtype=np.float32)
    assert np.array_equal(np.concatenate(windows(samples, 10)), samples)
    assert [len(piece) for piece in windows(samples[:3], 10)] == [3]


def test_windows_are_as_long_as_each_extractor_says(folders: dict[str, Path], kind: str) -> None:
    assert open_external(folders[kind]).window == WINDOW_S[kind] * RATE


def test_a_very_short_sound_has_a_vector(folders: dict[str, Path], kind: str) -> None:
    assert np.isfinite(open_external(folders[kind]).encode_sound(sound(1, 0.01))).all()


def test_the_vector_is_what_the_model_itself_says(folders: dict[str, Path]) -> None:
    samples = sound(3, 2.0)
    clap = transformers.ClapModel.from_pretrained(folders["clap"]).eval()
    made = transformers.AutoProcessor.from_pretrained(folders["clap"])
    wav2vec = transformers.Wav2Vec2Model.from_pretrained(folders["wav2vec"]).eval()
    inputs = transformers.AutoFeatureExtractor.from_pretrained(folders["wav2vec"])(
        samples, sampling_rate=RATE, return_tensors="pt"
    )
    with torch.inference_mode():
        heard = made.feature_extractor(samples, sampling_rate=RATE, return_tensors="pt")
        expected = clap.get_audio_features(**heard).pooler_output[0]
        words = clap.get_text_features(
            **made.tokenizer(["calm song"], return_tensors="pt", return_token_type_ids=False)
        ).pooler_output
        hidden = wav2vec(**inputs).last_hidden_state[0].mean(dim=0)
    model = open_external(folders["clap"])
    assert model.encode_sound(samples) == pytest.approx(expected.numpy(), abs=1e-5)
    assert model.encode_text(["calm song"]) == pytest.approx(words.numpy(), abs=1e-5)
    assert open_external(folders["wav2vec"]).encode_sound(samples) == pytest.approx(hidden.numpy(), abs=1e-5)


def test_texts_keep_their_order_in_any_number_and_length(folders: dict[str, Path]) -> None:
    model = open_external(folders["clap"])
    texts = [f"{WORDS[number % 6]} {'song ' * (number % 90)}" for number in range(70)]
    together = model.encode_text(texts)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    for at in (0, 33, 69):
        assert together[at] == pytest.approx(model.encode_text([texts[at]])[0], abs=1e-5)


def test_no_window_is_marked_as_longer_than_itself(tmp_path: Path) -> None:
    model = open_external(save_clap(tmp_path / "fused-clap", fusion=True))
    heard = model.extractor(sound(1, 2.0), sampling_rate=RATE, return_tensors="pt")
    assert heard["is_longer"].all()  # drawn by lot, in a batch of one
    heard["is_longer"] = torch.tensor([[False]])
    with torch.inference_mode():
        expected = model.model.get_audio_features(**heard.to(model.model.device)).pooler_output[0]
    assert model.encode_sound(sound(1, 2.0)) == pytest.approx(expected.cpu().numpy(), abs=1e-5)


def test_our_own_folder_is_one_too(tmp_path: Path) -> None:
    tokenizer = train_wordpiece([f"{word} song" for word in WORDS] * 2, tmp_path / "vocabulary")
    ours = tiny_model(vocabulary=len(tokenizer))
    ours.save_pretrained(tmp_path / "ours")
    HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(tmp_path / "ours")
    ours.tokenizer = tokenizer
    model = open_external(tmp_path / "ours")
    samples = sound(1, 9.0)
    assert len(read_mel(samples)) == 94  # one window, whatever its length
    assert model.encode_sound(samples) == pytest.approx(np.asarray(ours.encode_audio(samples)), abs=1e-5)
    assert model.encode_text(["calm song"])[0] == pytest.approx(np.asarray(ours.encode_text("calm song")), abs=1e-5)


class TestRefusals:
    def test_no_model(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no transformers model in .*\n .*config\.json"):
            open_external(tmp_path)

    def test_no_weights(self, tmp_path: Path) -> None:
        folder = save_wav2vec(tmp_path / "model")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(UserError, match="no weights in"):
            open_external(folder)

    def test_half_of_the_weights(self, tmp_path: Path) -> None:
        folder = save_wav2vec(tmp_path / "model")
        weights = load_file(folder / "model.safetensors")
        weights.pop("feature_projection.projection.weight")
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=r"lacks 1 of the model's weights, e\.g\. feature_projection"):
            open_external(folder)

    def test_damaged_weights(self, tmp_path: Path) -> None:
        folder = save_wav2vec(tmp_path / "model")
        (folder / "model.safetensors").write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match="does not turn sound into vectors"):
            open_external(folder)

    def test_no_feature_extractor(self, tmp_path: Path) -> None:
        folder = save_wav2vec(tmp_path / "model")
        (folder / "preprocessor_config.json").unlink()
        with pytest.raises(UserError, match=r"does not turn sound into vectors(.|\n)*preprocessor included"):
            open_external(folder)

    def test_a_model_of_text(self, tmp_path: Path) -> None:
        config = transformers.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
        transformers.BertModel(config).save_pretrained(tmp_path / "model")
        with pytest.raises(UserError, match="does not turn sound into vectors"):
            open_external(tmp_path / "model")

    def test_code_in_the_folder_is_not_run(self, tmp_path: Path) -> None:
        folder = save_wav2vec(tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        with pytest.raises(UserError, match="does not turn sound into vectors"):
            open_external(folder)
        assert not (tmp_path / "ran").exists()
