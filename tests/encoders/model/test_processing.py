"""Feature extractor and processor."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoProcessor

from encoders.model.mel import log_mel, standardise
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor, collate_mels
from encoders.model.text import tokenize, train_wordpiece
from tests.encoders.toys import sound, tiny_model, toy_texts


def test_one_song_is_the_standardised_mel_with_a_full_mask() -> None:
    features = HtclFeatureExtractor()(sound(1), sampling_rate=16_000)
    np.testing.assert_array_equal(features["input_features"][0], standardise(log_mel(sound(1))))
    assert features["audio_attention_mask"].tolist() == [[1] * (1 + 3 * 16_000 // 1536)]


def test_a_batch_of_different_lengths_equals_one_by_one() -> None:
    songs = [sound(number, seconds) for number, seconds in enumerate((3.0, 7.5, 2.0))]
    together = HtclFeatureExtractor()(songs)
    for row, song in enumerate(songs):
        alone = HtclFeatureExtractor()(song)["input_features"][0]
        assert torch.equal(together["input_features"][row, : len(alone)], alone)
        assert not together["input_features"][row, len(alone) :].any()
        assert together["audio_attention_mask"][row].sum() == len(alone)


def test_what_lies_behind_two_minutes_is_not_read() -> None:
    long = np.concatenate([sound(0, 120), sound(5, 2)])
    features = HtclFeatureExtractor()(long)["input_features"]
    assert features.shape == (1, 1251, 128)
    assert torch.equal(features, HtclFeatureExtractor()(long[: 120 * 16_000])["input_features"])


@pytest.mark.parametrize("samples", [1, 700, 16 * 1536 - 1])
def test_fewer_than_17_frames_are_filled_up_and_the_tower_takes_them(samples: int) -> None:
    features = HtclFeatureExtractor()(sound(3)[:samples])
    assert features["input_features"].shape == (1, 17, 128)
    assert features["audio_attention_mask"].sum() == 17
    assert torch.isfinite(tiny_model().get_audio_features(**features).pooler_output).all()


def test_a_short_song_is_the_same_alone_and_beside_a_long_one() -> None:
    model, extract = tiny_model(), HtclFeatureExtractor()
    with torch.no_grad():
        alone = model.get_audio_features(**extract(sound(1, 0.5))).pooler_output
        beside = model.get_audio_features(**extract([sound(1, 0.5), sound(2, 9)])).pooler_output[:1]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_as_published_pads_to_1251_before_standardising_and_gives_no_mask() -> None:
    features = HtclFeatureExtractor(published=True)([sound(1), sound(2, 5)])
    assert set(features) == {"input_features"}
    mel = log_mel(sound(1))
    padded = np.concatenate([mel, np.full((1251 - len(mel), 128), mel.max() - 80, np.float32)])
    np.testing.assert_array_equal(features["input_features"][0], standardise(padded))


def test_another_rate_is_refused_with_both_rates() -> None:
    with pytest.raises(ValueError, match=r"44100 Hz.*16000 Hz"):
        HtclFeatureExtractor()(sound(0), sampling_rate=44_100)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_is_refused(bad: float) -> None:
    song = sound(0)
    song[17] = bad
    with pytest.raises(ValueError, match="finite"):
        HtclFeatureExtractor()([sound(1), song])


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        HtclFeatureExtractor()(np.zeros(0, np.float32))


@pytest.mark.parametrize("published", [False, True])
def test_extractor_survives_saving(tmp_path: Path, published: bool) -> None:
    HtclFeatureExtractor(published=published).save_pretrained(tmp_path)
    again = HtclFeatureExtractor.from_pretrained(tmp_path)
    assert again.published is published
    first = HtclFeatureExtractor(published=published)(sound(1))
    assert torch.equal(again(sound(1))["input_features"], first["input_features"])
    assert again.to_dict() == HtclFeatureExtractor(published=published).to_dict()


def test_processor_survives_saving_and_reads_both_modalities(tmp_path: Path) -> None:
    tokenizer = train_wordpiece(toy_texts(12), tmp_path / "vocabulary")
    tiny_model().save_pretrained(tmp_path / "model")  # the Auto classes read its config.json
    HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(tmp_path / "model")
    again = AutoProcessor.from_pretrained(tmp_path / "model")
    assert isinstance(again, HtclProcessor)
    assert isinstance(AutoFeatureExtractor.from_pretrained(tmp_path / "model"), HtclFeatureExtractor)
    texts = ["calm number 3", "furious"]
    read = again(audio=[sound(0), sound(1, 4)], text=texts, padding=True, return_tensors="pt")
    assert torch.equal(read["input_features"], HtclFeatureExtractor()([sound(0), sound(1, 4)])["input_features"])
    expected = tokenize(tokenizer, texts)
    assert torch.equal(read["input_ids"], expected["input_ids"])
    assert torch.equal(read["attention_mask"], expected["attention_mask"])


def test_mels_are_standardised_without_their_padding() -> None:
    short, long = log_mel(sound(0, 3)), log_mel(sound(1, 6))
    features, mask = collate_mels([short, long])
    np.testing.assert_array_equal(features[0, : len(short)], standardise(short))
    assert mask.sum(dim=1).tolist() == [len(short), len(long)]
