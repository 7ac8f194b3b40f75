"""Is a difference larger than training luck? Models that depend on a seed, trained again with others and measured.

Settings stay as validation chose them, and so does stage 1; the first training is the published one. Each further one
is kept in `repeats/<number>/` of the workspace, so that an interrupted run goes on.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.dataset import Dataset
from data.reporting import done, logger, meter
from data.split import Split
from data.storage.manifest import is_current, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.vector_files import read_vectors
from encoders.options import STAGES
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import choose_recipe
from eval.measurement import values_of
from eval.metrics.metric import Metric
from eval.metrics.slices import slices
from eval.models import Model, models_of
from eval.results.task_result import Repeats, Spread
from recsys.candidates import OVER_VECTORS, SOURCES, Likeness
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.fit import fit_chosen, write_ranking
from recsys.fitted.store import UNPLAYED, FittedSources, exact_index, likeness_of, load_models, read_choices
from recsys.line_up import BASELINES
from recsys.tasks import HeldOut
from recsys.tasks.accuracy import DEPTH
from recsys.tuning.choices import Choices

log = logger(__name__)

Means = dict[str, dict[str, float]]
"""Model -> metric -> mean over the queries."""


def depends_on_seed(name: str) -> bool:
    """Whether training a model again with another seed gives another one."""
    return name in ("htcl-stage2", *OVER_VECTORS, "fused") or (
        name in SOURCES and "seed" in SOURCES[name].Settings.model_fields
    )


def ensure_repeats(
    space: Workspace, dataset: Dataset, split: Split, names: Sequence[str], repeats: int
) -> list[FittedSources]:
    """The models of every training but the first; those that are missing are trained, the caller holds the lock."""
    baselines = [name for name in names if name in BASELINES and depends_on_seed(name)]
    found: list[FittedSources] = []
    with meter("repeats", repeats - 1) as progress:
        for number in range(2, repeats + 1):
            started = time.monotonic()
            log.info(f"Training {number} of {repeats}, with other seeds:")
            found.append(_ensure_repeat(space, dataset, split, baselines, number))
            progress.advance()
            done("repeats", f"training {number} of {repeats}", time.monotonic() - started)
    return found


def measure_repeats(
    dataset: Dataset,
    split: Split,
    question: HeldOut,
    first: Mapping[str, Mapping[str, Any]],
    others: Sequence[FittedSources],
    metrics: Sequence[str],
) -> Repeats:
    """How far the trainings of a model lie apart, as it goes into JSON.

    first: what the published models reached. deviation: of a single training, with n - 1. A metric that a model was not
    measured on is left out.
    """
    names = [name for name in first if depends_on_seed(name)]
    with meter(f"{question.task} again", len(others) * len(names)) as progress:
        further = []
        for models in others:
            line = models_of(models, question.task, names)
            further.append(means(dataset, split, question, line, metrics))
            progress.to(len(further) * len(names))
    spread: dict[str, dict[str, Spread]] = {}
    for name in names:
        told = [metric for metric in metrics if metric in first[name]]
        values = {metric: [first[name][metric]["mean"], *(one[name][metric] for one in further)] for metric in told}
        spread[name] = {metric: _spread(found) for metric, found in values.items()}
    return {"trainings": 1 + len(others), "models": spread}


def means(
    dataset: Dataset, split: Split, question: HeldOut, models: Mapping[str, Model], metrics: Sequence[str]
) -> Means:
    """What each model reaches by these metrics, on those of their slices that there are."""
    wanted = {"", *(Metric.parse(metric).prefix for metric in metrics)}
    parts = [part for part in slices(question, split, play_counts(split.past(dataset))) if part.prefix in wanted]
    found: Means = {}
    for name, model in models.items():
        values = values_of(model(question.queries, DEPTH), parts, dataset)
        found[name] = {metric: float(values[metric].mean()) for metric in metrics if metric in values}
    return found


def reseeded(choices: Choices, seed_offset: int) -> Choices:
    """The same settings with other seeds. seed_offset: what is added to each."""

    def changed(name: str, settings: dict[str, Any]) -> dict[str, Any]:
        if name not in SOURCES or "seed" not in SOURCES[name].Settings.model_fields:
            return settings
        return settings | {"seed": SOURCES[name].Settings(**settings).model_dump()["seed"] + seed_offset}

    settings = {
        task: {name: changed(name, of) for name, of in chosen.items()} for task, chosen in choices.settings.items()
    }
    return choices.model_copy(update={"settings": settings})


def _ensure_repeat(
    space: Workspace, dataset: Dataset, split: Split, baselines: Sequence[str], number: int
) -> FittedSources:
    place, seed_offset = space.repeat(number), number - 1
    recipe, mels = choose_recipe(space, None, None), ensure_mels(space.mels, dataset)
    for stage in STAGES:
        train_stage(place, dataset, stage, recipe, "past", seed_offset)
        embed_stage(place, dataset, mels, stage)
    past, likeness = split.past(dataset), likeness_of(place, dataset)
    _ensure_fits(space.models, place.models, past, seed_offset, likeness)
    for name in baselines:
        _ensure_fits(space.baseline(name), place.baseline(name), past, seed_offset, likeness)
    index = exact_index(read_vectors(place.vectors("preference"), "item", dataset))
    return load_models(place, dataset, index, baselines)


def _ensure_fits(
    published: Path, target: Path, past: Dataset, seed_offset: int, likeness: Likeness | None = None
) -> None:
    """Fit again what depends on a seed; the rest of what is published is copied. likeness: where songs lie."""
    manifest = verify(published)
    made_from, settings = {"published": manifest.fingerprint}, {"luck": seed_offset}
    if is_current(target, made_from, settings):
        return
    choices = reseeded(read_choices(published), seed_offset)
    with publishing(target, manifest.step, made_from, settings, manifest.trained_on) as draft:
        fit_chosen(draft.folder, choices, past, manifest.step, likeness, known=published)
        if (published / f"{UNPLAYED}.npz").is_file():
            write_ranking(draft.folder, past, published)


def _spread(values: Sequence[float]) -> Spread:
    return {
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)),
        "low": min(values),
        "high": max(values),
        "values": list(values),
    }
