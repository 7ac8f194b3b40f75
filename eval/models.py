"""The line-up: every model an evaluation can name, as a function from queries to rankings."""

from collections.abc import Callable, Sequence

from data.errors import UserError
from recsys.candidates import SOURCES
from recsys.held_out import Task, tuned_for
from recsys.models import HTCL_NAMES, Models
from recsys.queries import Query
from recsys.ranked import Ranked

BASELINES = tuple(SOURCES)
LINE_UP = (*BASELINES, *HTCL_NAMES, "fused")

Model = Callable[[Sequence[Query], int], Ranked]


def check_names(names: Sequence[str]) -> None:
    """Raises UserError for a name that is not in the line-up."""
    if unknown := [name for name in names if name not in LINE_UP]:
        raise UserError(f'no model "{unknown[0]}"', f"There are {', '.join(LINE_UP)}.")


def line_up(models: Models, task: Task, names: Sequence[str] | None = None) -> dict[str, Model]:
    """The named models with the settings validation chose for the task (or the nearest that is tuned); None names all.

    Raises UserError for a name that is not in the line-up.
    """
    task = tuned_for(task)
    chosen = LINE_UP if names is None else tuple(names)
    check_names(chosen)
    found: dict[str, Model] = {}
    for name in chosen:
        if name == "fused":
            found[name] = lambda queries, k: models.fused(task, queries, k)
        else:
            found[name] = models.sources[task][name].candidates
    return found
