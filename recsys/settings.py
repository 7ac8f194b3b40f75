"""What may be changed of tuning, ranking and the index: the tables of a settings file that `build_index` reads.

The measured reason of a default stands below it. What was chosen stays with the choices that were made by it.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from data.settings_file import read_settings
from encoders.options import TRAINING_TABLES


class TuningSettings(BaseModel):
    """How settings and fusions are chosen on validation."""

    model_config = ConfigDict(extra="forbid")

    trials: PositiveInt = 16
    "Settings tried for each source, ours and baselines alike; its defaults are the first."
    queries: PositiveInt = 400
    "Validation queries of each task that a trial is measured on."
    minutes: PositiveFloat = 20.0
    """For choosing settings, fusions and rankers together, and for the trials of an evaluation's baselines. Trials have
    six tenths, of which each source in turn gets an equal part of what is left; its defaults are always tried. Fusions
    and rankers ask as many queries as the rest has room for. The demo took 5.4 minutes of it on two busy cores, so that
    what is chosen there depends on no clock."""
    fusion_queries: PositiveInt = 2000
    """Queries that a fusion is chosen on. More than for settings, because a fusion has more weights than a source has
    settings, and each source is ranked only once: what was tuned on 400 lost most of its gain on other validation
    queries, what was tuned on 1,200 kept it. Over three samples of the demo's validation (simulated) the fusion for the
    next song reached 0.183 to 0.188 NDCG@100 of the test when chosen on 1,000 queries, 0.187 to 0.190 on 2,000."""
    new_songs: NonNegativeFloat = 0.25
    """What NDCG@100 on songs without a play adds to that on all, where a fusion is chosen that is ahead of every source
    on all. In the weeks after training few plays are of new songs; in month six many are, and content is there to find
    them."""
    safety_margin: NonNegativeFloat = 0.01
    "The fusion must beat the best single source by so much (1 %) on the queries it is tuned on."
    min_gain: NonNegativeFloat = 0.005
    """Source weights whose joint gain is below this relative NDCG are dropped: on a few hundred queries that is noise,
    and every source costs time per answer."""


class RankingSettings(BaseModel):
    """How sources' candidates become one list."""

    model_config = ConfigDict(extra="forbid")

    depth: PositiveInt = 500
    "Candidates that each source brings to the fusion."


class RankerSettings(BaseModel):
    """How the learned ranker is made, and when it answers instead of the weighted sum."""

    model_config = ConfigDict(extra="forbid")

    first: PositiveInt = 200
    "Candidates of the weighted sum that it puts in another order; those behind them stay as they are."
    queries: PositiveInt = 3000
    "Validation queries of each task that it learns from and is judged on."
    related: PositiveInt = 500
    "And of each task that shares the settings of another: beginnings of sessions, listeners with three plays."
    kept_back: float = Field(default=0.2, ge=0, lt=1)
    """Share of the songs that the sources are kept from in a second round of the same queries, as if these songs were
    new: so what is decided about new songs rests on many times the queries there are about really new ones."""
    fewest: PositiveInt = 100
    "Queries, and right songs among their candidates, below which nothing is learned."
    others: float = Field(default=0.2, gt=0, le=1)
    "Share of the candidates that were not right that it learns from; each counts for those left out."
    trees: PositiveInt = 200
    learning_rate: NonNegativeFloat = 0.06
    leaves: PositiveInt = 7
    """Small trees: on the demo's discovery (simulated) 250 of 7 leaves reached 0.198 NDCG@100, 150 of 15 leaves 0.195,
    of 31 leaves 0.193."""
    new_songs_cost: NonNegativeFloat = 0.3
    """Songs without plays are brought forward until they are found as well as by the weighted sum, as far as this costs
    no more of NDCG@100 on all songs, as a multiple of their share of the wanted songs: where every tenth is new, 3 %.
    In the weeks after training there are few plays of these, in month six many."""


class IndexSettings(BaseModel):
    """Where the songs' vectors are looked up."""

    model_config = ConfigDict(extra="forbid")

    backend: Literal["auto", "exact", "faiss-flat", "faiss-hnsw", "faiss-ivf", "faiss-ivfpq"] | None = None
    "auto fits the kind to the number of songs; None keeps what was asked for before, or takes auto."
    min_recall: float | None = Field(default=None, gt=0, le=1)
    """Recall@100 against exact search, measured on the songs' own vectors, below which no index is published. None
    keeps what was asked for before, or takes 0.95."""


class ProductSettings(BaseModel):
    """The tables of recsys."""

    model_config = ConfigDict(extra="forbid")

    tuning: TuningSettings = Field(default_factory=TuningSettings)
    ranking: RankingSettings = Field(default_factory=RankingSettings)
    ranker: RankerSettings = Field(default_factory=RankerSettings)
    index: IndexSettings = Field(default_factory=IndexSettings)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """The file's tables of recsys. Raises UserError for an unknown table or setting and a value out of range."""
        return cls.model_validate(read_settings(path, TABLES, TRAINING_TABLES))


TABLES: dict[str, type[BaseModel]] = {
    "tuning": TuningSettings,
    "ranking": RankingSettings,
    "ranker": RankerSettings,
    "index": IndexSettings,
}
