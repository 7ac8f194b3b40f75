"""What each source and the learned ranker contribute to the answer: one is taken away, what is left is measured.

`htcl-imputed` among the sources is the imputation. Sources and their settings stay as they are; the weights of those
that are left are chosen anew on validation, and the ranker is learned without the source, with models of the training
part, as the product's are: what was chosen beside a source is wrong without it. It is kept in the workspace and chosen
again only where something has changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from recsys.fitted.lessons import RANKED, learn_rankers, worlds
from recsys.fitted.store import (
    CHOICES,
    FittedSources,
    forests_of,
    htcl_sources,
    likeness_of,
    read_fits,
    write_forests,
)
from recsys.fitted.tuning_data import TuningData
from recsys.line_up import FUSED
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings
from recsys.ranking.learned.forest import Forest
from recsys.ranking.learned.ranker import RankerChoice
from recsys.settings import ProductSettings
from recsys.tasks import NEEDS_ORDER, ONLY_NEW, TASKS, HeldOut, Task, held_out
from recsys.tuning.choices import Choices
from recsys.tuning.fusion_weights import UNPLAYED_WEIGHTS, WEIGHTS
from recsys.tuning.source_settings import choose_fusion, validation_questions

WHOLE = "all sources"
FITTED = (
    "sources as published, fitted on the past of the test; without a source, the weights of the others are chosen "
    "again on validation, with models of the training part"
)
NO_RANKER = "no ranker"


def run_answer_ablation(space: Workspace, only: str | None, max_queries: int, json_file: Path | None) -> Path:
    """Choose what is missing, measure the answer without each source, and write the report; returns its path."""
    dataset, split, fitted = ready(space)
    names = [name for name in FUSED if name not in fitted.untrained and name in fitted.choices.settings[TASKS[0]]]
    without = {NO_RANKER: names} | {f"no {name}": [other for other in names if other != name] for name in names}
    if only is not None:
        without = _only(without, only)
    validation = Validation(space, dataset, split, fitted.choices, names)
    answers = {WHOLE: fitted}
    with space.lock():
        for variant, left in without.items():
            if variant == NO_RANKER:
                answers[variant] = replace(fitted, choices=fitted.choices.model_copy(update={"rankers": {}}))
            else:
                answers[variant] = ensure_chosen(validation, variant, left, fitted)
    results = []
    for task in TASKS:
        question = held_out(dataset, split, task, "test", None, max_queries)
        if not question.queries or (task in NEEDS_ORDER and not dataset.ordered):
            continue
        models: dict[str, Model] = {name: partial(each.fused, task) for name, each in answers.items()}
        result, _ = measure(dataset, split, question, models, baselines={WHOLE}, fitted=FITTED)
        fusions = {name: each.choices.fusion[task] for name, each in answers.items()}
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
    """What is chosen on: sources with the product's settings, fitted on the training part."""

    space: Workspace
    dataset: Dataset
    split: Split
    choices: Choices
    names: Sequence[str]

    @property
    def product(self) -> ProductSettings:
        """What the product was chosen by."""
        choices = self.choices
        return ProductSettings(tuning=choices.tuning, ranking=choices.ranking, ranker=choices.ranker)

    @cached_property
    def ground(self) -> TuningData:
        tuning, training = self.space.tuning, self.split.training(self.dataset)
        htcl, likeness = htcl_sources(tuning, self.dataset), likeness_of(tuning, self.dataset)
        return TuningData(self.dataset, training, htcl, likeness, self.product)

    @cached_property
    def unplayed(self) -> NDArray[np.bool_]:
        """(N,) songs without a play in training."""
        return np.asarray(play_counts(self.ground.training) == 0)

    @cached_property
    def fits(self) -> dict[str, State]:
        """Of the training part, as far as they were needed."""
        return {}

    @cached_property
    def asked(self) -> dict[Task, tuple[HeldOut, dict[str, Ranked]]]:
        """The questions that the product's fusions are chosen on, and what each source proposes to them."""
        questions = validation_questions(self.dataset, self.split, self.product.tuning.fusion_queries)
        found = {}
        with meter("validation", len(questions) * len(self.names)) as progress:
            for task, asked in questions.items():
                question = asked.among(self.unplayed) if task in ONLY_NEW else asked
                rankings = {}
                for name in self.names:
                    source = self.ground.source(name, self.choices.settings[task][name], self.fits)
                    rankings[name] = source.candidates(question.queries, self.product.ranking.depth)
                    progress.advance(name)
                found[task] = question, rankings
        return found

    def fusion(self, task: Task, left: Sequence[str]) -> FusionSettings:
        """The weights of these sources alone."""
        question, rankings = self.asked[task]
        return choose_fusion({name: rankings[name] for name in left}, question, self.unplayed, self.product.tuning)

    def ranked(self, chosen: Choices, left: Sequence[str]) -> tuple[dict[str, Forest], dict[str, RankerChoice]]:
        """The rankers of these sources alone, over the fusions chosen."""
        known = worlds(self.space.tuning, self.ground, chosen, self.fits, left)
        with meter("ranker", len(RANKED)) as progress:
            return learn_rankers(self.dataset, self.split, chosen, known, progress.advance)


def ensure_chosen(validation: Validation, variant: str, left: Sequence[str], whole: FittedSources) -> FittedSources:
    """The answer of the sources that are left; what it takes is chosen unless it is there. whole: of all sources."""
    space, folder = validation.space, validation.space.ablation(f"answer {variant}")
    made_from = {"dataset": validation.dataset.fingerprint, "split": validation.split.fingerprint}
    made_from["choices"] = verify(space.tuning.models).fingerprint
    settings = {"left": list(left), "space": short_hash([WEIGHTS, UNPLAYED_WEIGHTS, TASKS])}
    if not is_current(folder, made_from, settings):
        with publishing(folder, f"ablation {variant}", made_from, settings) as draft:
            chosen = validation.choices.model_copy(update={"rankers": {}, "title_fusion": None})
            with meter(variant, len(validation.asked)) as progress:
                fusion = {}
                for task in validation.asked:
                    fusion[task] = validation.fusion(task, left)
                    progress.advance(task)
            chosen = chosen.model_copy(update={"fusion": fusion})
            forests, rankers = validation.ranked(chosen, left)
            write_forests(draft.folder, forests)
            (draft.folder / CHOICES).write_text(chosen.model_copy(update={"rankers": rankers}).model_dump_json())
    _, choices, states = read_fits(folder)
    return replace(whole, choices=choices, forests=forests_of(states))


def _only(without: Mapping[str, list[str]], only: str) -> dict[str, list[str]]:
    wanted = [name.strip() for name in only.split(",")]
    if unknown := [name for name in wanted if name not in without]:
        raise UserError(f'no variant "{unknown[0]}"', f"There are {', '.join(without)}.")
    return {name: without[name] for name in wanted}
