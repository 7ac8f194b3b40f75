"""Fitting: every source is tuned on validation, fitted on the training part, and published.

The product's sources are published together, once their fusion is chosen; each baseline on its own, so that an
interrupted run goes on with the next one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data.dataset import Dataset
from data.progress import done, meter
from data.split import Split
from data.workspace import Workspace, is_current, publishing, read_manifest, short_hash, verify
from encoders.stages import STAGES
from recsys import search_space
from recsys.candidates import CandidateSource, Htcl, State
from recsys.candidates.popularity import play_counts
from recsys.choosing import (
    DEPTH,
    FUSION_QUERIES,
    NEW_SONGS,
    OBJECTIVE_AT,
    TUNING_QUERIES,
    Choices,
    Chosen,
    choose_fusion,
    choose_settings,
    default_choices,
    fit_key,
    quality,
    validation_questions,
)
from recsys.fusion import fuse
from recsys.held_out import TASKS, HeldOut, Task
from recsys.models import BUILT, CHOICES, FUSED, HTCL_NAMES, UNPLAYED, htcl_sources, make_source
from recsys.ranked import Ranked
from recsys.tuning import AHEAD, UNPLAYED_WEIGHTS, WEIGHTS, WORTHWHILE


def ensure_models(workspace: Workspace, dataset: Dataset, split: Split, train_on: str) -> None:
    """Fit, tune and publish the product's sources, unless that has been done from the same things.

    Under `all`, settings that a run under `split` chose are kept: nothing is left to choose them with.
    """
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    made_from |= {stage: verify(workspace.vectors(stage)).fingerprint for stage in STAGES}
    spaces = {name: search_space.SPACE[name] for name in BUILT}
    tried = [spaces, search_space.TRIALS, TASKS, FUSED, WEIGHTS, UNPLAYED_WEIGHTS, WORTHWHILE, AHEAD]
    tried += [TUNING_QUERIES, FUSION_QUERIES, NEW_SONGS]
    settings = {"train_on": train_on, "space": short_hash(tried)}
    if is_current(workspace.models, made_from, settings):
        return
    started = time.monotonic()
    training = split.training(dataset) if train_on == "split" else dataset
    fits: dict[str, State] = {}
    if train_on == "split":
        choices = _tune_product(workspace, dataset, training, split, fits)
    else:
        choices = _kept_choices(workspace, split) or default_choices(BUILT, FUSED)
    with publishing(workspace.models, "models", made_from, settings, _trained_on(train_on, split)) as draft:
        _write(draft.folder, choices, fits, training)
        np.savez(draft.folder / f"{UNPLAYED}.npz", unplayed=play_counts(training) == 0)
        draft.facts["validation_ndcg@100"] = choices.validation
    tuned = f"{sum(choices.trials.values())} trials" if fits else "settings kept or default"
    done("models", f"{len(BUILT)} sources, {tuned}", time.monotonic() - started)


def ensure_baselines(workspace: Workspace, dataset: Dataset, split: Split, names: Sequence[str]) -> None:
    """The same for sources that are only compared with; each is published when it is tuned. Trained under `split`."""
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    missing = {}
    for name in names:
        tried = [search_space.SPACE[name], search_space.TRIALS, TASKS, TUNING_QUERIES]
        settings = {"train_on": "split", "space": short_hash(tried)}
        if not is_current(workspace.baseline(name), made_from, settings):
            missing[name] = settings
    if not missing:
        return
    training, asked = split.training(dataset), validation_questions(dataset, split)
    for name, settings in missing.items():
        started, choices = time.monotonic(), Choices()
        with meter(f"tuning {name}", _trials([name])) as progress:
            chosen = _choose(name, asked, dataset, training, {}, progress.advance)
        choices.add(name, chosen)
        folder = workspace.baseline(name)
        with publishing(folder, f"baseline {name}", made_from, settings, _trained_on("split", split)) as draft:
            _write(draft.folder, choices, chosen.fits, training)
        done(name, f"{chosen.trials} trials", time.monotonic() - started)


def _tune_product(
    workspace: Workspace, dataset: Dataset, training: Dataset, split: Split, fits: dict[str, State]
) -> Choices:
    """Settings of every source and the fusion, for each task. fits: collects what they need."""
    choices, asked, htcl = Choices(), validation_questions(dataset, split), htcl_sources(workspace, dataset)
    best: dict[str, Mapping[Task, Ranked]] = {}
    with meter("tuning", _trials(BUILT)) as progress:
        for name in BUILT:
            chosen = _choose(name, asked, dataset, training, htcl, partial(progress.advance, name))
            choices.add(name, chosen)
            best[name] = chosen.ranked
            fits |= chosen.fits
    unplayed = play_counts(training) == 0
    for task, question in validation_questions(dataset, split, FUSION_QUERIES).items():
        known = rankings = {name: best[name][task] for name in FUSED}
        if len(question.queries) > len(asked[task].queries):
            sources = {
                name: _source(name, choices.settings[task][name], dataset, training, htcl, fits) for name in FUSED
            }
            rankings = {name: source.candidates(question.queries, DEPTH) for name, source in sources.items()}
        choices.fusion[task] = choose_fusion(rankings, question, unplayed)
        fused = fuse(known, choices.fusion[task], unplayed, OBJECTIVE_AT)
        choices.validation[task]["fused"] = quality(fused, asked[task], len(dataset.track_ids))
    return choices


def _choose(
    name: str,
    asked: Mapping[Task, HeldOut],
    dataset: Dataset,
    training: Dataset,
    htcl: Mapping[str, Htcl],
    progress: Callable[[], None],
) -> Chosen:
    def source_of(settings: dict[str, Any], fits: dict[str, State]) -> CandidateSource:
        return _source(name, settings, dataset, training, htcl, fits)

    defaults = htcl[name].settings if name in htcl else make_source(name, {}).settings
    return choose_settings(name, defaults.model_dump(), asked, source_of, len(dataset.track_ids), progress)


def _source(
    name: str,
    settings: Mapping[str, Any],
    dataset: Dataset,
    training: Dataset,
    htcl: Mapping[str, Htcl],
    fits: dict[str, State],
) -> CandidateSource:
    """A source that can be asked; its fit is added to `fits` where it is missing."""
    if name in htcl:
        return htcl[name].with_settings(settings)
    source, key = make_source(name, settings), fit_key(name, settings)
    if key not in fits:
        fits[key] = source.fit(training).state()
    return source.restore(dataset, fits[key])


def _write(folder: Path, choices: Choices, fits: Mapping[str, State], training: Dataset) -> None:
    """The choices, and every fit they need; one that is not there is made."""
    for chosen in choices.settings.values():
        for name, settings in chosen.items():
            path = folder / f"{fit_key(name, settings)}.npz"
            if name in HTCL_NAMES or path.exists():
                continue
            state = fits.get(path.stem) or make_source(name, settings).fit(training).state()
            np.savez(path, **state)  # type: ignore[arg-type]
    (folder / CHOICES).write_text(choices.model_dump_json(indent=1))


def _trained_on(part: str, split: Split) -> dict[str, str]:
    return {"part": part, "split": split.fingerprint}


def _trials(names: Sequence[str]) -> int:
    """How many trials these sources take; one without settings takes one."""
    return sum(search_space.TRIALS if search_space.SPACE[name] else 1 for name in names)


def _kept_choices(workspace: Workspace, split: Split) -> Choices | None:
    path = workspace.models / CHOICES
    manifest = read_manifest(workspace.models)
    if manifest is None or manifest.made_from.get("split") != split.fingerprint or not path.is_file():
        return None
    return Choices.model_validate_json(path.read_text("utf-8"))
