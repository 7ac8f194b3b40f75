"""The candidate sources by name: those the product fuses, and those that are only baselines.

Imports nothing heavy, so that a name that does not exist is refused at once. `recsys.candidates.SOURCES` holds the
classes; a test keeps the two alike.
"""

from data.errors import UserError
from encoders.options import Stage

SOURCE_NAMES = (
    "random",
    "popularity",
    "repeat",
    "same-artist",
    "features",
    "tfidf",
    "centroid",
    "content-ridge",
    "item-knn",
    "rp3beta",
    "ease",
    "ials",
    "bpr",
    "lmf",
    "markov",
    "sequential-rules",
    "vsknn",
    "vstan",
    "sasrec",
)
HTCL_NAMES: dict[str, Stage] = {"htcl-stage1": "semantic", "htcl-stage2": "preference"}
IMPUTED = "htcl-imputed"
"""Learns from listening, and from the vectors of stage 2."""
FUSED = (
    "popularity",
    "repeat",
    "same-artist",
    "item-knn",
    "ease",
    "ials",
    "bpr",
    "sequential-rules",
    "vsknn",
    "htcl-stage2",
    IMPUTED,
)
BUILT = ("random", *FUSED, "htcl-stage1")
"""What `recsys.build_index` fits: the product's sources, what stage 1 does alone, and chance. All other sources are
compared with alone, and fitted when an evaluation asks for them."""
BASELINES = tuple(name for name in SOURCE_NAMES if name not in BUILT)
EVERY_NAME = (*SOURCE_NAMES, *HTCL_NAMES, IMPUTED, "fused")
"""Everything an evaluation can name."""


def no_features() -> UserError:
    """The refusal of the source that reads precomputed features, where the dataset has none."""
    return UserError(
        'the dataset has no precomputed features, which are all that the model "features" looks at',
        "Import some (python -m data.prepare tables --features FILE ...), or leave the model out.",
    )
