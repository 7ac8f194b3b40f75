"""The models of a line-up, each a function from queries to rankings."""

from collections.abc import Callable, Sequence

from data.reporting import logger
from eval.line_up import DEFAULT
from recsys.fitted.store import FittedSources
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.tasks import Task, tuned_for

log = logger(__name__)

Model = Callable[[Sequence[Query], int], Ranked]


def models_of(models: FittedSources, task: Task, names: Sequence[str] = DEFAULT) -> dict[str, Model]:
    """The named models with the settings validation chose for the task, or the nearest that is tuned for."""
    sources = models.sources[tuned_for(task)]
    found: dict[str, Model] = {}
    for name in names:
        if name in models.choices.left_out:
            log.warning(f"{name}: left out, {models.choices.left_out[name]}.")
        elif name == "fused":
            found[name] = lambda queries, k: models.fused(task, queries, k)
        else:
            found[name] = sources[name].candidates
    return found
