"""What may be changed of tuning, ranking and the index: the tables of a settings file that `build_index` reads.

The measured reason of a default stands below it. What was chosen stays with the choices that were made by it.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from data.settings_file import read_settings
from encoders.options import TRAINING_TABLES


class TuningSettings(BaseModel):
    """How settings and fusions are chosen on validation."""

    model_config = ConfigDict(extra="forbid")

    trials: PositiveInt = 16
    "Settings tried for each source, ours and baselines alike; its defaults are the first."
    queries: PositiveInt = 400
    "Validation queries of each task that a trial is measured on."
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


class IndexSettings(BaseModel):
    """Where the songs' vectors are looked up."""

    model_config = ConfigDict(extra="forbid")

    backend: Literal["exact", "faiss-flat", "faiss-hnsw", "faiss-ivf", "faiss-ivfpq"] | None = None
    "None keeps the published one, or takes faiss-flat."


class ProductSettings(BaseModel):
    """The tables of recsys."""

    model_config = ConfigDict(extra="forbid")

    tuning: TuningSettings = Field(default_factory=TuningSettings)
    ranking: RankingSettings = Field(default_factory=RankingSettings)
    index: IndexSettings = Field(default_factory=IndexSettings)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """The file's tables of recsys. Raises UserError for an unknown table or setting and a value out of range."""
        return cls.model_validate(read_settings(path, TABLES, TRAINING_TABLES))


TABLES: dict[str, type[BaseModel]] = {"tuning": TuningSettings, "ranking": RankingSettings, "index": IndexSettings}
