"""Words into a stage's space, with the encoder that made the songs' vectors and no other.

Its files are read when the workspace is opened, so that what is open answers from one version however often the
workspace is built again. The network is made from them with the first words: importing torch and transformers takes
seconds, which songs can do without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.errors import UserError
from data.storage.manifest import read_manifest, read_verified
from data.storage.workspace import Workspace
from encoders.options import Stage
from recsys.index.publishing import BUILD_AGAIN
from recsys.threads import threads_for

if TYPE_CHECKING:
    from encoders.model.network import HtclNetwork

REMEMBERED = 100_000
LETTERS_A_PIECE = 3
"""A word that falls into pieces shorter than this on the mean is none that the tower was taught."""


@dataclass
class TextEncoder:
    """Texts -> unit vectors (Q, D); texts are remembered.

    files: what the encoder's folder held, by path. fault: raised with the first text; songs need no words.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    fault: UserError | None = None
    _memory: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def knows(self, word: str) -> bool:
        """Whether the tower was taught the word: its vocabulary has it whole, or in few pieces."""
        if self.fault is not None:
            return False
        tokenizer = self._network[1]
        pieces = tokenizer.tokenize(word)
        if not pieces or tokenizer.unk_token in pieces:
            return False
        return len(pieces) == 1 or LETTERS_A_PIECE * len(pieces) <= len(word)

    def _vector(self, text: str) -> NDArray[np.float32]:
        known = self._memory.get(text)
        if known is not None:
            return known
        if self.fault is not None:
            raise self.fault
        model, tokenizer = self._network
        import torch
        from torch.nn.functional import normalize

        from encoders.model.text import tokenize

        # Again, if somebody up there holds it: torch may have come after them.
        with threads_for(1), torch.inference_mode():
            output: Any = model.get_text_features(**tokenize(tokenizer, [text]))
            vector = np.asarray(normalize(output.pooler_output, dim=1)[0].numpy(), np.float32)
        if len(self._memory) >= REMEMBERED:
            self._memory = {}
        self._memory[text] = vector
        return vector

    @cached_property
    def _network(self) -> "tuple[HtclNetwork, Any]":
        """Model and tokenizer. transformers reads folders, so the files take a detour."""
        from encoders.encoding.load import open_encoder

        with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            for name, content in self.files.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            model, tokenizer, _ = open_encoder(Path(scratch))
        self.files = {}
        return model, tokenizer


def read_text_encoder(workspace: Workspace, stage: Stage) -> TextEncoder:
    """The text side of a stage's encoder, as it is now. Where it is not the one that made the vectors, or is damaged,
    that is its `fault`."""
    made, folder = read_manifest(workspace.vectors(stage)), workspace.encoder(stage)
    try:
        used, files = read_verified(folder)
    except UserError as error:
        return TextEncoder(fault=error)
    if made is not None and made.made_from["encoder"] != used.fingerprint:
        return TextEncoder(fault=UserError(f"the encoder in {folder} did not make the vectors", BUILD_AGAIN))
    return TextEncoder(files)
