"""Candidate sources: each proposes songs for queries. CONTRIBUTING.md lists what a new one needs."""

from collections.abc import Callable

from pydantic import BaseModel

from recsys.candidates.collaborative.bpr import Bpr, BprSettings
from recsys.candidates.collaborative.ease import Ease, EaseSettings
from recsys.candidates.collaborative.ials import Ials, IalsSettings
from recsys.candidates.collaborative.item_knn import ItemKnn, ItemKnnSettings
from recsys.candidates.collaborative.lmf import Lmf, LmfSettings
from recsys.candidates.collaborative.rp3beta import Rp3Beta, Rp3BetaSettings
from recsys.candidates.content.htcl import Htcl, HtclSettings
from recsys.candidates.content.precomputed_features import Features
from recsys.candidates.content.same_artist import SameArtist, SameArtistSettings
from recsys.candidates.content.vector_neighbours import VectorNeighbourSettings
from recsys.candidates.contract import CandidateSource, State
from recsys.candidates.sequential.markov import Markov, MarkovSettings
from recsys.candidates.sequential.sasrec import Sasrec
from recsys.candidates.sequential.sasrec_network import SasrecSettings
from recsys.candidates.sequential.sequential_rules import SequentialRules, SequentialRulesSettings
from recsys.candidates.sequential.vsknn import Vsknn, VsknnSettings
from recsys.candidates.sequential.vstan import Vstan, VstanSettings
from recsys.candidates.simple.popularity import Popularity, PopularitySettings, Random, RandomSettings
from recsys.candidates.simple.repeat import Repeat, RepeatSettings

SOURCES: dict[str, tuple[Callable[..., CandidateSource], type[BaseModel]]] = {
    "random": (Random, RandomSettings),
    "popularity": (Popularity, PopularitySettings),
    "repeat": (Repeat, RepeatSettings),
    "same-artist": (SameArtist, SameArtistSettings),
    "features": (Features, VectorNeighbourSettings),
    "item-knn": (ItemKnn, ItemKnnSettings),
    "rp3beta": (Rp3Beta, Rp3BetaSettings),
    "ease": (Ease, EaseSettings),
    "ials": (Ials, IalsSettings),
    "bpr": (Bpr, BprSettings),
    "lmf": (Lmf, LmfSettings),
    "markov": (Markov, MarkovSettings),
    "sequential-rules": (SequentialRules, SequentialRulesSettings),
    "vsknn": (Vsknn, VsknnSettings),
    "vstan": (Vstan, VstanSettings),
    "sasrec": (Sasrec, SasrecSettings),
}
"""Sources that need nothing but a dataset (`features` one with features). The HTCL sources need vectors as well:
`recsys.fitted.store` makes them."""

__all__ = ["SOURCES", "CandidateSource", "Htcl", "HtclSettings", "State"]
