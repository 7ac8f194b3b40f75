"""VSTAN: session kNN whose neighbours decay with age and whose songs are weighted by position.

STAN (Garg et al. 2019) with the idf weights and the decay by the latest match of Ludewig et al. 2020. Their decays
exp(-x / lambda) are written as half-lives: half-life = lambda * ln 2.
"""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, PositiveInt

from recsys.candidates.declaration import AtQuery, OneOf, Range, Reason
from recsys.candidates.sequential.session_knn import SessionKnn, Weights, decays


class VstanSettings(BaseModel):
    """How sessions are compared, and how their songs count."""

    last: Annotated[PositiveInt, OneOf((5, 10, 20, 50)), AtQuery] = 20
    "Plays that are taken for the current session: a query has no times that would tell where it began."
    nearest: Annotated[PositiveInt, Range(50, 1500, log=True), AtQuery] = 500
    "Most similar sessions whose songs are proposed."
    sample: Annotated[PositiveInt, Range(500, 10_000, log=True), AtQuery] = 1000
    "Newest sessions with one of the songs that are compared at all."
    half_life: Annotated[PositiveFloat | None, OneOf((1.0, 2.0, 5.0, 10.0, 30.0, None)), AtQuery] = 2.0
    "Plays after which a song of the current session counts half in the similarity."
    match_half_life: Annotated[PositiveFloat | None, OneOf((1.0, 5.0, 20.0, None)), AtQuery] = 5.0
    "Plays after which the latest song shared makes a session count half."
    session_half_life_days: Annotated[PositiveFloat | None, OneOf((3.0, 10.0, 30.0, 100.0, None)), AtQuery] = 30.0
    "Days after which a session counts half."
    spread: Annotated[PositiveFloat | None, OneOf((1.0, 2.0, 5.0, 10.0, None)), AtQuery] = 5.0
    "Songs away from the match, before or after, at which a song of the session counts half."
    idf: Annotated[NonNegativeFloat, OneOf((0.0, 1.0, 2.0, 5.0, 10.0)), AtQuery] = 0.0
    "How much more a rare song counts: 1 + idf * log(sessions / sessions with the song)."


class Vstan(SessionKnn):
    """Cosine of the current session, older songs fading, with sessions that fade; near the match counts most.

    Ages of sessions are counted from the end of training (`robust_now`): counted from the moment of asking, which a
    query does not have, all would be smaller by one factor, and the ranking the same.
    """

    name = "vstan"
    Settings = VstanSettings
    reason = Reason("in sessions with {song}")

    def __init__(self, settings: VstanSettings | None = None) -> None:
        self.settings = settings or VstanSettings()

    def weights(self) -> Weights:
        s, lengths = self.settings, self.index.lengths
        by_session = 1 / np.sqrt(lengths)
        if s.session_half_life_days is not None:
            by_session = by_session * 0.5 ** (np.maximum(self.index.days, 0) / s.session_half_life_days)
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
