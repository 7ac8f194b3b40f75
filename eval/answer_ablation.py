"""What each source contributes to the answer: one is taken away, the fusion is chosen again without it, and measured.

`htcl-imputed` among them is the imputation. Sources and their settings stay as they are; the weights of those that are
left are chosen anew on validation, with models of the training part, as the product's are, for weights chosen beside a
source are wrong without it. What was chosen is kept in the workspace and chosen again only where something has changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.reporting import meter
from data.split import Split
from data.storage.hashing import short_hash
from data.storage.manifest import is_current, verify
from data.storage.publishing import publishing
from data.storage.workspace import Workspace
from eval.measurement import measure
from eval.metrics.registry import COLUMNS
from eval.models import Model
from eval.results.show_and_write import show, write_report
from eval.workspace_checks import ready
from recsys.candidates import State
from recsys.candidates.simple.popularity import play_counts
from recsys.fitted.store import FittedSources, htcl_sources, likeness_of
from recsys.fitted.tuning_data import TuningData
from recsys.line_up import FUSED
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, fuse
from recsys.settings import ProductSettings
from recsys.tasks import NEEDS_ORDER, TASKS, HeldOut, Task, held_out
from recsys.tuning.choices import Choices
from recsys.tuning.fusion_weights import UNPLAYED_WEIGHTS, WEIGHTS
from recsys.tuning.source_settings import choose_fusion, validation_questions

WHOLE = "all sources"
FITTED = (
    "sources as published, fitted on the past of the test; without a source, the weights of the others are chosen "
    "again on validation, with models of the training part"
)
CHOSEN = "fusions.json"


@dataclass(frozen=True)
class Asked:
    """Questions of a task with what each source proposes to them: what an answer is put together from, or learned on.

    unplayed: (N,) songs without a play in what the sources were fitted on.
    """

    question: HeldOut
    rankings: Mapping[str, Ranked]
    unplayed: NDArray[np.bool_]

    def of(self, names: Sequence[str]) -> dict[str, Ranked]:
        """The proposals of these sources alone."""
        return {name: self.rankings[name] for name in names}


def learned(asked: Asked, names: Sequence[str], product: ProductSettings) -> FusionSettings:
    """How the answer is put together from these sources, chosen on validation."""
    return choose_fusion(asked.of(names), asked.question, asked.unplayed, product.tuning)


def answered(asked: Asked, names: Sequence[str], chosen: FusionSettings, k: int) -> Ranked:
    """The answer from these sources alone: the k best songs of every query."""
    taking_part = [name for name in chosen.taking_part() if name in names]
    return fuse(asked.of(taking_part), chosen, asked.unplayed, k)


def run_answer_ablation(space: Workspace, only: str | None, max_queries: int, json_file: Path | None) -> Path:
    """Choose what is missing, measure the answer without each source, and write the report; returns its path."""
    dataset, split, fitted = ready(space)
    names = [name for name in FUSED if name not in fitted.untrained and name in fitted.choices.settings[TASKS[0]]]
    without = {f"no {name}": [other for other in names if other != name] for name in names}
    if only is not None:
        without = _only(without, only)
    validation = Validation(space, dataset, split, fitted.choices, names)
    with space.lock():
        chosen = {variant: ensure_chosen(validation, variant, left) for variant, left in without.items()}
    results = []
    for task in TASKS:
        question = held_out(dataset, split, task, "test", None, max_queries)
        if not question.queries or (task in NEEDS_ORDER and not dataset.ordered):
            continue
        asked = Asked(question, _proposed(fitted, task, question, names), fitted.unplayed)
        models: dict[str, Model] = {WHOLE: partial(fitted.fused, task)}
        models |= {variant: _model(asked, left, chosen[variant][task]) for variant, left in without.items()}
        result, _ = measure(dataset, split, question, models, baselines={WHOLE}, fitted=FITTED)
        fusions = {WHOLE: fitted.choices.fusion[task]} | {variant: found[task] for variant, found in chosen.items()}
        result["chosen_on_validation"] = {"fusions": {name: fusion.model_dump() for name, fusion in fusions.items()}}
        show(result, COLUMNS[task], ("ndcg@100", "cold/ndcg@100"))
        results.append(result)
    if not results:
        raise UserError(
            f"nothing to measure: {dataset.summary()}", "An ablation needs held-out listening or playlists."
        )
    return write_report(space, "ablation-answer", results, json_file)


@dataclass(frozen=True)
class Validation:
    """What fusions are chosen on: sources with the product's settings, fitted on the training part."""

    space: Workspace
    dataset: Dataset
    split: Split
    choices: Choices
    names: Sequence[str]

    @property
    def product(self) -> ProductSettings:
        """What the product was chosen by."""
        return ProductSettings(tuning=self.choices.tuning, ranking=self.choices.ranking)

    @cached_property
    def asked(self) -> dict[Task, Asked]:
        """The questions that the product's fusions are chosen on, and what each source proposes to them."""
        dataset, tuning, product = self.dataset, self.space.tuning, self.product
        training = self.split.training(dataset)
        ground = TuningData(dataset, training, htcl_sources(tuning, dataset), likeness_of(tuning, dataset), product)
        unplayed, found, fits = play_counts(training) == 0, {}, dict[str, State]()
        questions = validation_questions(dataset, self.split, product.tuning.fusion_queries)
        with meter("validation", len(questions) * len(self.names)) as progress:
            for task, question in questions.items():
                rankings = {}
                for name in self.names:
                    source = ground.source(name, self.choices.settings[task][name], fits)
                    rankings[name] = source.candidates(question.queries, product.ranking.depth)
                    progress.advance(name)
                found[task] = Asked(question, rankings, unplayed)
        return found


def ensure_chosen(validation: Validation, variant: str, left: Sequence[str]) -> dict[Task, FusionSettings]:
    """The fusion of the sources that are left, for each task; chosen unless it is there."""
    space, folder = validation.space, validation.space.ablation(f"answer {variant}")
    made_from = {"dataset": validation.dataset.fingerprint, "split": validation.split.fingerprint}
    made_from["choices"] = verify(space.tuning.models).fingerprint
    settings = {"left": list(left), "space": short_hash([WEIGHTS, UNPLAYED_WEIGHTS, TASKS])}
    if not is_current(folder, made_from, settings):
        asked = validation.asked
        with publishing(folder, f"ablation {variant}", made_from, settings) as draft, meter(variant, len(asked)) as bar:
            found = Choices()
            for task in asked:
                found.fusion[task] = learned(asked[task], left, validation.product)
                bar.advance(task)
            (draft.folder / CHOSEN).write_text(found.model_dump_json(include={"fusion"}))
    verify(folder)
    return Choices.model_validate_json((folder / CHOSEN).read_text("utf-8")).fusion


def _proposed(fitted: FittedSources, task: Task, question: HeldOut, names: Sequence[str]) -> dict[str, Ranked]:
    """What each published source proposes; asked once, and put together in many ways."""
    depth = fitted.choices.ranking.depth
    found = {}
    with meter(f"{task} sources", len(names)) as progress:
        for name in names:
            found[name] = fitted.sources[task][name].candidates(question.queries, depth)
            progress.advance(name)
    return found


def _model(asked: Asked, left: Sequence[str], chosen: FusionSettings) -> Model:
    def model(queries: Sequence[Query], k: int) -> Ranked:
        if queries is not asked.question.queries:
            raise ValueError("the sources were asked other queries")
        return answered(asked, left, chosen, k)

    return model


def _only(without: Mapping[str, list[str]], only: str) -> dict[str, list[str]]:
    wanted = [name.strip() for name in only.split(",")]
    if unknown := [name for name in wanted if name not in without]:
        raise UserError(f'no variant "{unknown[0]}"', f"There are {', '.join(without)}.")
    return {name: without[name] for name in wanted}
