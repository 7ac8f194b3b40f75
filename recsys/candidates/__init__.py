"""Candidate sources: each proposes songs for queries. A new source is one file here and one line in `SOURCES`."""

from collections.abc import Callable

from pydantic import BaseModel

from recsys.candidates.bpr import Bpr, BprSettings
from recsys.candidates.contract import CandidateSource, State
from recsys.candidates.ease import Ease, EaseSettings
from recsys.candidates.features import Features
from recsys.candidates.htcl import Htcl, HtclSettings
from recsys.candidates.ials import Ials, IalsSettings
from recsys.candidates.item_knn import ItemKnn, ItemKnnSettings
from recsys.candidates.lmf import Lmf, LmfSettings
from recsys.candidates.markov import Markov, MarkovSettings
from recsys.candidates.near_songs import NearSettings
from recsys.candidates.next_song_model import SasrecSettings
from recsys.candidates.popularity import Popularity, PopularitySettings, Random, RandomSettings
from recsys.candidates.repeat import Repeat, RepeatSettings
from recsys.candidates.rp3beta import Rp3Beta, Rp3BetaSettings
from recsys.candidates.same_artist import SameArtist, SameArtistSettings
from recsys.candidates.sasrec import Sasrec
from recsys.candidates.sequential_rules import SequentialRules, SequentialRulesSettings
from recsys.candidates.vsknn import Vsknn, VsknnSettings
from recsys.candidates.vstan import Vstan, VstanSettings

SOURCES: dict[str, tuple[Callable[..., CandidateSource], type[BaseModel]]] = {
    "random": (Random, RandomSettings),
    "popularity": (Popularity, PopularitySettings),
    "repeat": (Repeat, RepeatSettings),
    "same-artist": (SameArtist, SameArtistSettings),
    "features": (Features, NearSettings),
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
`recsys.models` makes them."""

__all__ = ["SOURCES", "CandidateSource", "Htcl", "HtclSettings", "State"]
