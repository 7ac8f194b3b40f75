"""Tunes every source on validation with fits of the training part, then fits it on all the data it may see.

What validation chose is kept in the workspace's `tuning`, the product's sources together, for their fusion is chosen
too, and each baseline on its own, so that an interrupted run goes on with the next one. What is published is fitted
again with those settings: on everything before the test for measuring, on everything there is for production.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.reporting import done, logger, meter
from data.split import Extent, Split
from data.storage.hashing import short_hash
from data.storage.manifest import is_current, read_manifest, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from encoders.options import STAGES
from recsys.candidates import OVER_VECTORS, Likeness, State
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.lessons import RANKED, learn_rankers, rounds, worlds
from recsys.fitted.store import (
    CHOICES,
    RANKER,
    UNPLAYED,
    htcl_sources,
    likeness_of,
    make_source,
    read_choices,
    write_forests,
)
from recsys.fitted.tuning_data import TuningData
from recsys.line_up import BUILT, FUSED, HTCL_NAMES
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, fuse
from recsys.ranking.learned.features import names as columns_of_rankers
from recsys.ranking.learned.forest import Forest
from recsys.settings import ProductSettings
from recsys.tasks import ONLY_NEW, TASKS, HeldOut, Task, held_out
from recsys.tuning import search_space
from recsys.tuning.budget import FUSIONS, TRIALS, Budget, Pace, other_time, trials_in_words
from recsys.tuning.choices import Choices, fit_key
from recsys.tuning.fusion_weights import UNPLAYED_WEIGHTS, WEIGHTS
from recsys.tuning.source_settings import (
    OBJECTIVE_AT,
    choose_fusion,
    quality,
    validation_questions,
)

log = logger(__name__)
FEWEST_TITLES = 100
"That the fusion for titles alone is chosen on, however little time is left."


def chosen_before(workspace: Workspace) -> ProductSettings:
    """What the workspace's choices were made by; the defaults where there are none yet."""
    if read_manifest(workspace.tuning.models) is None:
        return ProductSettings()
    choices = read_choices(workspace.tuning.models)
    return ProductSettings(tuning=choices.tuning, ranking=choices.ranking, ranker=choices.ranker)


def ensure_choices(workspace: Workspace, dataset: Dataset, split: Split, product: ProductSettings) -> None:
    """Choose the settings of the product's sources and their fusion, unless that has been done from the same things."""
    tuning = workspace.tuning
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    made_from |= {stage: verify(tuning.vectors(stage)).fingerprint for stage in STAGES}
    spaces = {name: search_space.SPACE[name] for name in BUILT}
    t = product.tuning
    tried = [spaces, t.trials, TASKS, FUSED, WEIGHTS, UNPLAYED_WEIGHTS, t.min_gain, t.safety_margin]
    tried += [t.queries, t.fusion_queries, t.new_songs, search_space.RULES, product.ranker.model_dump()]
    tried += [RANKED, columns_of_rankers([])]
    tried += other_time(t)
    settings = {"space": short_hash(tried), **product.ranking.model_dump(exclude_defaults=True)}
    if is_current(tuning.models, made_from, settings):
        return
    started = time.monotonic()
    choices, forests = _tune_product(tuning, dataset, split, product)
    with publishing(tuning.models, "choices", made_from, settings, _trained_on("train", split)) as draft:
        _write_choices(draft.folder, choices)
        write_forests(draft.folder, forests)
        draft.facts |= {"validation_ndcg@100": choices.validation, "left_out": choices.left_out}
        draft.facts |= {"listening": dataset.listens.height + dataset.playlist_tracks.height}
        draft.facts |= {"seconds": round(time.monotonic() - started, 1)}
    done("tuning", trials_in_words(choices), time.monotonic() - started)
    for name, choice in choices.rankers.items():
        log.info(f"  {name:<11} {choice.in_words()}")


def ensure_models(workspace: Workspace, dataset: Dataset, split: Split, extent: Extent) -> None:
    """Fit the product's sources with the settings chosen and publish them, unless the same are there."""
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    made_from["choices"] = verify(workspace.tuning.models).fingerprint
    made_from["vectors"] = _vectors_of(workspace)
    settings = {"train_on": extent}
    if is_current(workspace.models, made_from, settings):
        return
    started = time.monotonic()
    choices, past = read_choices(workspace.tuning.models), split.learned_from(dataset, extent)
    with publishing(workspace.models, "models", made_from, settings, _trained_on(extent, split)) as draft:
        fits = fit_chosen(draft.folder, choices, past, "models", likeness_of(workspace, dataset))
        write_ranking(draft.folder, past, workspace.tuning.models)
        draft.facts["seconds"] = round(time.monotonic() - started, 1)
    done("models", f"{len(BUILT)} sources, {fits} fits", time.monotonic() - started)


def ensure_baselines(workspace: Workspace, dataset: Dataset, split: Split, names: Sequence[str]) -> None:
    """The same for sources that are only compared with, on everything before the test."""
    asked: Mapping[Task, HeldOut] = {}
    product = chosen_before(workspace)
    tuning, ranking = product.tuning, product.ranking
    plain = TuningData(dataset, split.training(dataset), {}, None, product)
    budget = Budget(60 * tuning.minutes, len(names))
    for name in names:
        tuned_from, ground = _baseline_made_from(workspace.tuning, dataset, split, name), plain
        if name in OVER_VECTORS:
            ground = replace(plain, likeness=likeness_of(workspace.tuning, dataset))
        share = budget.share()
        tried = [search_space.SPACE[name], tuning.trials, TASKS, tuning.queries, search_space.RULES]
        tried += other_time(tuning)
        tuned = workspace.tuning.baseline(name)
        settings = {"space": short_hash(tried), **ranking.model_dump(exclude_defaults=True)}
        if not is_current(tuned, tuned_from, settings):
            asked = asked or validation_questions(dataset, split, tuning.queries)
            started, choices = time.monotonic(), Choices(tuning=tuning, ranking=ranking)
            with meter(f"tuning {name}", _trials([name], tuning.trials)) as progress:
                choices.add(name, ground.choose(name, asked, progress.advance, share))
            with publishing(tuned, f"choices {name}", tuned_from, settings, _trained_on("train", split)) as draft:
                _write_choices(draft.folder, choices)
            done(name, trials_in_words(choices), time.monotonic() - started)
        ensure_baseline(workspace, dataset, split, name)


def ensure_baseline(workspace: Workspace, dataset: Dataset, split: Split, name: str) -> None:
    """Fit a baseline on everything before the test with the settings chosen, unless that is there."""
    tuned, folder = workspace.tuning.baseline(name), workspace.baseline(name)
    made_from = _baseline_made_from(workspace, dataset, split, name) | {"choices": verify(tuned).fingerprint}
    if not is_current(folder, made_from, {}):
        started, on = time.monotonic(), _trained_on("past", split)
        likeness = likeness_of(workspace, dataset) if name in OVER_VECTORS else None
        with publishing(folder, f"baseline {name}", made_from, trained_on=on) as draft:
            fits = fit_chosen(draft.folder, read_choices(tuned), split.past(dataset), name, likeness)
        done(name, f"{fits} fits", time.monotonic() - started)


def _baseline_made_from(workspace: Workspace, dataset: Dataset, split: Split, name: str) -> dict[str, str]:
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    return made_from | {"vectors": _vectors_of(workspace)} if name in OVER_VECTORS else made_from


def _tune_product(
    tuning: Workspace, dataset: Dataset, split: Split, product: ProductSettings
) -> tuple[Choices, dict[str, Forest]]:
    """Settings of every source and the fusion, for each task, and the forests of rankers by task."""
    choices = Choices(tuning=product.tuning, ranking=product.ranking, ranker=product.ranker)
    asked = validation_questions(dataset, split, product.tuning.queries)
    training = split.training(dataset)
    ground = TuningData(dataset, training, htcl_sources(tuning, dataset), likeness_of(tuning, dataset), product)
    best: dict[str, Mapping[Task, Ranked]] = {}
    fits: dict[str, State] = {}
    seconds = 60 * product.tuning.minutes
    budget, a_query = Budget(TRIALS * seconds, len(BUILT)), 0.0
    with meter("tuning", _trials(BUILT, product.tuning.trials)) as progress:
        for name in BUILT:
            share = budget.share()
            if too_dear := ground.too_dear(name, asked, share):
                choices.left_out[name] = too_dear
                for _ in range(_trials([name], product.tuning.trials)):
                    progress.advance(name)
                continue
            chosen = ground.choose(name, asked, partial(progress.advance, name), share)
            choices.add(name, chosen)
            best[name] = chosen.ranked
            fits |= chosen.fits
            a_query += chosen.a_query * (name in FUSED)
    unplayed = play_counts(ground.training) == 0
    pace = Pace(FUSIONS * budget.left(seconds), len(TASKS) + 1, a_query)
    with meter("fusions", len(TASKS) + 1) as progress:
        for task in TASKS:
            most = pace.queries(product.tuning.fusion_queries)
            few = most <= product.tuning.queries
            question = asked[task] if few else held_out(dataset, split, task, "validation", max_queries=most)
            known = rankings = {name: best[name][task] for name in FUSED if name in best}
            fewer = asked[task]
            if task in ONLY_NEW:
                question = fewer = question.among(unplayed)
            if task in ONLY_NEW or len(question.queries) > len(fewer.queries):
                sources = {name: ground.source(name, choices.settings[task][name], fits) for name in known}
                depth = product.ranking.depth
                rankings = {name: source.candidates(question.queries, depth) for name, source in sources.items()}
            choices.fusion[task] = choose_fusion(rankings, question, unplayed, product.tuning)
            fused = fuse(rankings if task in ONLY_NEW else known, choices.fusion[task], unplayed, OBJECTIVE_AT)
            choices.validation[task]["fused"] = quality(fused, fewer, len(dataset.track_ids))
            progress.advance(task)
        most = max(pace.queries(product.tuning.fusion_queries), FEWEST_TITLES)
        choices.title_fusion = _title_fusion(ground, split, choices, fits, unplayed, most)
    with meter("ranker", len(RANKED)) as progress:
        both = worlds(tuning, ground, choices, fits, FUSED)
        left, again = budget.left(seconds), ground.seconds_of(fits)
        if again > left / 2:
            both, again = both._replace(pretended=None), 0.0
        pace = Pace(left - again, rounds(choices.ranker, both), a_query)
        forests, choices.rankers = learn_rankers(dataset, split, choices, both, progress.advance, pace)
    return choices, forests


def _title_fusion(
    ground: TuningData, split: Split, choices: Choices, fits: dict[str, State], unplayed: NDArray[np.bool_], most: int
) -> FusionSettings | None:
    """The fusion for playlists by their title alone: by NDCG@100 on all songs never behind its best source, so neither
    behind search nor behind popularity. What is new gets no premium: a title says too little to bet on it. most: titles
    that it is chosen on.
    """
    tuning = ground.product.tuning.model_copy(update={"new_songs": 0.0})
    titles = held_out(ground.dataset, split, "playlist", "validation", seeds=0, max_queries=most)
    if not titles.queries:
        return None
    settings = choices.settings["playlist"]
    sources = {name: ground.source(name, settings[name], fits) for name in FUSED if name in settings}
    rankings = {
        name: source.candidates(titles.queries, ground.product.ranking.depth) for name, source in sources.items()
    }
    fusion = choose_fusion(rankings, titles, unplayed, tuning)
    songs, reached = len(ground.dataset.track_ids), choices.validation.setdefault("playlist", {})
    for name in (*HTCL_NAMES, "popularity"):
        if name in rankings:
            reached[f"{name} by title"] = quality(rankings[name], titles, songs)
    reached["fused by title"] = quality(fuse(rankings, fusion, unplayed, OBJECTIVE_AT), titles, songs)
    return fusion


def fit_chosen(
    folder: Path,
    choices: Choices,
    past: Dataset,
    step: str,
    likeness: Likeness | None = None,
    known: Path | None = None,
) -> int:
    """Write the choices and every fit that they need, on the listening handed in; returns how many these are.

    likeness: where songs lie. known: folder of fits of the same listening, which are copied where they are needed, but
    for those that depend on where songs lie.
    """
    _write_choices(folder, choices)
    needed = {
        fit_key(name, settings): (name, settings)
        for chosen in choices.settings.values()
        for name, settings in chosen.items()
        if name not in HTCL_NAMES
    }
    with meter(f"fitting {step}", len(needed)) as progress:
        for key, (name, settings) in needed.items():
            file = f"{key}.npz"
            if known is not None and name not in OVER_VECTORS and (known / file).is_file():
                shutil.copyfile(known / file, folder / file)
            else:
                np.savez(folder / file, **make_source(name, settings, likeness).fit(past).state())  # type: ignore[arg-type]
            progress.advance(name)
    return len(needed)


def write_ranking(folder: Path, past: Dataset, chosen: Path) -> None:
    """Write what rankers need beside the fits: the plays of each song, and the forests that lie in another folder."""
    np.savez(folder / f"{UNPLAYED}.npz", plays=play_counts(past))
    for forest in sorted(chosen.glob(f"{RANKER}*.npz")):
        shutil.copyfile(forest, folder / forest.name)


def _vectors_of(workspace: Workspace) -> str:
    return verify(workspace.vectors("preference")).fingerprint


def _write_choices(folder: Path, choices: Choices) -> None:
    (folder / CHOICES).write_text(choices.model_dump_json(indent=1))


def _trained_on(part: str, split: Split) -> dict[str, str]:
    return {"part": part, "split": split.fingerprint}


def _trials(names: Sequence[str], each: int) -> int:
    """How many trials these sources take; one without settings takes one."""
    return sum(each if search_space.SPACE[name] else 1 for name in names)
