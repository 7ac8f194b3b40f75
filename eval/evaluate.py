"""An evaluation from beginning to end: build what is missing, ask every model every question, write the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.console.names import as_called
from data.console.results import results_console
from data.dataset import Dataset
from data.errors import UserError
from data.reporting import logger
from data.split import Split
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import read_vectors
from encoders.pretrained.audio_model import ExternalModel
from eval.conditions.hidden_songs import FITTED as FITTED_WITHOUT_HIDDEN
from eval.conditions.hidden_songs import Hiding, ensure_hidden, refuse_nothing_learned, without_hidden
from eval.conditions.new_songs_only import among_new, answering_with_new
from eval.line_up import DEFAULT
from eval.measurement import FITTED, measure
from eval.metrics.curves import SEED_QUERIES, over_seeds
from eval.metrics.registry import COLUMNS, columns_of
from eval.models import Model, models_of
from eval.results.comparison import name_of
from eval.results.per_query import PerQuery
from eval.results.show_and_write import chosen_on_validation, show, write_report
from eval.results.task_result import TaskResult
from eval.results.terminal import in_words
from eval.semantic.cross_validation import folds as cross_validation
from eval.semantic.embeddings import embeddings_of, open_externals
from eval.semantic.measure import COLUMNS as SEMANTIC_COLUMNS
from eval.semantic.measure import Fold, measure_semantic
from eval.training_variance import ensure_repeats, measure_repeats
from eval.workspace_checks import answerable, ready
from recsys.fitted.doubts import doubts, vectors_differ
from recsys.fitted.store import FittedSources
from recsys.tasks import UNTUNED, HeldOut, Scenario, Task, held_out, scenario, tuned_for

log = logger(__name__)

SCENARIO_QUERIES = 1000
"""Playlists of each scenario, as in the challenge."""
HEADLINES = ("ndcg@100", "cold/ndcg@100")
HIDDEN_HEADLINES = ("ndcg@100", "hidden/ndcg@100")
"""The tests that are printed; all of them are in the report."""
SEMANTIC_HEADLINES = ("text_to_audio_recall@10", "probe_genre_accuracy", "probe_album_accuracy")


@dataclass(frozen=True)
class Evaluation:
    """What is to be measured.

    task: one, or all. tasks: those that recommend. names: models. seeds: songs given of a playlist, None = the first
    half. max_queries: a random sample of the queries beyond it. new_only: only songs without a play may be answered.
    repeats: trainings of what depends on a seed. folds: of the semantic task, None = the songs held out anyway. hiding:
    songs that no model has met the listening of.
    """

    task: str
    tasks: tuple[Task, ...]
    names: tuple[str, ...] = DEFAULT
    scenarios: tuple[Scenario, ...] = ()
    seeds: int | None = None
    max_queries: int = 5000
    new_only: bool = False
    repeats: int = 1
    external: Sequence[Path] = ()
    folds: int | None = None
    hiding: Hiding | None = None

    @property
    def semantic(self) -> bool:
        """Whether the encoder's vectors are measured as well; with hidden songs only recommendations are."""
        return self.task in ("semantic", "all") and self.hiding is None

    @property
    def report(self) -> str:
        """What the report's file is called after."""
        return self.task if self.hiding is None else f"{self.task}-hidden-{self.hiding.by}s"


@dataclass(frozen=True)
class Question:
    """Held-out queries of a task, with the name of the scenario they follow, if any."""

    held_out: HeldOut
    scenario: str = ""


@dataclass(frozen=True)
class Fitted:
    """Everything that answers: the dataset, its split, the models, and those of repeated trainings.

    place: where the models are published. hidden: what they have not met, as it goes into JSON.
    """

    dataset: Dataset
    split: Split
    models: FittedSources
    place: Workspace
    repeats: Sequence[FittedSources] = field(default_factory=list)
    hidden: dict[str, Any] | None = None


def evaluate(space: Workspace, asked: Evaluation, json_file: Path | None = None) -> Path:
    """Measure, show and write the report; returns its path. Raises UserError where there is nothing to measure."""
    tasks = answerable(space, asked.task, asked.tasks)
    externals = open_externals(asked.external)
    fitted = _fitted(space, asked, tasks)
    questions = _questions(fitted, asked, tasks)
    results, per_query = _measured(space, fitted, asked, questions)
    if not results and not asked.semantic:
        summary = fitted.dataset.summary()
        raise UserError(f"nothing to measure for {asked.task}: {summary}", "Take another --task, or more data.")
    if asked.semantic:
        results += _measured_semantic(
            space, fitted.dataset, fitted.split, externals, asked.folds, asked_for=asked.task == "semantic"
        )
    single = asked.task != "all" and len(questions) <= 1
    return write_report(space, asked.report, results[0] if single else results, json_file, per_query)


def say_what_next(workspace: str, task: str, report: Path) -> None:
    """Print the report's path and two commands to try."""
    where = "" if workspace == "workspace" else f" --workspace {workspace}"
    out = results_console(soft_wrap=True)
    out.print(f"\nReport: {report}", markup=False)
    other = "python -m recsys.recommend --user USER" if task == "all" else "python -m eval.run --task all"
    out.print(as_called(f"Next:   python -m eval.report {report}{where}\n        {other}{where}"), markup=False)


def _fitted(space: Workspace, asked: Evaluation, tasks: Sequence[Task]) -> Fitted:
    dataset, split, models = ready(space, asked.names)
    if asked.hiding is not None:
        return _without_hidden(space, asked, asked.hiding, dataset, split)
    if not tasks or asked.repeats == 1:
        return Fitted(dataset, split, models, space)
    with space.lock():
        return Fitted(dataset, split, models, space, ensure_repeats(space, dataset, split, asked.names, asked.repeats))


def _without_hidden(space: Workspace, asked: Evaluation, hiding: Hiding, dataset: Dataset, split: Split) -> Fitted:
    split = split.hiding(hiding.draw(dataset))
    assert split.hidden is not None
    refuse_nothing_learned(dataset, split)
    facts = hiding.facts(dataset, split.hidden)
    log.info(f"Without the listening of {in_words(facts)}:")
    with space.lock():
        place, models = ensure_hidden(space, dataset, split, hiding, asked.names)
    return Fitted(dataset, split, models, place, hidden=facts)


def _questions(fitted: Fitted, asked: Evaluation, tasks: Sequence[Task]) -> list[Question]:
    """The questions of every task, or of every requested scenario; some may be empty, which `_measured` skips."""
    dataset, split = fitted.dataset, fitted.split
    if asked.scenarios:
        most = min(asked.max_queries, SCENARIO_QUERIES)
        found = [Question(scenario(dataset, split, "test", one, most), one.name) for one in asked.scenarios]
    else:
        found = [Question(held_out(dataset, split, one, "test", asked.seeds, asked.max_queries)) for one in tasks]
    if fitted.hidden is not None:
        found = [Question(without_hidden(one.held_out, split, fitted.hidden), one.scenario) for one in found]
    if asked.new_only:
        new = split.cold_before("test")
        found = [Question(among_new(question.held_out, new), question.scenario) for question in found]
    return found


def _measured(
    space: Workspace, fitted: Fitted, asked: Evaluation, questions: Sequence[Question]
) -> tuple[list[TaskResult], dict[str, PerQuery]]:
    """A result per question, shown as it is there, and the values of every query by the result's name."""
    results = []
    per_query: dict[str, PerQuery] = {}
    place, hidden = fitted.place, fitted.hidden is not None
    vectors = read_vectors(place.vectors("preference"), "item", fitted.dataset)
    for question in questions:
        task = question.held_out.task
        if not question.held_out.queries and len(questions) > 1:
            log.warning(f"{' '.join([task, question.scenario]).strip()}: skipped, the dataset has nothing of the kind.")
            continue
        models = _models(fitted, asked, task)
        result, values = measure(
            fitted.dataset,
            fitted.split,
            question.held_out,
            models,
            vectors=vectors,
            fitted=FITTED_WITHOUT_HIDDEN if hidden else FITTED,
            differ=vectors_differ(place),
        )
        _complete(result, fitted, asked, question, models)
        result["protocol"]["notes"] = [*result["protocol"].get("notes", []), *doubts(place)]
        show(result, columns_of(task, hidden), HIDDEN_HEADLINES if hidden else HEADLINES)
        results.append(result)
        per_query[name_of(result)] = values
    return results, per_query


def _models(fitted: Fitted, asked: Evaluation, task: Task) -> dict[str, Model]:
    models = models_of(fitted.models, task, asked.names)
    if not asked.new_only:
        return models
    new = fitted.split.cold_before("test")
    return {name: answering_with_new(model, new) for name, model in models.items()}


def _complete(
    result: TaskResult, fitted: Fitted, asked: Evaluation, question: Question, models: Mapping[str, Model]
) -> None:
    """Add what stands beside the metrics: scenario or curve over seeds, chosen settings, repeats, notes."""
    dataset, split, task = fitted.dataset, fitted.split, question.held_out.task
    if fitted.hidden is not None:
        result["protocol"]["hidden"] = fitted.hidden
    if question.scenario:
        result["scenario"] = question.scenario
    elif task == "playlist" and asked.seeds is None and not asked.new_only and fitted.hidden is None:
        result["curves"]["seeds"] = over_seeds(dataset, split, models, min(asked.max_queries, SEED_QUERIES))
    result["chosen_on_validation"] = chosen_on_validation(fitted.models, task)
    if "fused" in models:
        titles_alone = all(query.is_title_alone for query in question.held_out.queries)
        said = fitted.models.choices.answered_by(task, titles_alone)
        result["protocol"]["notes"] = [*result["protocol"].get("notes", []), f"fused: {said}"]
    if fitted.repeats:
        result["repeats"] = measure_repeats(
            dataset, split, question.held_out, result["models"], fitted.repeats, COLUMNS[task]
        )
    if task in UNTUNED:
        result["protocol"]["notes"] = [
            *result["protocol"].get("notes", []),
            f"settings as validation chose them for {tuned_for(task)}",
        ]


def _measured_semantic(
    space: Workspace,
    dataset: Dataset,
    split: Split,
    externals: Sequence[ExternalModel],
    count: int | None,
    asked_for: bool,
) -> list[TaskResult]:
    try:
        if count is None:
            measured = [Fold(split.held_out_only, embeddings_of(space.tuning, dataset, externals))]
        else:
            measured = list(cross_validation(space, dataset, split, count, externals))
        result = measure_semantic(dataset, split, measured)
    except UserError as error:
        if asked_for:
            raise
        log.warning(f"semantic: skipped, {error}")
        return []
    show(result, SEMANTIC_COLUMNS, SEMANTIC_HEADLINES)
    return [result]
