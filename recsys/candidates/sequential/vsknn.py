"""VSKNN: songs of the sessions most similar to the current one (Ludewig and Jannach 2018, "V-SkNN")."""

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, PositiveInt

from recsys.candidates.sequential.sequences import Weighting, weigh
from recsys.candidates.sequential.session_knn import SessionKnn, Weights


class VsknnSettings(BaseModel):
    """How sessions are compared, and how their songs count."""

    last: PositiveInt = 10
    "Plays that are taken for the current session: a query has no times that would tell where it began."
    nearest: PositiveInt = 500
    "Most similar sessions whose songs are proposed."
    sample: PositiveInt = 1000
    "Newest sessions with one of the songs that are compared at all."
    position: Weighting = "inverse"
    "How a song of the current session counts in the similarity; 1 is the last one."
    match: Weighting = "inverse"
    "How a session counts by the latest song it shares; 1 is the last one."
    idf: NonNegativeFloat = 0.0
    "How much more a rare song counts: 1 + idf * log(sessions / sessions with the song)."


class Vsknn(SessionKnn):
    """Cosine between the current session, weighted by position, and the sessions of training, each song counting 1."""

    name = "vsknn"

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
