"""BPR: matrix factorisation that ranks what was played above what was not (Rendle et al. 2009), by implicit."""

from typing import Annotated

from implicit.cpu.bpr import BayesianPersonalizedRanking
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from recsys.candidates.collaborative.latent_factors import FactorSettings, FactorSource
from recsys.candidates.declaration import Range


class BprSettings(FactorSettings):
    """The factorisation, on one thread: on several it is not reproducible."""

    factors: Annotated[PositiveInt, Range(8, 128, log=True)] = 64
    learning_rate: Annotated[PositiveFloat, Range(0.01, 0.2, log=True)] = 0.05
    regularization: Annotated[PositiveFloat, Range(1e-4, 0.1, log=True)] = 0.01
    iterations: Annotated[PositiveInt, Range(30, 150, log=True)] = 60
    seed: int = 20260101


class Bpr(FactorSource):
    """Scores songs against the listener's factors or, for playlists and new listeners, those of the history's songs."""

    name = "bpr"
    Settings = BprSettings
    bias = -1

    def __init__(self, settings: BprSettings | None = None) -> None:
        self.settings: BprSettings = settings or BprSettings()

    def learn(self, matrix: csr_matrix) -> BayesianPersonalizedRanking:
        s = self.settings
        model = BayesianPersonalizedRanking(
            s.factors, s.learning_rate, s.regularization, iterations=s.iterations, num_threads=1, random_state=s.seed
        )
        model.fit(matrix, show_progress=False)
        return model
