"""BPR: matrix factorisation that ranks what was played above what was not (Rendle et al. 2009), by implicit."""

from implicit.cpu.bpr import BayesianPersonalizedRanking
from pydantic import PositiveFloat, PositiveInt
from scipy.sparse import csr_matrix

from recsys.candidates.collaborative.latent_factors import FactorSettings, FactorSource


class BprSettings(FactorSettings):
    """The factorisation, on one thread: on several it is not reproducible."""

    factors: PositiveInt = 64
    learning_rate: PositiveFloat = 0.05
    regularization: PositiveFloat = 0.01
    iterations: PositiveInt = 60
    seed: int = 20260101


class Bpr(FactorSource):
    """Scores songs against the listener's factors or, for playlists and new listeners, those of the history's songs."""

    name = "bpr"
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
