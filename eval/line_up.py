"""The line-up: which models an evaluation measures, chosen by name."""

from data.errors import UserError, closest
from data.reporting import logger
from recsys.line_up import BASELINES, EVERY_NAME, no_features

log = logger(__name__)

DEFAULT = tuple(name for name in EVERY_NAME if name not in BASELINES)
"""What an evaluation takes unless told otherwise: the models that are fitted anyway."""
FEATURES = "features"


def chosen_names(models: str | None, features: bool = True) -> tuple[str, ...]:
    """The line-up that --models asks for: DEFAULT, `all`, or names with commas between.

    features: whether the dataset has any; without, `all` leaves out the model that reads them. Raises UserError for an
    unknown name, or that one.
    """
    if models is None:
        return DEFAULT
    names = EVERY_NAME if models.strip() == "all" else tuple(name.strip() for name in models.split(","))
    if unknown := [name for name in names if name not in EVERY_NAME]:
        near = closest(unknown[0], EVERY_NAME)
        raise UserError(f'no model "{unknown[0]}"{near}', f"There are {', '.join(EVERY_NAME)}; or take all.")
    if features or FEATURES not in names:
        return names
    if models.strip() != "all":
        raise no_features()
    log.warning(f"{FEATURES}: left out, the dataset has no precomputed features.")
    return tuple(name for name in names if name != FEATURES)
