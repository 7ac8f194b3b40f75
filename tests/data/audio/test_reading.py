import librosa
import numpy as np
import pytest
import soundfile

from data.audio import decoders
from data.audio.decoders import AvDecoder, SoundfileDecoder
from data.audio.reading import AudioError, load_mono, probe, read_audio, resample
from tests.data.audio.sound_files import KINDS, cut, tone, write


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_reads_what_was_written(self, kind, tmp_path):
        path = write(tmp_path / f"a.{kind}", tone(3))
        samples, rate = read_audio(path)
        assert samples.dtype == np.float32
        assert rate == 48_000
        assert len(samples) / rate == pytest.approx(3, abs=0.1)
        # The mean over channels is three quarters of the left one.
        assert np.abs(samples[rate : 2 * rate]).max() == pytest.approx(0.3, abs=0.03)
        assert np.abs(np.fft.rfft(samples[rate : 2 * rate])).argmax() == 440

    def test_probe_agrees_with_reading_all(self, kind, tmp_path):
        path = write(tmp_path / f"a.{kind}", tone(3))
        facts = probe(path)
        samples, rate = read_audio(path, None)
        assert facts.note == ""
        assert (facts.sample_rate, facts.channels) == (rate, 2)
        assert facts.duration_s == pytest.approx(len(samples) / rate, abs=0.1)

    def test_is_cut_by_count(self, kind, tmp_path):
        path = write(tmp_path / f"a.{kind}", tone(3))
        whole, rate = read_audio(path, None)
        part, _ = read_audio(path, 1.5)
        assert len(part) == 1.5 * rate
        np.testing.assert_array_equal(part, whole[: len(part)])

    def test_a_cut_file_is_noticed(self, kind, tmp_path):
        path = cut(write(tmp_path / f"a.{kind}", noisy(6)), 0.6)
        if kind == "m4a":  # the index stands behind the sound
            with pytest.raises(AudioError, match="truncated: the index"):
                probe(path)
            return
        facts = probe(path)
        assert 1 < facts.duration_s < 5
        assert facts.note.startswith(("truncated: ", "damaged: "))
        samples, rate = read_audio(path)
        assert len(samples) / rate == pytest.approx(facts.duration_s, abs=0.15)

    def test_a_stump_is_refused_by_both(self, kind, tmp_path):
        path = cut(write(tmp_path / f"a.{kind}", noisy(6)), 0.08)
        for look in (probe, read_audio):
            with pytest.raises(AudioError, match=r"truncated|damaged"):
                look(path)

    def test_a_short_whole_file_is_fine(self, kind, tmp_path):
        path = write(tmp_path / f"a.{kind}", tone(0.5))
        assert probe(path).note == ""
        samples, rate = read_audio(path)
        assert len(samples) / rate == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "opus"])
def test_the_decoders_agree(kind, tmp_path):
    path = write(tmp_path / f"a.{kind}", tone(2))
    one, two = (np.concatenate([block for block, _ in d.blocks(path)]) for d in (SoundfileDecoder(), AvDecoder()))
    n = min(len(one), len(two))
    assert n >= 1.9 * 48_000
    assert np.abs(one[:n] - two[:n]).max() < 0.01


@pytest.mark.parametrize("refusing", [SoundfileDecoder, AvDecoder])
def test_the_other_decoder_steps_in(refusing, tmp_path, monkeypatch):
    path = write(tmp_path / "a.ogg", tone(2))

    def refuse(self, path):
        raise decoders.RefusedError
        yield

    monkeypatch.setattr(refusing, "blocks", refuse)
    monkeypatch.setattr(refusing, "survey", lambda self, path: next(refuse(self, path)))
    assert len(read_audio(path)[0]) == pytest.approx(2 * 48_000, rel=0.05)
    assert probe(path).decoder != refusing.name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"Dear listener,\nthis is a letter.\n" * 100, r"not audio \(looks like text\)"),
        ("Schöne Grüße\n".encode() * 99, r"not audio \(looks like text\)"),
        (b"<!DOCTYPE html><html>404</html>", r"not audio \(looks like a web page\)"),
        (bytes(50_000), "nothing but zeros"),
        (np.random.default_rng(0).bytes(50_000), "not audio"),
        (None, "no such file"),
    ],
)
def test_says_what_is_wrong(content, reason, tmp_path):
    path = tmp_path / "a.mp3"
    if content is not None:
        path.write_bytes(content)
    for look in (probe, read_audio, load_mono):
        with pytest.raises(AudioError, match=reason) as caught:
            look(path)
        assert "\n" not in caught.value.reason
        assert str(path) in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(AudioError, match="not a file"):
        probe(tmp_path)


def test_samples_that_are_no_numbers_end_the_file(tmp_path):
    samples = tone(4)
    samples[3 * 48_000 + 5] = np.nan
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 48_000, subtype="FLOAT")
    read, _ = read_audio(path)
    assert len(read) == 3 * 48_000 + 5
    assert "3.0 s of 4.0 s" in probe(path).note
    samples[0] = np.inf
    soundfile.write(path, samples, 48_000, subtype="FLOAT")
    with pytest.raises(AudioError):
        read_audio(path)


def test_silence_is_sound(tmp_path):
    path = write(tmp_path / "a.flac", tone(2) * 0)
    assert probe(path).note == ""
    assert not load_mono(path).any()


def test_a_wav_of_unknown_length_is_whole(tmp_path):
    path = write(tmp_path / "a.wav", tone(2))
    content = bytearray(path.read_bytes())
    content[40:44] = content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert probe(path).note == ""


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 44_099])
def test_resampling_agrees_with_librosa(rate):
    samples = tone(1, rate, 300)[:, 0]
    ours = resample(samples, rate, 16_000)
    theirs = librosa.resample(samples, orig_sr=rate, target_sr=16_000, res_type="fft")
    assert abs(len(ours) - len(theirs)) <= 1
    middle = slice(1_000, 15_000)
    np.testing.assert_allclose(ours[middle], theirs[middle], atol=5e-3)


def test_a_cut_mp3_is_noticed_even_where_it_states_no_length(tmp_path):
    path = write(tmp_path / "a.mp3", noisy(4))
    first = path.read_bytes().index(b"\xff\xfb", 200)
    path.write_bytes(path.read_bytes()[first:])  # without the frame that holds the length
    assert probe(path).note == ""
    path.write_bytes(path.read_bytes()[: 60 * 384 + 100])  # inside the 61st frame
    assert "the end of the stream is missing" in probe(path).note


def test_load_mono_is_the_start_of_the_whole(tmp_path):
    path = write(tmp_path / "a.flac", noisy(3, 44_100), 44_100)
    whole, part = load_mono(path, seconds=None), load_mono(path, seconds=2)
    assert len(part) == 32_000
    np.testing.assert_allclose(part, whole[:32_000], atol=1e-5)
    np.testing.assert_array_equal(part, load_mono(path, seconds=2))


def noisy(seconds, rate=48_000):
    """Noise, for a pure tone packs into a handful of bytes and cutting it cuts nothing."""
    noise = np.random.default_rng(0).standard_normal((int(seconds * rate), 2)) * 0.1
    return np.clip(tone(seconds, rate) + noise, -1, 1).astype(np.float32)
