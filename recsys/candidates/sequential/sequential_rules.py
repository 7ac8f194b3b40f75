"""Sequential rules: what followed a song within a few places of a session (Ludewig and Jannach 2018, "SR")."""

from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, PositiveFloat, PositiveInt

from data.dataset import Dataset
from recsys.candidates.collaborative.item_similarity import best_of_rows, most_for_each
from recsys.candidates.declaration import HALF_LIFE, AtQuery, OneOf, Range, Reason
from recsys.candidates.sequential.sequences import WEIGHTINGS, Weighting, sequences, weigh
from recsys.candidates.sequential.transitions import Transitions, followers, shares


class SequentialRulesSettings(BaseModel):
    """What makes a rule."""

    reach: Annotated[PositiveInt, Range(2, 30, log=True)] = 10
    "Places that may lie between a song and one it leads to."
    weighting: Annotated[Weighting, OneOf(WEIGHTINGS)] = "inverse"
    "How a rule counts by these places; the authors take 1/d."
    rules: PositiveInt = 500
    "Strongest rules kept for each song."
    half_life: Annotated[PositiveFloat | None, OneOf((0.1, 0.5, *HALF_LIFE)), AtQuery] = 0.1
    "Plays after which one counts half; far below 1, as by the authors, the last song decides alone."


class SequentialRules(Transitions):
    """Pairs of songs d places apart in a session or playlist count the more the nearer; asked from the last song."""

    name = "sequential-rules"
    Settings = SequentialRulesSettings
    reason = Reason("played after {song}")

    def __init__(self, settings: SequentialRulesSettings | None = None) -> None:
        self.settings = settings or SequentialRulesSettings()
        super().__init__(self.settings.half_life)

    def fit(self, dataset: Dataset) -> Self:
        s = self.settings
        weights = weigh(np.arange(1, s.reach + 1), s.weighting)
        counts = followers(sequences(dataset, of="session"), weights, len(dataset.track_ids))
        self.matrix = best_of_rows(shares(counts), most_for_each(counts, s.rules))
        return self
