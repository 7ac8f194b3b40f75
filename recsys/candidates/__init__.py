"""Candidate sources: each proposes songs for queries. CONTRIBUTING.md lists what a new one needs."""

from pydantic import BaseModel

from recsys.candidates.collaborative.bpr import Bpr
from recsys.candidates.collaborative.ease import Ease
from recsys.candidates.collaborative.ials import Ials
from recsys.candidates.collaborative.item_knn import ItemKnn
from recsys.candidates.collaborative.lmf import Lmf
from recsys.candidates.collaborative.rp3beta import Rp3Beta
from recsys.candidates.content.centroid import Centroid
from recsys.candidates.content.content_ridge import ContentRidge
from recsys.candidates.content.htcl import Htcl, HtclSettings
from recsys.candidates.content.imputed import Imputed
from recsys.candidates.content.likeness import Likeness, LikenessKind
from recsys.candidates.content.precomputed_features import Features
from recsys.candidates.content.same_artist import SameArtist
from recsys.candidates.content.tfidf import Tfidf
from recsys.candidates.contract import CandidateSource, SourceKind, State
from recsys.candidates.declaration import Reason
from recsys.candidates.sequential.markov import Markov
from recsys.candidates.sequential.sasrec import Sasrec
from recsys.candidates.sequential.sequential_rules import SequentialRules
from recsys.candidates.sequential.vsknn import Vsknn
from recsys.candidates.sequential.vstan import Vstan
from recsys.candidates.simple.popularity import Popularity, Random
from recsys.candidates.simple.repeat import Repeat
from recsys.line_up import HTCL_NAMES

KINDS: tuple[SourceKind, ...] = (
    Random,
    Popularity,
    Repeat,
    SameArtist,
    Features,
    Tfidf,
    Centroid,
    ContentRidge,
    ItemKnn,
    Rp3Beta,
    Ease,
    Ials,
    Bpr,
    Lmf,
    Markov,
    SequentialRules,
    Vsknn,
    Vstan,
    Sasrec,
)
SOURCES: dict[str, SourceKind] = {kind.name: kind for kind in KINDS}
"""Sources that need nothing but a dataset (`features` one with features, those of OVER_VECTORS the likeness of songs).
Those named htcl- need vectors as well: `recsys.fitted.store` makes them."""
OVER_VECTORS: dict[str, LikenessKind] = {kind.name: kind for kind in (Centroid, ContentRidge, Imputed)}
"""Sources that fit themselves to where songs lie in the space of stage 2."""
SETTINGS: dict[str, type[BaseModel]] = {
    **{name: kind.Settings for name, kind in SOURCES.items()},
    **dict.fromkeys(HTCL_NAMES, Htcl.Settings),
    Imputed.name: Imputed.Settings,
}
REASONS: dict[str, Reason] = {
    **{name: kind.reason for name, kind in SOURCES.items()},
    **dict.fromkeys(HTCL_NAMES, Htcl.reason),
    Imputed.name: Imputed.reason,
}

__all__ = [
    "OVER_VECTORS",
    "REASONS",
    "SETTINGS",
    "SOURCES",
    "CandidateSource",
    "Htcl",
    "HtclSettings",
    "Likeness",
    "State",
]
