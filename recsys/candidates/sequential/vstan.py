"""VSTAN: session kNN whose neighbours decay with age and whose songs are weighted by position.

STAN (Garg et al. 2019) with the idf weights and the decay by the latest match of Ludewig et al. 2020. Their decays
exp(-x / lambda) are written as half-lives: half-life = lambda * ln 2.
"""

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, PositiveInt

from recsys.candidates.sequential.session_knn import SessionKnn, Weights, decays


class VstanSettings(BaseModel):
    """How sessions are compared, and how their songs count."""

    last: PositiveInt = 20
    "Plays that are taken for the current session: a query has no times that would tell where it began."
    nearest: PositiveInt = 500
    "Most similar sessions whose songs are proposed."
    sample: PositiveInt = 1000
    "Newest sessions with one of the songs that are compared at all."
    half_life: PositiveFloat | None = 2.0
    "Plays after which a song of the current session counts half in the similarity."
    match_half_life: PositiveFloat | None = 5.0
    "Plays after which the latest song shared makes a session count half."
    session_half_life_days: PositiveFloat | None = 30.0
    "Days after which a session counts half."
    spread: PositiveFloat | None = 5.0
    "Songs away from the match, before or after, at which a song of the session counts half."
    idf: NonNegativeFloat = 0.0
    "How much more a rare song counts: 1 + idf * log(sessions / sessions with the song)."


class Vstan(SessionKnn):
    """Cosine of the current session, older songs fading, with sessions that fade; near the match counts most.

    Ages of sessions are counted from the newest one in training: counted from the moment of asking, which a query does
    not have, all would be smaller by one factor, and the ranking the same.
    """

    name = "vstan"

    def __init__(self, settings: VstanSettings | None = None) -> None:
        self.settings = settings or VstanSettings()

    def weights(self) -> Weights:
        s, lengths = self.settings, self.index.lengths
        by_session = 1 / np.sqrt(lengths)
        if s.session_half_life_days is not None:
            by_session = by_session * 0.5 ** (self.index.days / s.session_half_life_days)
        return Weights(
            last=s.last,
            by_age=decays(s.half_life, s.last),
            by_session=by_session,
            by_match=decays(s.match_half_life, s.last),
            by_gap=decays(s.spread, int(lengths.max(initial=1))),
            idf=s.idf,
            sample=s.sample,
            nearest=s.nearest,
        )
