"""A model folder is what it says, or is refused: nothing that is missing is made up.

transformers fills missing tensors with fresh weights and missing settings with defaults, with a line on stderr; the
vectors are then others, some at every load.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from data.errors import UserError

COPY_AGAIN = "Copy the folder again, or save the model again: nothing that is missing is made up."
TEXT_SETTINGS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
"What a text tower is made by; other settings of it depend on its type."
NOT_SETTINGS = frozenset({"model_type", "sub_configs", "base_config_key", "transformers_version"})
SHOWN = 3


def check_settings(folder: Path, kind: type[PreTrainedConfig]) -> None:
    """Raises UserError naming the settings that a folder's config.json lacks. Without one, transformers says so."""
    try:
        written = json.loads((folder / "config.json").read_text("utf-8"))
    except OSError:
        return
    except ValueError as error:
        raise UserError(f"{folder / 'config.json'} is damaged: {error}", COPY_AGAIN) from error
    missing = _lacking(written, _settings_of(kind))
    for part, part_kind in kind.sub_configs.items():
        missing += [f"{part}.{name}" for name in _lacking(written.get(part) or {}, _settings_of(part_kind))]
    missing += [f"text_config.{name}" for name in _lacking(written.get("text_config") or {}, TEXT_SETTINGS)]
    if missing:
        raise UserError(f"{folder / 'config.json'} lacks {_some(missing)}", COPY_AGAIN)


def check_weights(where: str, loading: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Raises UserError naming tensors that are missing, that the model has no place for, or that are not finite.

    loading: what transformers found when it read them.
    """
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in loading["mismatched_keys"]]
    not_finite = [name for name, tensor in weights.items() if not _is_sound(name, tensor)]
    for names, what in (
        (loading["missing_keys"], "lacks"),
        (loading["unexpected_keys"], "has, though its config.json leaves no place for it,"),
        (mismatched, "has in another shape"),
        (not_finite, "has numbers that are not finite in"),
    ):
        if names:
            raise UserError(f"{where} {what} {_some(sorted(names))}", COPY_AGAIN)


def check_tokenizer(where: str, tokenizer: Any, vocabulary: int, special: int) -> None:
    """Raises UserError where a tokenizer has no words, or more than the text tower has."""
    if len(tokenizer) <= special < vocabulary:
        # transformers makes an empty tokenizer where there are no files for one.
        raise UserError(f"{where} lacks the tokenizer's vocabulary (tokenizer.json)", COPY_AGAIN)
    if len(tokenizer) > vocabulary:
        words = f"{len(tokenizer):,} tokens, and the text tower knows {vocabulary:,}"
        raise UserError(f"the tokenizer in {where} is another model's: {words}", COPY_AGAIN)


def _is_sound(name: str, tensor: torch.Tensor) -> bool:
    """Finite, or an endless spread: so is that of a column that never changes, which is thereby left out."""
    return not bool(tensor.isnan().any() if name.endswith(".spread") else (~tensor.isfinite()).any())


def _settings_of(kind: type[PreTrainedConfig]) -> list[str]:
    return [name for name in kind.__annotations__ if name not in NOT_SETTINGS]


def _lacking(written: Mapping[str, Any], names: Any) -> list[str]:
    return [name for name in names if name not in written]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
