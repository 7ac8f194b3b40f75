"""First-order Markov chain: what was played right after a song."""

from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat

from data.dataset import Dataset
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Reason
from recsys.candidates.sequential.sequences import sequences
from recsys.candidates.sequential.transitions import Transitions, followers, shares


class MarkovSettings(BaseModel):
    """How transitions count."""

    shrinkage: Annotated[NonNegativeFloat, OneOf((0.0, 1.0, 5.0, 20.0, 50.0, 200.0))] = 5.0
    "Transitions added to those seen from a song before shares are taken: a song seen once says little."
    half_life: Annotated[PositiveFloat | None, OneOf((0.1, 0.5, *HALF_LIFE)), AtQuery] = 1.0
    "Plays after which one counts half; far below 1 the last song decides alone."


class Markov(Transitions):
    """The share with which each song came next in sessions and playlists, from the last few songs of the history.

    A first-order chain asks from the last song alone; here earlier ones go on speaking, the less the longer ago.
    """

    name = "markov"
    Settings = MarkovSettings
    reason = Reason("played after {song}")

    def __init__(self, settings: MarkovSettings | None = None) -> None:
        self.settings = settings or MarkovSettings()
        super().__init__(self.settings.half_life)

    def fit(self, dataset: Dataset) -> Self:
        counts = followers(sequences(dataset, of="session"), np.ones(1), len(dataset.track_ids))
        self.matrix = shares(counts, self.settings.shrinkage)
        return self
