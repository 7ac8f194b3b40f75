"""Evidence from the workspace shown beside the numbers: example queries, the map, costs and manifests.

A part that cannot be had (no workspace, another dataset, models that saw the test part) is left out, and the reason
stands in the page instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from data.dataset import Dataset, load_dataset
from data.errors import UserError
from data.split import Split, ensure_split
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import read_vectors
from eval.measurement import refuse_leaks
from eval.models import models_of
from eval.report.catalogue_map import CatalogueMap, catalogue_map
from eval.report.provenance import Cost, costs, steps
from eval.report.queries import ExampleQuery, ask
from eval.results.task_result import TaskResult
from recsys.fitted.store import FittedSources, load_models
from recsys.index.publishing import read_index
from recsys.line_up import BASELINES
from recsys.line_up import EVERY_NAME as LINE_UP
from recsys.tasks import TASKS, Task, held_out


@dataclass
class Evidence:
    """By task: queries with answers, and costs by model. notes: what is left out, and why."""

    notes: list[str] = field(default_factory=list)
    asked: dict[str, list[ExampleQuery]] = field(default_factory=dict)
    asked_notes: dict[str, str] = field(default_factory=dict)
    costs: dict[str, dict[str, Cost]] = field(default_factory=dict)
    songs: CatalogueMap | None = None
    manifests: list[tuple[str, Manifest]] = field(default_factory=list)


def gather(workspace: Workspace, results: Sequence[TaskResult]) -> Evidence:
    """Everything of the workspace that belongs to these results."""
    found = Evidence()
    if read_manifest(workspace.dataset) is None:
        found.notes.append(f"Queries, map and manifests are left out: there is no dataset in {workspace.root}")
        return found
    dataset = load_dataset(workspace)
    measured_on = {result["dataset"]["fingerprint"] for result in results}
    if measured_on != {dataset.fingerprint}:
        found.notes.append(
            f"Queries, map and manifests are left out: {workspace.root} holds another dataset than was measured"
        )
        return found
    found.manifests = steps(workspace)
    try:
        found.songs = catalogue_map(dataset, read_vectors(workspace.vectors("preference"), "item", dataset))
    except UserError as error:
        found.notes.append(f"The map is left out: {error}")
    asked = [result for result in results if result["task"] in TASKS and "scenario" not in result]
    try:
        split, models = _models(workspace, dataset, asked)
    except UserError as error:
        found.notes.append(f"Queries and costs are left out: {error}")
        return found
    for result in asked:
        _ask(found, result, dataset, split, models)
    return found


def _models(workspace: Workspace, dataset: Dataset, asked: Sequence[TaskResult]) -> tuple[Split, FittedSources]:
    """Raises UserError where the models are not there, saw the test or hidden songs, or the split is another."""
    split = ensure_split(workspace, dataset)
    if any(result["protocol"].get("hidden") for result in asked):
        raise UserError("songs were hidden from the models that were measured, and the published ones know them")
    if any(result["protocol"]["split"] != split.fingerprint for result in asked):
        raise UserError("the workspace is split in another way than what was measured")
    index, manifest = read_index(workspace, dataset)
    measured = {name for result in asked for name in result["models"]}
    models = load_models(workspace, dataset, index, [name for name in BASELINES if name in measured])
    refuse_leaks({"models": models.manifest, "index": manifest}, split)
    return split, models


def _ask(found: Evidence, result: TaskResult, dataset: Dataset, split: Split, models: FittedSources) -> None:
    task: Task = result["task"]  # type: ignore[assignment]
    names = [name for name in result["models"] if name in LINE_UP]
    question = held_out(dataset, split, task, "test", result["protocol"].get("seeds"))
    if question.protocol != result["protocol"]["text"]:
        found.asked_notes[task] = f"Another protocol than was measured: {question.protocol}."
    found.asked[task] = ask(dataset, split, question, models_of(models, task, names))
    found.costs[task] = costs(models, task, names)
