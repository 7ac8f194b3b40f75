"""The fitted models of a workspace: which sources there are, their tuned settings per task, and how they are fused.

Everything fitted lies in `models/` as npz without pickle, described by a manifest that says what it was trained on.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch.nn.functional import normalize

from data.dataset import Dataset
from data.errors import UserError
from data.progress import done, meter
from data.split import Split
from data.workspace import Manifest, Workspace, is_current, publishing, read_manifest, short_hash, verify
from encoders.stages import STAGES, Stage
from encoders.stored import read_encoder
from encoders.text import tokenize
from encoders.vectors import Vectors, read_vectors
from recsys.candidates import SOURCES, CandidateSource, Htcl, State
from recsys.candidates.popularity import play_counts
from recsys.fusion import FusionSettings, fuse
from recsys.held_out import TASKS, HeldOut, Task, held_out
from recsys.index import BACKENDS, VectorIndex
from recsys.published_index import BUILD_AGAIN
from recsys.quality import hits, ndcg
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.search_space import AT_ASKING, SPACE
from recsys.tuning import UNPLAYED_WEIGHTS, WEIGHTS, tune_fusion

HTCL_NAMES: dict[str, Stage] = {"htcl-stage1": "semantic", "htcl-stage2": "preference"}
FUSED = ("popularity", "same-artist", "item-knn", "ials", "bpr", "htcl-stage2")
UNPLAYED = "unplayed"
DEPTH = 500
"""Candidates each source brings to the fusion."""
TUNING_QUERIES = 400
OBJECTIVE_AT = 100
NEW_SONGS = 0.25
"""What NDCG@100 on songs without a play adds to that on all, where a fusion is chosen. In the weeks after training few
plays are of new songs; in month six many are, and to find them is what content is for."""


class Choices(BaseModel):
    """What validation chose: settings per task and source, the fusion per task, and the NDCG@100 each reached."""

    settings: dict[Task, dict[str, dict[str, Any]]] = {}
    fusion: dict[Task, FusionSettings] = {}
    validation: dict[Task, dict[str, float]] = {}
    trials: dict[str, int] = {}


@dataclass(frozen=True)
class Models:
    """Fitted sources by task, and their fusion."""

    sources: Mapping[Task, Mapping[str, CandidateSource]]
    choices: Choices
    manifest: Manifest
    unplayed: NDArray[np.bool_]
    "(N,) songs without a play or playlist entry in what the models were trained on."

    def fused(self, task: Task, queries: Sequence[Query], k: int) -> Ranked:
        """The product's answer: every source's candidates, fused as validation chose for the task."""
        return self.fuse(task, self.rankings(task, queries), k)

    def rankings(self, task: Task, queries: Sequence[Query]) -> dict[str, Ranked]:
        """What each source that takes part proposes."""
        sources = self.sources[task]
        return {name: sources[name].candidates(queries, DEPTH) for name in self.choices.fusion[task].taking_part()}

    def fuse(self, task: Task, rankings: Mapping[str, Ranked], k: int) -> Ranked:
        return fuse(rankings, self.choices.fusion[task], self.unplayed, k)


def ensure_models(workspace: Workspace, dataset: Dataset, split: Split, train_on: str) -> None:
    """Fit, tune and publish every source, unless that has been done from the same things.

    Under `all`, settings that a run under `split` chose are kept: nothing is left to choose them with.
    """
    made_from = {"dataset": dataset.fingerprint, "split": split.fingerprint}
    made_from |= {stage: verify(workspace.vectors(stage)).fingerprint for stage in STAGES}
    tried = short_hash([SPACE, TASKS, FUSED, WEIGHTS, UNPLAYED_WEIGHTS, TUNING_QUERIES, NEW_SONGS])
    settings = {"train_on": train_on, "space": tried}
    if is_current(workspace.models, made_from, settings):
        return
    started = time.monotonic()
    training = split.training(dataset) if train_on == "split" else dataset
    kept = _kept_choices(workspace, split) if train_on == "all" else None
    htcl = htcl_sources(workspace, dataset)
    fitted: dict[str, State] = {}
    choices = kept or tune(dataset, training, split, htcl, fitted, tune_on=train_on == "split")
    trained_on = {"part": train_on, "split": split.fingerprint}
    with publishing(workspace.models, "models", made_from, settings, trained_on) as draft:
        for chosen in choices.settings.values():
            for name in [name for name in SOURCES if name in chosen]:
                key = fit_key(name, chosen[name])
                if key not in fitted:
                    fitted[key] = make_source(name, chosen[name]).fit(training).state()
                if not (draft.folder / f"{key}.npz").exists():
                    np.savez(draft.folder / f"{key}.npz", **fitted[key])  # type: ignore[arg-type]
        np.savez(draft.folder / f"{UNPLAYED}.npz", unplayed=play_counts(training) == 0)
        (draft.folder / "choices.json").write_text(choices.model_dump_json(indent=1))
        draft.facts["validation_ndcg@100"] = choices.validation
    tuned = f"{sum(choices.trials.values())} trials" if choices.trials else "settings kept or default"
    done("models", f"{len(fitted)} fits, {tuned}", time.monotonic() - started)


def load_models(workspace: Workspace, dataset: Dataset, index: VectorIndex) -> Models:
    """The published models; HTCL neighbours are searched in `index`. Raises UserError for files missing or damaged."""
    manifest = verify(workspace.models)
    choices = Choices.model_validate_json((workspace.models / "choices.json").read_text("utf-8"))
    states = {path.stem: _read_state(path) for path in sorted(workspace.models.glob("*.npz"))}
    htcl = htcl_sources(workspace, dataset, index)
    sources: dict[Task, dict[str, CandidateSource]] = {}
    for task, chosen in choices.settings.items():
        sources[task] = {}
        # Models published before a source was written know nothing of it.
        for name in [name for name in SOURCES if name in chosen]:
            source = make_source(name, chosen[name])
            sources[task][name] = source.restore(dataset, states[fit_key(name, chosen[name])])
        for name, source in htcl.items():
            sources[task][name] = source.with_settings(chosen.get(name, {}))
    return Models(sources, choices, manifest, states[UNPLAYED]["unplayed"])


def make_source(name: str, settings: Mapping[str, Any]) -> CandidateSource:
    """A source of the registry with settings. Raises UserError for a name that is not there."""
    if name not in SOURCES:
        raise UserError(f'no model "{name}"', f"There are {', '.join([*SOURCES, *HTCL_NAMES, 'fused'])}.")
    kind, settings_kind = SOURCES[name]
    return kind(settings_kind(**settings))


def fit_key(name: str, settings: Mapping[str, Any]) -> str:
    """Names a fit: sources that differ only in settings at asking share it."""
    return f"{name}-{short_hash({key: value for key, value in settings.items() if key not in AT_ASKING})[:8]}"


def htcl_sources(workspace: Workspace, dataset: Dataset, index: VectorIndex | None = None) -> dict[str, Htcl]:
    """HTCL neighbours in the space of each stage. index: the published one, over stage 2; None searches exactly."""
    sources = {}
    for name, stage in HTCL_NAMES.items():
        vectors = read_vectors(workspace.vectors(stage), "item", dataset)
        searched = index if index is not None and stage == "preference" else exact_index(vectors)
        sources[name] = Htcl(name, vectors, searched, text_encoder(workspace, stage)).fit(dataset)
    return sources


def exact_index(vectors: Vectors) -> VectorIndex:
    """All vectors in a fresh exact index."""
    index = BACKENDS["exact"](vectors.dimension)
    if len(vectors.tracks):
        index.add(vectors.tracks, vectors.values)
    return index


def text_encoder(workspace: Workspace, stage: Stage) -> Callable[[list[str]], NDArray[np.float32]]:
    """Texts -> unit vectors (Q, D) of a stage's space. The encoder is read on first use and texts are remembered."""

    @lru_cache(maxsize=1)
    def encoder() -> Any:
        made, used = read_manifest(workspace.vectors(stage)), read_manifest(workspace.encoder(stage))
        if made is not None and used is not None and made.made_from["encoder"] != used.fingerprint:
            raise UserError(f"the encoder in {workspace.encoder(stage)} did not make the vectors", BUILD_AGAIN)
        return read_encoder(workspace, stage)

    @lru_cache(maxsize=100_000)
    def one(text: str) -> NDArray[np.float32]:
        model, tokenizer, _ = encoder()
        with torch.inference_mode():
            vector = model.get_text_features(**tokenize(tokenizer, [text])).pooler_output
        return np.asarray(normalize(vector, dim=1)[0].numpy(), np.float32)

    return lambda texts: np.stack([one(text) for text in texts])


def tune(
    dataset: Dataset,
    training: Dataset,
    split: Split,
    htcl: Mapping[str, Htcl],
    fitted: dict[str, State],
    tune_on: bool,
) -> Choices:
    """Choose each source's settings by NDCG@100 on validation, and the fusion by that and NEW_SONGS, for each task.

    fitted: collects the fits.
    """
    choices = Choices()
    asked = {task: held_out(dataset, split, task, "validation", max_queries=TUNING_QUERIES) for task in TASKS}
    best: dict[Task, dict[str, Ranked]] = {task: {} for task in TASKS}
    with meter("tuning", sum(len(space) for space in SPACE.values())) as progress:
        for name, space in SPACE.items():
            trials = space if tune_on else space[:1]
            choices.trials[name] = len(trials)
            for settings in trials:
                source = _fitted_source(name, settings, dataset, training, htcl, fitted)
                for task, question in asked.items():
                    ranked = source.candidates(question.queries, DEPTH)
                    value = quality(ranked, question, len(dataset.track_ids))
                    reached = choices.validation.setdefault(task, {})
                    if name not in reached or value > reached[name]:
                        reached[name], best[task][name] = value, ranked
                        choices.settings.setdefault(task, {})[name] = settings
                progress.advance(name)
            _forget_others(fitted, name, choices)
    unplayed = play_counts(training) == 0
    for task, question in asked.items():
        rankings = {name: best[task][name] for name in FUSED}
        _, choices.fusion[task] = tune_fusion(
            rankings,
            partial(_fused_quality, question=question, unplayed=unplayed),
            unplayed,
            OBJECTIVE_AT,
            search=tune_on and len(question.queries) > 0,
        )
        answer = fuse(rankings, choices.fusion[task], unplayed, OBJECTIVE_AT)
        choices.validation[task]["fused"] = quality(answer, question, len(unplayed))
    return choices


def _fitted_source(
    name: str,
    settings: Mapping[str, Any],
    dataset: Dataset,
    training: Dataset,
    htcl: Mapping[str, Htcl],
    fitted: dict[str, State],
) -> CandidateSource:
    if name in htcl:
        return htcl[name].with_settings(settings)
    source, key = make_source(name, settings), fit_key(name, settings)
    if key not in fitted:
        fitted[key] = source.fit(training).state()
    return source.restore(dataset, fitted[key])


def _forget_others(fitted: dict[str, State], name: str, choices: Choices) -> None:
    """Drop a source's fits that no task chose: a dozen song-by-song matrices would not fit into memory."""
    chosen = {fit_key(name, settings[name]) for settings in choices.settings.values()}
    for key in [key for key in fitted if key.rsplit("-", 1)[0] == name and key not in chosen]:
        del fitted[key]


def quality(ranked: Ranked, question: HeldOut, tracks: int) -> float:
    """What settings are chosen by: NDCG@100."""
    if not question.queries:
        return 0.0
    found = hits(ranked, question.targets, OBJECTIVE_AT, tracks)
    return float(ndcg(found, question.targets.counts(), OBJECTIVE_AT).mean())


def _fused_quality(ranked: Ranked, question: HeldOut, unplayed: NDArray[np.bool_]) -> float:
    """`quality`, and a share of it on the songs without a play."""
    new = question.targets.restrict(unplayed)
    asked = new.nonempty()
    value = quality(ranked, question, len(unplayed))
    if not asked.any() or asked.all():
        return value
    found = hits(ranked.select(asked), new.select(asked), OBJECTIVE_AT, len(unplayed))
    return value + NEW_SONGS * float(ndcg(found, new.select(asked).counts(), OBJECTIVE_AT).mean())


def _kept_choices(workspace: Workspace, split: Split) -> Choices | None:
    path = workspace.models / "choices.json"
    manifest = read_manifest(workspace.models)
    if manifest is None or manifest.made_from.get("split") != split.fingerprint or not path.is_file():
        return None
    return Choices.model_validate_json(path.read_text("utf-8"))


def _read_state(path: Path) -> State:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
