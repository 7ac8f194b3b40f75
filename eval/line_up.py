"""The line-up: every model an evaluation can name, as a function from queries to rankings."""

from collections.abc import Callable, Sequence

from data.console.progress import say
from data.errors import UserError
from recsys.candidates import SOURCES
from recsys.candidates.content.precomputed_features import Features, no_features
from recsys.fitted.store import BASELINES as COMPARED
from recsys.fitted.store import HTCL_NAMES, Models
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.tasks import Task, tuned_for

BASELINES = tuple(SOURCES)
LINE_UP = (*BASELINES, *HTCL_NAMES, "fused")
DEFAULT = tuple(name for name in LINE_UP if name not in COMPARED)
"""What an evaluation takes unless told otherwise: the models that are fitted anyway."""

Model = Callable[[Sequence[Query], int], Ranked]


def chosen_names(models: str | None, features: bool = True) -> tuple[str, ...]:
    """The line-up that --models asks for: DEFAULT, `all`, or names with commas between.

    features: whether the dataset has any; without, `all` does without the model that looks at them. Raises UserError
    for an unknown name, or that one.
    """
    if models is None:
        return DEFAULT
    names = LINE_UP if models.strip() == "all" else tuple(name.strip() for name in models.split(","))
    if unknown := [name for name in names if name not in LINE_UP]:
        raise UserError(f'no model "{unknown[0]}"', f"There are {', '.join(LINE_UP)}; or take all.")
    if features or Features.name not in names:
        return names
    if models.strip() != "all":
        raise no_features()
    say(f"{Features.name}: left out, the dataset has no precomputed features.")
    return tuple(name for name in names if name != Features.name)


def line_up(models: Models, task: Task, names: Sequence[str] = DEFAULT) -> dict[str, Model]:
    """The named models with the settings validation chose for the task, or the nearest that is tuned for."""
    task = tuned_for(task)
    found: dict[str, Model] = {}
    for name in names:
        if name == "fused":
            found[name] = lambda queries, k: models.fused(task, queries, k)
        else:
            found[name] = models.sources[task][name].candidates
    return found
