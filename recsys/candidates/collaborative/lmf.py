"""LMF: the probability that a listener plays a song, as a logistic factorisation (Johnson 2014), by implicit."""

from typing import Annotated

import numpy as np
from implicit.cpu.lmf import LogisticMatrixFactorization
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from recsys.candidates.collaborative.latent_factors import FactorSettings, FactorSource
from recsys.candidates.declaration import Range


class LmfSettings(FactorSettings):
    """The factorisation, on one thread: on several it is not reproducible."""

    factors: Annotated[PositiveInt, Range(8, 128, log=True)] = 32
    learning_rate: Annotated[PositiveFloat, Range(0.1, 2.0, log=True)] = 1.0
    regularization: Annotated[PositiveFloat, Range(0.01, 10.0, log=True)] = 0.6
    alpha: PositiveFloat = 1.0
    "Confidence of a play over a sampled song that was not played."
    iterations: Annotated[PositiveInt, Range(15, 90, log=True)] = 30
    negatives: PositiveInt = 30
    "Songs sampled as not played per song played; implicit takes no more than factors + 2 a listener."
    seed: int = 20260101


class Lmf(FactorSource):
    """Scores songs against the listener's factors or, for playlists and new listeners, those of the history's songs."""

    name = "lmf"
    Settings = LmfSettings
    bias = -2
    "implicit appends two columns: the songs' biases, which meet a 1 in listeners, then the listeners', which meet a 1."

    def __init__(self, settings: LmfSettings | None = None) -> None:
        self.settings: LmfSettings = settings or LmfSettings()

    def learn(self, matrix: csr_matrix) -> LogisticMatrixFactorization:
        s = self.settings
        model = LogisticMatrixFactorization(
            s.factors,
            s.learning_rate,
            s.regularization,
            iterations=s.iterations,
            neg_prop=s.negatives,
            num_threads=1,
            random_state=s.seed,
        )
        model.fit(matrix * np.float32(s.alpha), show_progress=False)
        return model
