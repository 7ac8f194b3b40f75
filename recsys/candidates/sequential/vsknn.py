"""VSKNN: songs of the sessions most similar to the current one (Ludewig and Jannach 2018, "V-SkNN")."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, PositiveInt

from recsys.candidates.declaration import AtQuery, OneOf, Range, Reason
from recsys.candidates.sequential.sequences import WEIGHTINGS, Weighting, weigh
from recsys.candidates.sequential.session_knn import SessionKnn, Weights


class VsknnSettings(BaseModel):
    """How sessions are compared, and how their songs count."""

    last: Annotated[PositiveInt, OneOf((5, 10, 20, 50)), AtQuery] = 10
    "Plays that are taken for the current session: a query has no times that would tell where it began."
    nearest: Annotated[PositiveInt, Range(50, 1500, log=True), AtQuery] = 500
    "Most similar sessions whose songs are proposed."
    sample: Annotated[PositiveInt, Range(500, 10_000, log=True), AtQuery] = 1000
    "Newest sessions with one of the songs that are compared at all."
    position: Annotated[Weighting, OneOf(WEIGHTINGS), AtQuery] = "inverse"
    "How a song of the current session counts in the similarity; 1 is the last one."
    match: Annotated[Weighting, OneOf(WEIGHTINGS), AtQuery] = "inverse"
    "How a session counts by the latest song it shares; 1 is the last one."
    idf: Annotated[NonNegativeFloat, OneOf((0.0, 1.0, 2.0, 5.0, 10.0)), AtQuery] = 0.0
    "How much more a rare song counts: 1 + idf * log(sessions / sessions with the song)."


class Vsknn(SessionKnn):
    """Cosine between the current session, weighted by position, and the sessions of training, each song counting 1."""

    name = "vsknn"
    Settings = VsknnSettings
    reason = Reason("in sessions with {song}")

    def __init__(self, settings: VsknnSettings | None = None) -> None:
        self.settings = settings or VsknnSettings()

    def weights(self) -> Weights:
        s, places = self.settings, np.arange(1, self.settings.last + 1)
        return Weights(
            last=s.last,
            by_age=weigh(places, s.position),
            # The cosine's other half, the length of the current session, is the same for all of its neighbours.
            by_session=1 / np.sqrt(self.index.lengths),
            by_match=weigh(places, s.match),
            by_gap=None,
            idf=s.idf,
            sample=s.sample,
            nearest=s.nearest,
        )
