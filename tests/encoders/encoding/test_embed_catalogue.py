"""Vectors of a catalogue in which songs have both modalities, one, or none."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import encoders.embed as embed_command
import encoders.encoding.embed_catalogue as embed
from data.console.command import run
from data.errors import DamagedError, UserError
from data.storage.manifest import read_manifest
from data.storage.publishing import publishing
from encoders.encoding.embed_catalogue import embed_stage, encode_songs
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.song_batches import SongReader
from encoders.encoding.vector_files import MODALITIES, Vectors, read_vectors, write_vectors
from encoders.htcl import HtclModel
from encoders.model.processing import HtclFeatureExtractor, HtclProcessor
from encoders.model.text import track_texts, train_wordpiece
from tests.encoders.conftest import MakeCatalogue, World
from tests.encoders.toys import build_reader, mels_of, tiny_model, toy_mels, toy_texts

MELS = toy_mels(10, frames=20)
TEXTS = toy_texts(10)
AUDIO_ONLY, TEXT_ONLY, NEITHER = 2, 5, 7


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[HtclModel, SongReader]:
    """Ten songs with both, but for one each with audio only, text only, neither."""
    mels = [None if n in (TEXT_ONLY, NEITHER) else MELS[n] for n in range(10)]
    texts = [None if n in (AUDIO_ONLY, NEITHER) else TEXTS[n] for n in range(10)]
    reader = build_reader(tmp_path, mels, texts)
    return tiny_model(vocabulary=len(reader.tokenizer), fusion="mlp"), reader


def folder(tmp_path: Path, name: str = "blocks") -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_each_song_has_the_vectors_of_its_modalities_in_order(
    mixed: tuple[HtclModel, SongReader], tmp_path: Path
) -> None:
    vectors = encode_songs(*mixed, folder(tmp_path), "embed")
    assert vectors["audio"].tracks.tolist() == [0, 1, 2, 3, 4, 6, 8, 9]
    assert vectors["text"].tracks.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert vectors["item"].tracks.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    for modality in MODALITIES:
        values = vectors[modality].values
        assert values.dtype == np.float32
        assert values.shape == (len(vectors[modality].tracks), 16)
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-5)


def test_every_vector_is_the_one_of_the_song_read_alone(mixed: tuple[HtclModel, SongReader], tmp_path: Path) -> None:
    model, reader = mixed
    vectors = encode_songs(model, reader, folder(tmp_path), "embed")
    for modality in MODALITIES:
        for row, track in enumerate(vectors[modality].tracks):
            with torch.no_grad():
                songs = model(**reader.read(np.array([track], np.int32)))
            alone = {"audio": songs.audio, "text": songs.text, "item": songs.fusion}[modality]
            expected = normalize(alone, dim=1)[0].numpy()
            np.testing.assert_allclose(vectors[modality].values[row], expected, atol=1e-5)


def test_a_song_with_one_modality_has_that_ones_vector_as_item(
    mixed: tuple[HtclModel, SongReader], tmp_path: Path
) -> None:
    vectors = encode_songs(*mixed, folder(tmp_path), "embed")

    def of(modality: str, track: int) -> np.ndarray:
        return vectors[modality].values[vectors[modality].tracks.tolist().index(track)]

    np.testing.assert_allclose(of("item", AUDIO_ONLY), of("audio", AUDIO_ONLY), atol=1e-6)
    np.testing.assert_allclose(of("item", TEXT_ONLY), of("text", TEXT_ONLY), atol=1e-6)
    assert not np.allclose(of("item", 0), of("audio", 0), atol=1e-2)


def test_block_and_batch_size_do_not_matter(
    mixed: tuple[HtclModel, SongReader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode_songs(*mixed, folder(tmp_path, "whole"), "embed")
    monkeypatch.setattr(embed, "BLOCK", 4)
    monkeypatch.setattr(embed, "BATCH", 3)
    parts = encode_songs(*mixed, folder(tmp_path, "parts"), "embed")
    for modality in MODALITIES:
        np.testing.assert_array_equal(parts[modality].tracks, whole[modality].tracks)
        np.testing.assert_allclose(parts[modality].values, whole[modality].values, atol=1e-5)


@pytest.mark.parametrize("damage", [False, True])
def test_finished_blocks_are_not_redone_and_damaged_ones_are(
    mixed: tuple[HtclModel, SongReader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bool
) -> None:
    monkeypatch.setattr(embed, "BLOCK", 3)
    blocks = folder(tmp_path)
    encode, done = embed._encode_block, []

    def spy(model: HtclModel, reader: SongReader, tracks: np.ndarray, device: torch.device) -> object:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(tracks.tolist())
        return encode(model, reader, tracks, device)

    monkeypatch.setattr(embed, "_encode_block", spy)
    with pytest.raises(KeyboardInterrupt):
        encode_songs(*mixed, blocks, "embed")
    assert done == [[0, 1, 2], [3, 4, 5]]
    if damage:
        first = blocks / "block-000000000.safetensors"
        first.write_bytes(first.read_bytes()[:-30])
    done.clear()
    resumed = encode_songs(*mixed, blocks, "embed")
    assert done == [[0, 1, 2], [6, 8, 9]] if damage else [[6, 8, 9]]
    monkeypatch.setattr(embed, "_encode_block", encode)
    whole = encode_songs(*mixed, folder(tmp_path, "whole"), "embed")
    for modality in MODALITIES:
        np.testing.assert_array_equal(resumed[modality].values, whole[modality].values)


@pytest.mark.parametrize("missing", ["audio", "text", "both"])
def test_a_catalogue_may_lack_a_modality_altogether(tmp_path: Path, missing: str) -> None:
    reader = build_reader(
        tmp_path,
        [None] * 4 if missing in ("audio", "both") else MELS[:4],
        [None] * 4 if missing in ("text", "both") else TEXTS[:4],
    )
    vectors = encode_songs(tiny_model(vocabulary=200), reader, folder(tmp_path), "embed")
    for modality in ("audio", "text"):
        assert len(vectors[modality].tracks) == (0 if missing in (modality, "both") else 4)
    assert vectors["item"].values.shape == (0 if missing == "both" else 4, 16)


def test_the_same_file_under_two_ids_gets_the_same_vector(tmp_path: Path) -> None:
    reader = SongReader(
        mels_of([*MELS[:3], MELS[1]]),
        [*TEXTS[:3], TEXTS[1]],
        build_reader(tmp_path, MELS[:3], TEXTS[:3]).tokenizer,
    )
    vectors = encode_songs(tiny_model(vocabulary=200), reader, folder(tmp_path), "embed")
    for modality in MODALITIES:
        np.testing.assert_allclose(vectors[modality].values[1], vectors[modality].values[3], atol=1e-6)


class TestPublished:
    def world(self, make_catalogue: MakeCatalogue, tmp_path: Path) -> World:
        workspace, dataset = make_catalogue(5, audio=[0, 1, 2], text=[0, 1, 3])
        texts = [text for text in track_texts(dataset.tracks) if text]
        tokenizer = train_wordpiece(texts, tmp_path / "words")
        with publishing(workspace.encoder("semantic"), "encoder-semantic", trained_on={"part": "split"}) as draft:
            tiny_model(vocabulary=len(tokenizer)).save_pretrained(draft.folder)
            HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(draft.folder)
        return workspace, dataset

    def test_vectors_are_published_once_and_read_back_by_id(
        self, make_catalogue: MakeCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, dataset = self.world(make_catalogue, tmp_path)
        mels = ensure_mels(workspace.mels, dataset)
        embed_stage(workspace, dataset, mels, "semantic")
        folder = workspace.vectors("semantic")
        rows = {name: read_vectors(folder, name, dataset).tracks.tolist() for name in MODALITIES}
        assert rows == {"audio": [0, 1, 2], "text": [0, 1, 3], "item": [0, 1, 2, 3]}
        manifest = read_manifest(folder)
        assert manifest is not None
        assert manifest.trained_on == {"part": "split"}
        assert not list((workspace.root / ".work").iterdir())
        model, tokenizer, _ = read_encoder(workspace, "semantic")
        reader = SongReader(mels, track_texts(dataset.tracks), tokenizer)
        with torch.no_grad():
            expected = model(**reader.read(np.array([1], np.int32))).fusion[0].numpy()
        np.testing.assert_allclose(read_vectors(folder, "item", dataset).values[1], expected, atol=1e-5)
        monkeypatch.setattr(embed, "read_encoder", lambda *_: pytest.fail("computed again"))
        embed_stage(workspace, dataset, mels, "semantic")

    def test_only_songs_that_the_encoder_reads_otherwise_are_encoded_again(
        self, make_catalogue: MakeCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, dataset = self.world(make_catalogue, tmp_path)
        embed_stage(workspace, dataset, ensure_mels(workspace.mels, dataset), "semantic")
        encode, encoded = embed._encode_block, []

        def spy(model: HtclModel, reader: SongReader, tracks: np.ndarray, device: torch.device) -> object:
            encoded.extend(tracks.tolist())
            return encode(model, reader, tracks, device)

        monkeypatch.setattr(embed, "_encode_block", spy)
        # Song 2 gets a text, song 3 loses its own, song 4 gets both, song 5 is new.
        _, dataset = make_catalogue(6, audio=[0, 1, 2, 4], text=[0, 1, 2, 4, 5])
        mels = ensure_mels(workspace.mels, dataset)
        embed_stage(workspace, dataset, mels, "semantic")
        assert encoded == [2, 4, 5]
        folder = workspace.vectors("semantic")
        found = {name: read_vectors(folder, name, dataset) for name in MODALITIES}
        model, tokenizer, _ = read_encoder(workspace, "semantic")
        whole = encode_songs(model, SongReader.of(dataset, mels, tokenizer), tmp_path / "whole", "embed")
        for modality in MODALITIES:
            np.testing.assert_array_equal(found[modality].tracks, whole[modality].tracks)
            np.testing.assert_allclose(found[modality].values, whole[modality].values, atol=1e-5)

    def test_vectors_of_another_encoder_are_not_kept(
        self, make_catalogue: MakeCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, dataset = self.world(make_catalogue, tmp_path)
        mels = ensure_mels(workspace.mels, dataset)
        embed_stage(workspace, dataset, mels, "semantic")
        before = read_vectors(workspace.vectors("semantic"), "item", dataset)
        with publishing(workspace.encoder("semantic"), "encoder-semantic") as draft:
            tiny_model(vocabulary=200).save_pretrained(draft.folder)
            tokenizer = train_wordpiece([text for text in track_texts(dataset.tracks) if text], tmp_path / "other")
            HtclProcessor(HtclFeatureExtractor(), tokenizer).save_pretrained(draft.folder)
        embed_stage(workspace, dataset, mels, "semantic")
        after = read_vectors(workspace.vectors("semantic"), "item", dataset)
        assert (np.abs(after.values - before.values).max(axis=1) > 1e-3).all()

    def test_the_command_embeds_what_there_is(
        self, make_catalogue: MakeCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, _ = self.world(make_catalogue, tmp_path)
        monkeypatch.setattr(sys, "argv", ["embed", "--workspace", str(workspace.root)])
        with pytest.raises(SystemExit) as ended:
            run(embed_command.app)
        assert ended.value.code == 0
        assert (workspace.vectors("semantic") / "item.npy").is_file()
        assert not workspace.vectors("preference").exists()

    def test_damaged_and_missing_vectors_are_said(self, make_catalogue: MakeCatalogue, tmp_path: Path) -> None:
        workspace, dataset = self.world(make_catalogue, tmp_path)
        with pytest.raises(UserError):
            read_vectors(workspace.vectors("semantic"), "item", dataset)
        embed_stage(workspace, dataset, ensure_mels(workspace.mels, dataset), "semantic")
        path = workspace.vectors("semantic") / "item.npy"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"item\.npy"):
            read_vectors(workspace.vectors("semantic"), "item", dataset)

    def test_a_vector_that_is_not_finite_names_its_song(self, make_catalogue: MakeCatalogue, tmp_path: Path) -> None:
        _, dataset = make_catalogue(3)
        values = np.ones((2, 4), np.float32)
        values[1, 2] = np.nan
        with pytest.raises(ValueError, match="song-02"):
            write_vectors(tmp_path, "audio", Vectors(np.array([0, 2], np.int32), values), dataset)


def test_features_are_read_by_the_tower_they_were_trained_for_alone(tmp_path: Path) -> None:
    reader = build_reader(tmp_path, MELS, TEXTS)
    described = replace(reader, precomputed=np.ones((10, 3), np.float32))
    model = tiny_model(vocabulary=len(reader.tokenizer))
    expected = encode_songs(model, reader, folder(tmp_path, "a"), "embed")["item"].values
    np.testing.assert_array_equal(
        encode_songs(model, described, folder(tmp_path, "b"), "embed")["item"].values, expected
    )
    with pytest.raises(UserError, match="3 features a track; the model was trained on 4"):
        encode_songs(tiny_model(feature_dim=4), described, folder(tmp_path, "c"), "embed")
