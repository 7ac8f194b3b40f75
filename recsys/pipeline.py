"""From a catalogue and its listening to a published index, running whatever step is missing or out of date.

prepare -> split -> mels, then what settings are chosen with: train stage 1 -> embed -> train stage 2 -> embed -> tune,
and with these settings what is published: stage 2 again -> embed -> models -> index. A step that is up to date is
skipped, one that was cut off goes on where it stopped.
"""

import time

from data.dataset import Dataset, load_dataset
from data.prepare import prepare_demo
from data.reporting import done, logger
from data.split import Split, SplitSettings, ensure_split
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.mel_cache import ensure_mels
from encoders.options import STAGES
from encoders.training.publish_stage import train_stage, trainings
from encoders.training.recipe import Recipe, choose_recipe
from encoders.word_sense import WordSense
from recsys.fitted.doubts import doubts
from recsys.fitted.fit import chosen_before, ensure_choices, ensure_models
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
    train_on: str = "split",
    index: str | None = None,
    method: str | None = None,
    product: ProductSettings | None = None,
    min_recall: float | None = None,
) -> tuple[Dataset, Split]:
    """Run every step that is missing or out of date; the caller holds the workspace's lock. recipe, product: as built
    before."""
    recipe = recipe or choose_recipe(workspace, None, None)
    product = product or chosen_before(workspace)
    if recipe.preset == "small" and recipe.tower is None:
        log.warning(NO_WORDS)
    if read_manifest(workspace.dataset) is None:
        log.info(DEMO_NOTICE.format(root=workspace.root))
        started = time.monotonic()
        prepare_demo(workspace)
        done("catalogue", load_dataset(workspace).summary(), time.monotonic() - started)
    dataset = load_dataset(workspace)
    split = ensure_split(workspace, dataset, SplitSettings.model_validate({"method": method}) if method else None)
    started, cached = time.monotonic(), any(workspace.mels.glob("chunk-*.json"))
    mels = ensure_mels(workspace.mels, dataset)
    if not cached and mels.present.any():
        refused = f", {len(mels.rejects)} without audio" if mels.rejects else ""
        done("mel", f"{mels.present.sum():,} tracks{refused}", time.monotonic() - started)
    for place, extent in trainings(workspace, train_on, dataset):
        for stage in STAGES:
            train_stage(place, dataset, stage, recipe, extent)
            embed_stage(place, dataset, mels, stage)
        if place.below:
            ensure_choices(workspace, dataset, split, product)
        else:
            ensure_models(workspace, dataset, split, extent)
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
