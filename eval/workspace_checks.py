"""What an evaluation reads: built where it is missing, refused where it saw the test."""

from collections.abc import Sequence
from typing import get_args

from data.dataset import Dataset, is_ordered
from data.errors import UserError
from data.reporting import logger
from data.split import Split
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from encoders.options import STAGES
from eval.line_up import DEFAULT
from eval.measurement import refuse_leaks
from recsys.fitted.fit import ensure_baselines
from recsys.fitted.store import FittedSources, load_models
from recsys.index.publishing import read_index
from recsys.line_up import BASELINES
from recsys.pipeline import build
from recsys.tasks import NEEDS_ORDER, Task

log = logger(__name__)


def ready(space: Workspace, names: Sequence[str] = DEFAULT) -> tuple[Dataset, Split, FittedSources]:
    """Everything an evaluation of these models reads, built where it is missing.

    Raises UserError where it saw the test part.
    """
    baselines = [name for name in names if name in BASELINES]
    with space.lock():
        refuse_production(space)
        # Measured is what has learned from this very split, so what data that came since has outdated is made again.
        dataset, split = build(space, train_on="split", retrain=True, tune=True)
        ensure_baselines(space, dataset, split, baselines)
    index, manifest = read_index(space, dataset)
    fitted = load_models(space, dataset, index, baselines)
    refuse_leaks({**trained_things(space), "models": fitted.manifest, "index": manifest}, split)
    return dataset, split, fitted


def has_features(space: Workspace) -> bool:
    """Whether its dataset, which may have to be made yet, comes with precomputed features; the demo does not."""
    manifest = read_manifest(space.dataset)
    return manifest is not None and bool(manifest.facts["rows"]["features"])


def answerable(space: Workspace, asked: str, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """The tasks that are meaningful for its dataset. Raises UserError where the requested one is not."""
    manifest = read_manifest(space.dataset)
    if manifest is None or is_ordered(manifest):
        return tasks
    senseless = [task for task in tasks if task in NEEDS_ORDER]
    if asked in senseless:
        left = [task for task in get_args(Task) if task not in NEEDS_ORDER]
        raise UserError(
            f"{asked} needs the order of plays, and that of the dataset ({manifest.facts['importer']}) is drawn",
            f"Take {', '.join(left)} or semantic.",
        )
    for task in senseless:
        log.warning(f"{task}: skipped, the order of plays in the dataset ({manifest.facts['importer']}) is drawn.")
    return tuple(task for task in tasks if task not in senseless)


def trained_things(space: Workspace) -> dict[str, Manifest]:
    """The manifests of the published encoders and vectors."""
    folders = {f"encoder of stage {at}": space.encoder(stage) for at, stage in enumerate(STAGES, start=1)}
    folders |= {f"vectors of stage {at}": space.vectors(stage) for at, stage in enumerate(STAGES, start=1)}
    return {name: found for name, folder in folders.items() if (found := read_manifest(folder)) is not None}


def refuse_production(space: Workspace) -> None:
    """A workspace trained on all data is not silently trained again: that would take the production index away."""
    for name, manifest in trained_things(space).items():
        if (manifest.trained_on or {}).get("part") == "all":
            raise UserError(
                f"the {name} in {space.root} was trained on all data and has seen the test part",
                "Run python -m recsys.build_index --train-on split there, or measure in another --workspace.",
            )
