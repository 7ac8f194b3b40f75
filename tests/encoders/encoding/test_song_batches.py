"""How songs are read for training and for encoding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from encoders.encoding.song_batches import SongReader, View, leave_out
from tests.encoders.toys import build_reader, tiny_model, toy_mels

TRACKS = np.arange(16, dtype=np.int32)


def test_crops_lie_inside_the_song_and_follow_the_key(toy_reader: SongReader) -> None:
    one = toy_reader.read(TRACKS, View((1,), crop=20))
    two = toy_reader.read(TRACKS, View((1,), crop=20))
    assert one["input_features"].shape == (16, 20, 128)
    assert torch.equal(one["input_features"], two["input_features"])
    other = toy_reader.read(TRACKS, View((2,), crop=20))
    assert not torch.equal(one["input_features"], other["input_features"])


def test_a_song_is_seen_alike_in_whatever_part_of_a_batch_it_is_read(toy_reader: SongReader) -> None:
    view = View((1, 2), crop=20, forget=0.5)
    whole = toy_reader.read(TRACKS, view)
    part = toy_reader.read(TRACKS[3::4], view, np.arange(3, 16, 4))
    assert torch.equal(part["input_features"], whole["input_features"][3::4])
    width = part["input_ids"].shape[1]
    assert torch.equal(part["input_ids"], whole["input_ids"][3::4, :width])


def test_without_a_view_every_song_is_read_whole(toy_reader: SongReader) -> None:
    batch = toy_reader.read(TRACKS)
    assert batch["audio_attention_mask"].sum(dim=1).tolist() == [toy_reader.mels.frames(t) for t in range(16)]


def test_rows_of_features_are_read_beside_mels(toy_reader: SongReader) -> None:
    table = np.arange(48, dtype=np.float32).reshape(16, 3)
    table[2] = np.nan
    reader = replace(toy_reader, precomputed=table)
    batch = reader.read(np.array([1, 2], np.int32))
    assert batch["precomputed"].tolist() == [[3, 4, 5], [0, 0, 0]]
    assert batch["has_precomputed"].tolist() == [True, False]
    assert reader.has_audio.all()
    assert "precomputed" not in toy_reader.read(TRACKS)


def test_a_modality_that_no_song_has_is_left_out(tmp_path: Path) -> None:
    reader = build_reader(tmp_path, [None, None, *toy_mels(2)], ["calm", "calm", None, "bright"])
    assert "input_features" not in reader.read(np.array([0, 1], np.int32))
    assert "input_ids" not in reader.read(np.array([2], np.int32))
    mixed = reader.read(np.array([0, 2, 3], np.int32))
    assert mixed["has_mel"].tolist() == [False, True, True]
    assert mixed["has_text"].tolist() == [True, False, True]


def test_fields_are_left_out_but_never_all() -> None:
    rng = np.random.default_rng(0)
    text = "Rain; Ann; jazz"
    found = {leave_out(text, 0.7, rng) for _ in range(300)}
    assert found == {"Rain; Ann; jazz", "Rain; Ann", "Rain; jazz", "Ann; jazz", "Rain", "Ann", "jazz"}
    assert leave_out(text, 0.0, rng) == text


def test_texts_are_cut_in_training_alone(toy_reader: SongReader) -> None:
    cut = toy_reader.read(TRACKS, View((1,), tokens=4))["input_ids"]
    assert cut.shape == (16, 4)
    assert torch.equal(cut[:, :3], toy_reader.read(TRACKS)["input_ids"][:, :3])


def test_texts_of_any_length_get_the_vectors_they_get_alone(tmp_path: Path) -> None:
    texts = [" ".join(["calm bright"] * (1 + number % 7)) for number in range(70)]
    reader = build_reader(tmp_path, [None] * 70, texts)
    model = tiny_model(vocabulary=len(reader.tokenizer))
    batch = reader.read(np.arange(70, dtype=np.int32))
    with torch.no_grad():
        together = model(**batch).text
        for row in range(70):
            alone = model(**reader.read(np.array([row], np.int32))).text[0]
            torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-4)
