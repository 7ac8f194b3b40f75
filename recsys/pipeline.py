"""From a catalogue and its listening to a published index, running whatever step is missing or out of date.

prepare -> split -> mels, then what settings are chosen with: train stage 1 -> embed -> train stage 2 -> embed -> tune,
and with these settings what is published: stage 2 again -> embed -> models -> index. A step that is up to date is
skipped, one that was cut off goes on where it stopped. What is trained and chosen stays when the data changes
(`recsys/fitted/plan.py`), and what answers is swapped at the end, as a whole.
"""

import time

from data.compose import compose
from data.dataset import Dataset, load_dataset
from data.imports.shelf import held
from data.prepare import prepare_demo
from data.reporting import done, logger
from data.split import Split, SplitSettings, ensure_split
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.mel_cache import ensure_mels
from encoders.options import STAGES
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import Recipe, choose_recipe
from encoders.word_sense import WordSense
from recsys.fitted.doubts import doubts
from recsys.fitted.fit import chosen_before, ensure_choices, ensure_models
from recsys.fitted.forecast import announcement
from recsys.fitted.plan import Plan
from recsys.index.publishing import ensure_index
from recsys.live import versions
from recsys.search.publishing import ensure_text_index
from recsys.settings import ProductSettings

log = logger(__name__)

NO_WORDS = (
    "No pre-trained text encoder: words are learned from this catalogue's own texts alone, and a search by words will "
    "find little. pip install 'htcl-recsys[words]', or give --text-encoder."
)
DEMO_NOTICE = (
    "No dataset in {root}: making the demo catalogue (simulated), training and tuning on it, 7 to 9 minutes on 2 "
    "cores and 0.3 GB. Ctrl-C is safe, the next run goes on."
)


def build(
    workspace: Workspace,
    recipe: Recipe | None = None,
    train_on: str | None = None,
    index: str | None = None,
    method: str | None = None,
    product: ProductSettings | None = None,
    min_recall: float | None = None,
    retrain: bool = False,
    tune: bool = False,
) -> tuple[Dataset, Split]:
    """Run every step that is missing or out of date; the caller holds the workspace's lock.

    recipe, product, train_on: None is as built before. retrain, tune: train or tune again what has learned from other
    data than there is now; without them an encoder and settings that exist stay.
    """
    recipe = recipe or choose_recipe(workspace, None, None)
    product = product or chosen_before(workspace)
    if recipe.preset == "small" and recipe.tower is None:
        log.warning(NO_WORDS)
    if held(workspace) or (workspace.events.exists() and read_manifest(workspace.dataset) is not None):
        compose(workspace)  # events; what an interrupted import has left undone; a dataset that was removed
    if read_manifest(workspace.dataset) is None:
        log.info(DEMO_NOTICE.format(root=workspace.root))
        started = time.monotonic()
        prepare_demo(workspace)
        done("catalogue", load_dataset(workspace).summary(), time.monotonic() - started)
    dataset = load_dataset(workspace)
    plan = Plan.of(workspace, dataset, recipe, train_on or trained_on(workspace), product, retrain, tune)
    if plan.is_news(workspace, dataset):
        for line in plan.lines(workspace, dataset):
            log.info(line)
    if read_manifest(workspace.models) is None and (expected := announcement(dataset, product.tuning)):
        log.info(expected)
    split = ensure_split(workspace, dataset, SplitSettings.model_validate({"method": method}) if method else None)
    started, cached = time.monotonic(), any(workspace.mels.glob("chunk-*.json"))
    mels = ensure_mels(workspace.mels, dataset)
    if not cached and mels.present.any():
        refused = f", {len(mels.rejects)} without audio" if mels.rejects else ""
        done("mel", f"{mels.present.sum():,} tracks{refused}", time.monotonic() - started)
    for work in plan.work:
        for stage in STAGES:
            if work.trains:
                train_stage(work.place, dataset, stage, recipe, work.extent)
            else:
                work.place.discard_scratch(f"train-{stage}")  # of a run that was cut off right after publishing
            embed_stage(work.place, dataset, mels, stage)
        if work.tunes:
            ensure_choices(workspace, dataset, split, product)
        if not work.place.below:
            ensure_models(workspace, dataset, split, work.extent)
    started = time.monotonic()
    least = product.index.min_recall if min_recall is None else min_recall
    facts = ensure_index(workspace, dataset, index or product.index.backend, least)
    done("index", facts, time.monotonic() - started)
    ensure_text_index(workspace, dataset)
    versions.publish(workspace)
    words = WordSense.of(read_manifest(workspace.encoder("preference")))
    log.info(f"  words       {words.refused or words.in_words()}")
    for doubt in doubts(workspace):
        log.warning(f"  beware      {doubt}")
    return dataset, split


def trained_on(workspace: Workspace) -> str:
    """What --train-on was when the published encoder was made; split where there is none."""
    encoder = read_manifest(workspace.encoder("preference"))
    return "all" if encoder is not None and encoder.settings.get("train_on") == "all" else "split"


def say_plan(
    workspace: Workspace,
    recipe: Recipe,
    train_on: str | None = None,
    product: ProductSettings | None = None,
    retrain: bool = False,
    tune: bool = False,
) -> None:
    """What `build` would do with the same arguments, step by step; nothing is done."""
    if read_manifest(workspace.dataset) is None:
        log.info(DEMO_NOTICE.format(root=workspace.root))
        return
    dataset = load_dataset(workspace)
    product = product or chosen_before(workspace)
    plan = Plan.of(workspace, dataset, recipe, train_on or trained_on(workspace), product, retrain, tune)
    for line in plan.lines(workspace, dataset):
        log.info(line)
