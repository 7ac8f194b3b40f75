"""Other people's encoders, from a folder that transformers saved: CLAP, wav2vec 2.0, HuBERT, AST, Whisper, our own.

Sound is cut into consecutive windows of the length that the model takes, and a song's vector is the mean of theirs. The
feature extractors themselves would take one window of a long sound: the first, or, as CLAP's does, a random one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize
from transformers import AutoFeatureExtractor, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from data.errors import UserError
from data.storage.hashing import sha256, short_hash
from encoders import htcl  # noqa: F401  # ours registers itself with transformers' Auto classes
from encoders.model.text import tokenize

WINDOW_S = 30
"""For models that would take a sound of any length, in memory that grows with its square."""
SHORTEST_S = 1
"""A shorter sound is filled up with silence: convolutions need something to slide over."""
TEXT_BATCH = 32
ONLY_TRAINING = {"masked_spec_embed"}
"""Weights that are read in training alone."""


@dataclass(frozen=True)
class ExternalModel:
    """A model for evaluation.

    digest: of weights, configuration and vocabulary. extractor: from samples to what the model reads. tokenizer: None
    for one that knows sound alone.
    """

    name: str
    digest: str
    model: Any
    extractor: Any
    tokenizer: PreTrainedTokenizerBase | None

    @property
    def rate(self) -> int:
        """Hz."""
        return int(self.extractor.sampling_rate)

    @property
    def window(self) -> int:
        """Samples that the model takes at a time."""
        for name in ("nb_max_samples", "n_samples"):  # CLAP and HTCL; Whisper
            if hasattr(self.extractor, name):
                return int(getattr(self.extractor, name))
        if hasattr(self.extractor, "max_length"):  # AST: frames of 10 ms
            return int(self.extractor.max_length) * self.rate // 100
        return WINDOW_S * self.rate

    @torch.inference_mode()
    def encode_sound(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(D,) for samples (N,) at `rate`: the mean over the windows.

        A unit vector, of unit vectors, where it can be compared with text; else of the last layer's mean over time.
        Raises ValueError where it is not finite.
        """
        filled = np.pad(samples, (0, max(0, SHORTEST_S * self.rate - len(samples))))
        found = torch.stack([self._encode_window(piece) for piece in windows(filled, self.window)]).mean(dim=0)
        if not torch.isfinite(found).all():
            raise ValueError("the vector is not finite")
        return np.asarray((found if self.tokenizer is None else normalize(found, dim=0)).cpu().numpy(), np.float32)

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(Q, D) unit vectors beside those of sound, of each text up to the model's longest."""
        if self.tokenizer is None:
            raise ValueError(f"{self.name} knows no text")
        positions = getattr(self.model.config.text_config, "max_position_embeddings", 514)
        # RoBERTa's positions start after that of the padding.
        longest = min(self.tokenizer.model_max_length, positions - 2)
        found = []
        for start in range(0, len(texts), TEXT_BATCH):
            tokens = tokenize(self.tokenizer, texts[start : start + TEXT_BATCH], longest)
            tokens = {name: value.to(self.model.device) for name, value in tokens.items()}
            found.append(normalize(self.model.get_text_features(**tokens).pooler_output, dim=1).cpu().numpy())
        return np.concatenate(found).astype(np.float32)

    def _encode_window(self, samples: NDArray[np.float32]) -> torch.Tensor:
        inputs = self.extractor(samples, sampling_rate=self.rate, return_tensors="pt")
        inputs = inputs.to(self.model.device, self.model.dtype)
        if "is_longer" in inputs:
            # Where no sound is longer than the window, CLAP's extractor marks one all the same, by lot.
            inputs["is_longer"] = torch.zeros_like(inputs["is_longer"])
        if self.tokenizer is not None:
            vector: torch.Tensor = normalize(self.model.get_audio_features(**inputs).pooler_output, dim=1)[0]
            return vector
        hidden: torch.Tensor = self.model(**inputs).last_hidden_state
        if hidden.ndim != 3:
            raise ValueError(f"hidden states {tuple(hidden.shape)}, not (1, time, size)")
        return hidden[0].mean(dim=0)


def windows(samples: NDArray[np.float32], size: int) -> list[NDArray[np.float32]]:
    """Consecutive pieces of `size`. What is left over counts where it is half of one, or all there is.

    >>> [len(piece) for piece in windows(np.zeros(25, np.float32), 10)]
    [10, 10, 5]
    >>> [len(piece) for piece in windows(np.zeros(24, np.float32), 10)]
    [10, 10]
    """
    pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
    return pieces[:-1] if len(pieces) > 1 and 2 * len(pieces[-1]) < size else pieces


def external_name(folder: Path) -> str:
    """What a model is called: as its folder is, or as the link to it."""
    return Path(os.path.abspath(folder)).name


def open_external(folder: Path) -> ExternalModel:
    """The model in a folder that save_pretrained wrote, tried on a second of noise.

    Nothing is downloaded and no code in the folder is run. Raises UserError where it lacks something or reads no sound.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"no transformers model in {folder}", "Give the folder that holds its config.json.")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"no weights in {folder}", "Copy the model's .safetensors there too; no other kind is read.")
    try:
        opened = _open(folder)
        opened.encode_sound(np.random.default_rng(0).normal(0, 0.1, opened.rate).astype(np.float32))
        if opened.tokenizer is not None:
            opened.encode_text(["music"])
    except UserError:
        raise
    except Exception as error:  # whatever a foreign folder may provoke
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{folder} does not turn sound into vectors: {reason}",
            "Take a CLAP or audio feature-extraction model that save_pretrained wrote, its preprocessor included.",
        ) from error
    return opened


def _open(folder: Path) -> ExternalModel:
    safely = {"local_files_only": True, "trust_remote_code": False}
    model, loading = AutoModel.from_pretrained(
        folder, **safely, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    missing = sorted(set(loading["missing_keys"]) - ONLY_TRAINING)
    if missing:
        raise UserError(f"{folder} lacks {len(missing)} of the model's weights, e.g. {missing[0]}", "Copy it again.")
    extractor = AutoFeatureExtractor.from_pretrained(folder, **safely)
    compares = hasattr(model, "get_audio_features") and hasattr(model, "get_text_features")
    tokenizer = AutoTokenizer.from_pretrained(folder, **safely) if compares else None
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return ExternalModel(external_name(folder), _digest(folder), model.eval().to(device), extractor, tokenizer)


def _digest(folder: Path) -> str:
    kinds = (".safetensors", ".json", ".txt", ".model")
    return short_hash({path.name: sha256(path) for path in sorted(folder.iterdir()) if path.suffix in kinds})
