"""A song's metadata as one string, and the tokenizer and text tower that read it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import polars as pl
from safetensors import SafetensorError
from tokenizers import BertWordPieceTokenizer
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from data.errors import UserError

MAX_TOKENS = 64
VOCABULARY = 3000
SEPARATOR = "; "
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALPHABET = 1000
"Characters a vocabulary has at most; those that are rarer become [UNK]."


def track_texts(tracks: pl.DataFrame, artist: bool = True) -> list[str | None]:
    """One line per track: title, artist, album, genres, tags, language, description; None where all are missing.

    artist=False leaves the artist out (an ablation: artist names let a text encoder imitate "same artist").
    """
    columns = ["title", *(["artist"] if artist else []), "album", "genres", "tags", "language", "description"]
    texts = []
    for row in tracks.select(columns).iter_rows(named=True):
        parts = [", ".join(value) if isinstance(value, list) else value for value in row.values() if value]
        texts.append(SEPARATOR.join(part for part in parts if part and part.strip()) or None)
    return texts


def train_wordpiece(texts: Sequence[str], folder: Path, vocabulary: int = VOCABULARY) -> PreTrainedTokenizerBase:
    """A lower-casing WordPiece tokenizer learned from the catalogue's own text, saved in `folder` as BERT's is.

    The same texts give the same vocabulary.
    """
    texts = [normalize("NFKC", text) for text in texts]
    learner = BertWordPieceTokenizer(lowercase=True)
    alphabet, inner = _characters(learner, texts)
    learner.train_from_iterator(
        texts,
        vocab_size=vocabulary,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        # Left to itself the learner numbers these in the order of a hash table, another one in every run.
        special_tokens=[*SPECIAL, *(f"##{character}" for character in inner)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    learner.save_model(str(folder))
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return AutoTokenizer.from_pretrained(folder, model_max_length=MAX_TOKENS)


def _characters(learner: BertWordPieceTokenizer, texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The most frequent characters of the texts, and those of them that stand inside words, both sorted."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in learner.pre_tokenizer.pre_tokenize_str(learner.normalizer.normalize_str(text)))
    counts: Counter[str] = Counter()
    for word, times in words.items():
        counts.update({character: word.count(character) * times for character in set(word)})
    kept = set(sorted(counts, key=lambda character: (-counts[character], character))[:ALPHABET])
    return sorted(kept), sorted({character for word in words for character in word[1:]} & kept)


def load_text_tower(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
    """A pre-trained BERT-like model, its tokenizer, and how its tokens are pooled (`mean` or `pooler`).

    The mean is taken, as most sentence encoders do; a pooler is rarely trained. Raises UserError where the folder holds
    no such model.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"no transformers model in {folder}", "Give the folder that holds its config.json.")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tower = AutoModel.from_pretrained(folder, config=config, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} does not load as a text model: {error}") from error
    if getattr(config, "vocab_size", 0) < len(tokenizer):
        raise UserError(f"{folder} is no text model, but {config.model_type}", "Take a BERT-like one.")
    if len(tokenizer) <= len(SPECIAL):
        # transformers makes an empty tokenizer where there are no files for one.
        raise UserError(f"no vocabulary in {folder}", "Copy the model's tokenizer files there too.")
    tokenizer.model_max_length = min(tokenizer.model_max_length, MAX_TOKENS)
    return tower, tokenizer, "mean"


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], tokens: int | None = None) -> dict[str, Any]:
    """Padded to the batch's longest, cut at `tokens` or the tokenizer's limit: input_ids and attention_mask (B, T).

    Characters that look alike are one (NFKC): what is typed in full width reads as what is not.
    """
    return dict(
        tokenizer(
            [normalize("NFKC", text) for text in texts],
            padding=True,
            truncation=True,
            max_length=tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        )
    )
