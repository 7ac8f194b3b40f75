"""`encode_audio`, `encode_text` and `encode_tracks`: what comes in, what comes out, and what a bad item does."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn.functional import normalize

from data.audio.reading import AudioError
from data.errors import UserError
from encoders.encoding import decoding_pool as decoding
from encoders.encoding import encode
from encoders.htcl import HtclModel
from encoders.model.mel import log_mel
from encoders.model.processing import collate_mels
from encoders.model.text import track_texts
from tests.encoders import readers
from tests.encoders.conftest import MakeCatalogue, descriptors
from tests.encoders.toys import build_reader, sound, tiny_model, toy_texts

RATE = 16_000


@pytest.fixture
def model(tmp_path: Path) -> HtclModel:
    reader = build_reader(tmp_path, [None] * 8, toy_texts(8))
    model = tiny_model(vocabulary=len(reader.tokenizer))
    model.tokenizer = reader.tokenizer
    return model


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Songs of 1 to 5 s."""
    paths = [tmp_path / f"{number}.wav" for number in range(9)]
    for number, path in enumerate(paths):
        soundfile.write(path, sound(number, 1 + (7 * number) % 5), RATE)
    return paths


class TestAudio:
    def test_order_is_kept_and_neither_batch_nor_company_matters(self, model: HtclModel, files: list[Path]) -> None:
        together = model.encode_audio(files, batch_size=2)
        assert together.shape == (9, 16)
        assert together.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(model.encode_audio(files[::-1], batch_size=9)[::-1], together, atol=1e-5)
        for path, vector in zip(files, together, strict=True):
            np.testing.assert_allclose(model.encode_audio(path), vector, atol=1e-5)

    def test_the_same_file_twice_gets_the_same_vector_to_the_bit(self, model: HtclModel, files: list[Path]) -> None:
        np.testing.assert_array_equal(model.encode_audio(files[0]), model.encode_audio(files[0]))

    def test_a_file_is_its_samples(self, model: HtclModel, tmp_path: Path) -> None:
        samples = sound(3, 4.0)
        soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
        expected = model.encode_audio(samples)
        whole = (samples * 32_767).round().astype(np.int16)
        for same in (tmp_path / "a.wav", str(tmp_path / "a.wav"), (samples, RATE), np.stack([samples] * 6), whole):
            np.testing.assert_allclose(model.encode_audio(same), expected, atol=2e-2)

    @pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
    def test_any_rate_is_resampled(self, model: HtclModel, rate: int) -> None:
        time = np.arange(3 * rate) / rate
        samples = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        assert np.isfinite(model.encode_audio((samples, rate))).all()
        assert model.encode_audio([(samples, rate), (samples, rate)]).shape == (2, 16)
        np.testing.assert_array_equal(model.encode_audio((samples, float(rate))), model.encode_audio((samples, rate)))

    def test_a_published_model_hears_songs_as_the_published_code_fed_them(self, files: list[Path]) -> None:
        published = tiny_model(published=True)
        mels = [log_mel(soundfile.read(path, dtype="float32")[0]) for path in files]
        frames, _ = collate_mels(mels, published=True)
        with torch.no_grad():
            expected = normalize(published.get_audio_features(frames).pooler_output, dim=1)
        found = published.encode_audio(files)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.abs(tiny_model().encode_audio(files) - found).max() > 1e-3

    def test_very_short_sounds_have_vectors(self, model: HtclModel) -> None:
        found = model.encode_audio([sound(1)[:700], sound(1)[:1]])
        assert np.isfinite(found).all()

    def test_silence_at_the_edges_changes_no_vector_and_silence_alone_has_none(self, model: HtclModel) -> None:
        song, lead = sound(1, 4.0), np.zeros(10 * RATE, np.float32)
        own = model.encode_audio(song)
        for padded in ([lead[:2400], song], [lead, song], [song, lead], [lead, song, lead]):
            np.testing.assert_array_equal(model.encode_audio(np.concatenate(padded)), own)
        _, errors = model.encode_audio([song, lead, np.full(RATE, 1e-5, np.float32)], on_error="record")
        assert {row: reason.partition(":")[0] for row, reason in errors.items()} == {1: "silent", 2: "silent"}

    def test_channels_of_opposite_phase_are_heard(self, model: HtclModel) -> None:
        song = sound(1, 4.0)
        np.testing.assert_array_equal(model.encode_audio((np.stack([song, -song]), RATE)), model.encode_audio(song))

    def test_published_weights_hear_the_silence_they_were_trained_with(self, model: HtclModel) -> None:
        song, lead = sound(1, 4.0), np.zeros(10 * RATE, np.float32)
        model.config.published = True
        try:
            assert not np.allclose(model.encode_audio(song), model.encode_audio(np.concatenate([lead, song])))
            assert np.isfinite(model.encode_audio(lead)).all()
        finally:
            model.config.published = False

    def test_a_tensor_with_gradients_is_samples(self, model: HtclModel) -> None:
        song = torch.from_numpy(sound(1, 4.0)).requires_grad_()
        np.testing.assert_array_equal(model.encode_audio(song), model.encode_audio(song.detach().numpy()))

    def test_only_the_first_two_minutes_are_heard(self, model: HtclModel) -> None:
        long = np.tile(sound(1, 10.0), 13)
        np.testing.assert_array_equal(model.encode_audio(long), model.encode_audio(long[: 120 * RATE]))

    def test_a_column_of_paths_a_generator_and_a_tensor_are_what_they_look_like(
        self, model: HtclModel, files: list[Path]
    ) -> None:
        expected = model.encode_audio(files)
        np.testing.assert_array_equal(model.encode_audio(np.array([str(path) for path in files])), expected)
        np.testing.assert_array_equal(model.encode_audio(path for path in files), expected)
        samples = sound(3, 2.0)
        np.testing.assert_array_equal(model.encode_audio(torch.from_numpy(samples)), model.encode_audio(samples))

    def test_whole_numbers_of_64_bits_are_refused_as_nobody_knows_their_range(self, model: HtclModel) -> None:
        with pytest.raises(TypeError, match="int16 or int32"):
            model.encode_audio((sound(3) * 32_767).astype(np.int64))

    def test_nothing_gives_nothing(self, model: HtclModel) -> None:
        assert model.encode_audio([]).shape == (0, 16)


class TestTracksWithFeatures:
    def test_each_vector_is_of_what_there_is_of_the_song(self, tmp_path: Path, make_catalogue: MakeCatalogue) -> None:
        table = descriptors([0, 1, 4, 5])
        _, dataset = make_catalogue(6, audio=[0, 2, 4], text=[0, 1, 2, 3], features=table)
        reader = build_reader(tmp_path, [None] * 6, toy_texts(6))
        model = tiny_model(vocabulary=len(reader.tokenizer), feature_dim=6)
        model.tokenizer = reader.tokenizer
        rows = dataset.feature_matrix()
        model.feature_model.standardise_to(torch.from_numpy(rows[[0, 1, 4, 5]]))
        found = model.encode_tracks(dataset)
        with torch.no_grad():
            described = model.feature_model(torch.from_numpy(np.nan_to_num(rows)))
        with pytest.raises(UserError, match="6 features a track; the model was trained on 9"):
            tiny_model(feature_dim=9).encode_tracks(dataset)
        texts = model.encode_text([track_texts(dataset.tracks)[n] for n in (1, 3)])
        np.testing.assert_allclose(found[5], normalize(described[5], dim=0), atol=1e-5)
        np.testing.assert_allclose(found[3], texts[1], atol=1e-5)
        both = normalize(described[1], dim=0).numpy() + texts[0]
        np.testing.assert_allclose(found[1], both / np.linalg.norm(both), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
        heard = model.encode_audio(dataset.audio_file(4))
        assert not np.allclose(found[4], heard, atol=1e-2)  # its features count too
        without = tiny_model(vocabulary=len(reader.tokenizer))
        without.tokenizer = reader.tokenizer
        alone = without.encode_tracks(dataset, on_error="record")[0]  # a model without a tower for them reads none
        assert np.isnan(alone[5]).all()
        np.testing.assert_allclose(alone[4], without.encode_audio(dataset.audio_file(4)), atol=1e-5)


class TestBadItems:
    @pytest.fixture
    def items(self, files: list[Path], tmp_path: Path) -> list[object]:
        (tmp_path / "text.mp3").write_text("no music")
        bad = [tmp_path / "text.mp3", tmp_path / "nowhere.wav", np.full(RATE, np.nan, np.float32), np.zeros(0), None]
        return [files[0], *bad, files[1]]

    def test_raise_names_the_first(self, model: HtclModel, items: list[object]) -> None:
        with pytest.raises(AudioError, match=r"text\.mp3"):
            model.encode_audio(items)

    @pytest.mark.usefixtures("listening")
    def test_skip_leaves_them_out_and_says_so(
        self, model: HtclModel, items: list[object], capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = model.encode_audio(items, on_error="skip")
        np.testing.assert_allclose(found, model.encode_audio([items[0], items[-1]]), atol=1e-5)
        said = capsys.readouterr().err
        assert "audio 1 left out" in said
        assert "no such file" in said

    def test_record_keeps_their_places_and_reasons(self, model: HtclModel, items: list[object]) -> None:
        found, errors = model.encode_audio(items, on_error="record")
        assert sorted(errors) == [1, 2, 3, 4, 5]
        assert np.isnan(found[1:6]).all()
        np.testing.assert_allclose(found[[0, 6]], model.encode_audio([items[0], items[-1]]), atol=1e-5)
        as_int8, _ = model.encode_audio(items, on_error="record", precision="int8")
        assert (as_int8[1:6] == 0).all()

    def test_a_file_that_crashes_its_decoder_does_not_sink_the_list(
        self, model: HtclModel, files: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files[4] = files[4].rename(files[4].with_stem("killer-4"))
        monkeypatch.setattr(decoding, "MIN_FOR_WORKERS", 1)
        monkeypatch.setattr(encode, "try_mel", readers.mel_unless_killer)
        found, errors = model.encode_audio(files, on_error="record", batch_size=1)  # two blocks
        assert errors == {4: f"{files[4]}: decoding it ends the process (SIGSEGV)"}
        kept = [*range(4), *range(5, 9)]
        np.testing.assert_array_equal(found[kept], model.encode_audio([files[row] for row in kept], batch_size=1))
        with pytest.raises(AudioError, match="killer-4"):
            model.encode_audio(files)
        arrays = [sound(number, 60.0) for number in range(4)]  # more than a pipe holds, among files that go through one
        both = model.encode_audio([*arrays, *files[:4]], batch_size=1)
        np.testing.assert_array_equal(
            both, model.encode_audio([*files[:4], *arrays], batch_size=1)[[4, 5, 6, 7, 0, 1, 2, 3]]
        )

    def test_channels_last_are_told_apart(self, model: HtclModel) -> None:
        with pytest.raises(ValueError, match="channels come first"):
            model.encode_audio(np.zeros((RATE, 2), np.float32))

    @pytest.mark.parametrize("bad", [{"batch_size": 0}, {"precision": "int4"}, {"on_error": "shrug"}])
    def test_unknown_options_are_refused(self, model: HtclModel, bad: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=str(next(iter(bad)))):
            model.encode_text("calm", **bad)


class TestForm:
    def test_precisions_are_near_each_other(self, model: HtclModel) -> None:
        full = model.encode_text(toy_texts(8))
        half = model.encode_text(toy_texts(8), precision="float16")
        byte = model.encode_text(toy_texts(8), precision="int8")
        assert (half.dtype, byte.dtype) == (np.float16, np.int8)
        np.testing.assert_allclose(half, full, atol=1e-3)
        np.testing.assert_allclose(byte / 127, full, atol=0.5 / 127 + 1e-6)
        with pytest.raises(ValueError, match="int8"):
            model.encode_text("calm", precision="int8", normalize=False)

    def test_raw_vectors_are_the_projected_ones(self, model: HtclModel, files: list[Path]) -> None:
        raw, unit = model.encode_audio(files, normalize=False), model.encode_audio(files)
        assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=0.05)
        np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-5)

    def test_tensors_on_request(self, model: HtclModel) -> None:
        found = model.encode_text(["calm"], convert_to_numpy=False, device="cpu")
        assert isinstance(found, torch.Tensor)
        assert not found.requires_grad

    def test_a_model_in_training_stays_in_training_and_is_encoded_without_dropout(self, model: HtclModel) -> None:
        expected = model.encode_text("calm")
        model.train()
        model.text_model.eval()  # as where a stage holds it still
        np.testing.assert_array_equal(model.encode_text("calm"), expected)
        assert model.training
        assert not model.text_model.training


class TestText:
    def test_order_is_kept(self, model: HtclModel) -> None:
        texts = ["calm " * (1 + number % 5) + "bright" for number in range(20)]
        together = model.encode_text(texts, batch_size=3)
        for text, vector in zip(texts, together, strict=True):
            np.testing.assert_allclose(model.encode_text(text), vector, atol=1e-5)

    def test_empty_texts_and_other_things_are_bad_items(self, model: HtclModel) -> None:
        _, errors = model.encode_text(["calm", " ", None, "half \ud83d"], on_error="record")
        assert errors.pop(3) == "a text with half a character (a lone surrogate)"
        assert errors == {1: "an empty text", 2: "a text is a string, not NoneType"}

    def test_a_saved_model_finds_its_tokenizer(self, model: HtclModel, tmp_path: Path) -> None:
        model.save_pretrained(tmp_path / "saved")
        model.tokenizer.save_pretrained(tmp_path / "saved")
        again = HtclModel.from_pretrained(tmp_path / "saved")
        np.testing.assert_allclose(again.encode_text("calm"), model.encode_text("calm"), atol=1e-6)

    def test_a_model_without_a_tokenizer_says_so_and_encodes_sound(
        self, make_catalogue: MakeCatalogue, tmp_path: Path
    ) -> None:
        tiny_model().save_pretrained(tmp_path / "saved")
        model = HtclModel.from_pretrained(tmp_path / "saved")
        _, dataset = make_catalogue(2, audio=[0, 1], text=[])
        assert np.isfinite(model.encode_tracks(dataset)).all()
        with pytest.raises(UserError, match="no tokenizer"):
            model.encode_text("calm")


class TestTracks:
    def test_each_track_from_what_it_has(self, model: HtclModel, make_catalogue: MakeCatalogue) -> None:
        _, dataset = make_catalogue(6, audio=[0, 1, 2], text=[2, 3, 4])
        found, errors = model.encode_tracks(dataset, on_error="record", batch_size=2)
        assert errors == {5: "neither audio nor text"}
        assert np.isnan(found[5]).all()
        files = [dataset.audio_file(row) for row in (0, 1)]
        np.testing.assert_allclose(found[:2], model.encode_audio(files), atol=1e-5)
        assert not np.allclose(found[2], model.encode_audio(dataset.audio_file(2)), atol=1e-2)
        np.testing.assert_allclose(np.linalg.norm(found[:5], axis=1), 1, rtol=1e-5)
