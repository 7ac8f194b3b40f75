"""What is known of how well an encoder's words find sounds, as the encoder's manifest carries it (`facts["words"]`).

`encoders.encoding.words` measures it. Imports nothing heavy: who opens a workspace asks it first.
"""

from typing import Self

from pydantic import BaseModel

from data.storage.manifest import Manifest

FIRST = 10
"""A text should find its own sound among the first so many."""
LEAST = 40
"""Held-out songs below which nothing can be told: chance alone finds a quarter of them."""
LEVEL = 0.01
"""One-sided binomial test against chance. Songs of one album are alike, so a usual 5 % would be too generous."""


class WordSense(BaseModel):
    """What is known of an encoder's words.

    songs: measured, 0 where too few were held out. found: share of their texts that find their own sound among the
    first ten. chance: the share that luck finds. learned: False where the encoder is neither pre-trained nor trained.
    """

    learned: bool = True
    songs: int = 0
    found: float = 0.0
    chance: float = 0.0
    p_value: float = 1.0

    @property
    def refused(self) -> str:
        """Why a search by words is refused; empty where it is not."""
        if not self.learned:
            return "this encoder never learned what words mean: no song has both audio and text, or pairs of listening"
        if self.songs and self.p_value > LEVEL:
            return f"this encoder's words find songs no better than chance: {self.in_words()}"
        return ""

    def in_words(self) -> str:
        """The measurement, as one clause."""
        if not self.songs:
            return f"not measured: fewer than {LEAST} songs with audio and text were left out, or by an older version"
        return (
            f"of {self.songs:,} songs kept out of training, {self.found:.0%} of the texts find their own sound among "
            f"the first {FIRST} (chance {self.chance:.0%})"
        )

    @classmethod
    def of(cls, manifest: Manifest | None) -> Self:
        """What the manifest of an encoder says; nothing known where it is older than this measure."""
        return cls.model_validate(manifest.facts.get("words", {}) if manifest is not None else {})
