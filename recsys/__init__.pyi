from .index.contract import VectorIndex
from .pipeline import build
from .queries import Query
from .ranked import Ranked
from .ranking.recommendation import Recommendation
from .recommender import Recommender

__all__ = ["Query", "Ranked", "Recommendation", "Recommender", "VectorIndex", "build"]

__version__: str
