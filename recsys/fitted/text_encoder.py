"""Words into a stage's space, with the encoder that made the songs' vectors and no other."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.load import read_encoder
from encoders.model.network import HtclNetwork
from encoders.model.text import tokenize
from encoders.options import Stage
from recsys.index.publishing import BUILD_AGAIN

REMEMBERED = 100_000
LETTERS_A_PIECE = 3
"""A word that falls into pieces shorter than this on the mean is none that the tower was taught."""


@dataclass
class TextEncoder:
    """Texts -> unit vectors (Q, D); texts are remembered. fault: raised with the first text; songs need no words."""

    model: HtclNetwork | None = None
    tokenizer: Any = None
    fault: UserError | None = None
    _memory: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def knows(self, word: str) -> bool:
        """Whether the tower was taught the word: its vocabulary has it whole, or in few pieces."""
        if self.tokenizer is None:
            return False
        pieces = self.tokenizer.tokenize(word)
        if not pieces or self.tokenizer.unk_token in pieces:
            return False
        return len(pieces) == 1 or LETTERS_A_PIECE * len(pieces) <= len(word)

    def _vector(self, text: str) -> NDArray[np.float32]:
        known = self._memory.get(text)
        if known is not None:
            return known
        if self.fault is not None:
            raise self.fault
        assert self.model is not None
        with torch.inference_mode():
            output: Any = self.model.get_text_features(**tokenize(self.tokenizer, [text]))
            vector = np.asarray(normalize(output.pooler_output, dim=1)[0].numpy(), np.float32)
        if len(self._memory) >= REMEMBERED:
            self._memory = {}
        self._memory[text] = vector
        return vector


def read_text_encoder(workspace: Workspace, stage: Stage) -> TextEncoder:
    """The text side of a stage's encoder.

    It is read now, so that what is open answers from one version however often the workspace is built again. Where it
    is not the one that made the vectors, or is damaged, that is its `fault`.
    """
    made, used = read_manifest(workspace.vectors(stage)), read_manifest(workspace.encoder(stage))
    try:
        model, tokenizer, _ = read_encoder(workspace, stage)
    except UserError as error:
        return TextEncoder(fault=error)
    if made is not None and used is not None and made.made_from["encoder"] != used.fingerprint:
        where = workspace.encoder(stage)
        return TextEncoder(fault=UserError(f"the encoder in {where} did not make the vectors", BUILD_AGAIN))
    return TextEncoder(model, tokenizer)
