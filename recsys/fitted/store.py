"""The fitted sources of a workspace, with the settings and the fusion that validation chose.

Fitted sources are stored in `models/` (the product's sources) and `baselines/` (one folder for each source that is only
compared with) as npz without pickle, described by a manifest that says what it was trained on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.dataset import Dataset
from data.errors import UserError
from data.storage.manifest import Manifest, read_manifest, verify
from data.storage.workspace import Workspace
from encoders.encoding.vector_files import Vectors, read_vectors
from encoders.word_sense import WordSense
from recsys.candidates import OVER_VECTORS, SOURCES, CandidateSource, Htcl, Likeness, State
from recsys.fitted.text_encoder import TextEncoder, read_text_encoder
from recsys.index import BACKENDS, VectorIndex
from recsys.index.choosing import EXACT_UP_TO
from recsys.line_up import BUILT, EVERY_NAME, HTCL_NAMES
from recsys.queries import NOTHING, Query
from recsys.ranked import Ranked
from recsys.ranking.fusion import FusionSettings, Proposals
from recsys.ranking.learned.features import SongFacts
from recsys.ranking.learned.forest import Forest
from recsys.ranking.learned.ranker import Ranker, RankerChoice, first_of
from recsys.tasks import ONLY_NEW, Task, tuned_for
from recsys.tuning.choices import Choices, fit_key

UNPLAYED = "unplayed"
RANKER = "ranker-"
"""Forests of rankers are stored beside the fits, under this and the task they were learned for."""
CHOICES = "choices.json"


@dataclass(frozen=True)
class Answer:
    """A list for each query. proposals, settings: what the weighted sum made its candidates of."""

    ranked: Ranked
    proposals: Proposals
    settings: FusionSettings


@dataclass(frozen=True)
class Sources(Mapping[str, CandidateSource]):
    """Sources by name; those that are to be made `later` are made when they are first looked up."""

    made: dict[str, CandidateSource]
    later: dict[str, Callable[[], CandidateSource]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> CandidateSource:
        if name not in self.made and name in self.later:
            self.made[name] = self.later[name]()
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.made | self.later)

    def __len__(self) -> int:
        return len(self.made | self.later)


@dataclass(frozen=True)
class FittedSources:
    """Fitted sources by task, and how their rankings become one list."""

    sources: Mapping[Task, Mapping[str, CandidateSource]]
    choices: Choices
    manifest: Manifest
    songs: SongFacts
    forests: Mapping[str, Forest]
    untrained: frozenset[str] = frozenset()
    "Sources whose encoder learned nothing: nearness says nothing there, so they take no part in an answer."
    _rankers: dict[str, Ranker] = field(default_factory=dict, compare=False)

    @cached_property
    def unplayed(self) -> NDArray[np.bool_]:
        """(N,) songs without a play or playlist entry in what the models were trained on."""
        return np.asarray(self.songs.plays == 0)

    def fused(self, task: Task, queries: Sequence[Query], k: int) -> Ranked:
        """The product's answers, for any mix of queries."""
        rows = [(np.zeros(0, np.int32), np.zeros(0, np.float32))] * len(queries)
        for titles_alone in (False, True):
            places = [place for place, query in enumerate(queries) if query.is_title_alone == titles_alone]
            if places:
                answer = self.answer(task, [queries[place] for place in places], k, titles_alone)
                for place, row in zip(places, answer.ranked, strict=True):
                    rows[place] = row
        return Ranked.from_rows(rows)

    def answer(self, task: Task, queries: Sequence[Query], k: int, titles_alone: bool) -> Answer:
        """The k best songs for each query: candidates by the weighted sum that validation chose for the task, the first
        of them in the order of the learned ranker where validation preferred it.

        titles_alone: whether the queries are titles without a song, a case of their own: what validation chose for
        playlists by half their songs leans on songs.
        """
        if tuned_for(task) in ONLY_NEW:
            queries = [query.only(self.unplayed) for query in queries]
        settings = self.choices.fusion_for(tuned_for(task), titles_alone)
        choice = self.choices.ranker_for(task, titles_alone)
        ranker = None if choice is None else self._ranker(choice)
        taking_part = settings.taking_part()
        asked = [*taking_part, *(ranker.asked if ranker else ())]
        rankings = self.rankings(tuned_for(task), queries, list(dict.fromkeys(asked)))
        summed = {name: each for name, each in rankings.items() if name in taking_part} or rankings
        proposals = Proposals.gather(summed, settings.method, self.unplayed)
        if ranker is None:
            return Answer(proposals.ranked(settings, k), proposals, settings)
        first = self.choices.ranker.first
        fused = proposals.ranked(settings, max(k, first))
        return Answer(first_of(ranker.ranked(queries, fused, rankings, self.songs, first), k), proposals, settings)

    def _ranker(self, choice: RankerChoice) -> Ranker:
        made = self._rankers.get(choice.learned_for)
        if made is None or (made.sources, made.new_songs) != (choice.sources, choice.new_songs):
            made = Ranker(self.forests[choice.learned_for], choice.sources, choice.new_songs)
            self._rankers[choice.learned_for] = made
        return made

    def rankings(self, task: Task, queries: Sequence[Query], names: Sequence[str]) -> dict[str, Ranked]:
        """What each of the named sources proposes; nothing where all of them are untrained."""
        sources = self.sources[task]
        trained = [name for name in names if name in sources and name not in self.untrained]
        if not trained:
            return {"popularity": Ranked.from_rows([(NOTHING, np.zeros(0, np.float32))] * len(queries))}
        return {name: sources[name].candidates(queries, self.choices.ranking.depth) for name in trained}


def load_models(
    workspace: Workspace, dataset: Dataset, index: VectorIndex, baselines: Sequence[str] = ()
) -> FittedSources:
    """The published models; HTCL neighbours are searched in `index`. Raises UserError for files missing or damaged.

    baselines: those of BASELINES to load as well; `recsys.fitted.fit.ensure_baselines` has fitted them.
    """
    manifest, choices, states = read_fits(workspace.models)
    htcl = _htcl_makers(workspace, dataset, index)
    sources: dict[Task, Sources] = {}
    for task, chosen in choices.settings.items():
        # What was published before a source was added answers without it.
        built = [name for name in BUILT if name in chosen and name not in htcl]
        sources[task] = Sources({name: _restored(name, chosen[name], states, dataset) for name in built})
        for name, make in htcl.items():
            sources[task].later[name] = partial(_with_settings, make, chosen.get(name, {}))
    for name in baselines:
        _, own, fits = read_fits(workspace.baseline(name))
        choices.trials |= own.trials
        for task, chosen in own.settings.items():
            sources[task].made[name] = _restored(name, chosen[name], fits, dataset)
            choices.settings[task][name], choices.validation[task][name] = chosen[name], own.validation[task][name]
    encoders = {name: WordSense.of(read_manifest(workspace.encoder(stage))) for name, stage in HTCL_NAMES.items()}
    untrained = frozenset(name for name, words in encoders.items() if not words.learned)
    counts = states[UNPLAYED]
    # What was published before there were rankers says only which songs have no play.
    plays = counts["plays"] if "plays" in counts else (~counts["unplayed"]).astype(np.float32)
    return FittedSources(
        sources, choices, manifest, song_facts(dataset, plays, workspace), forests_of(states), untrained
    )


def write_forests(folder: Path, forests: Mapping[str, Forest]) -> None:
    """One file for each task; `forests_of` finds them among the fits."""
    for task, forest in forests.items():
        np.savez(folder / f"{RANKER}{task}.npz", **forest.state())  # type: ignore[arg-type]


def forests_of(states: Mapping[str, State]) -> dict[str, Forest]:
    """The forests among what `read_fits` found, by the task they were learned for."""
    return {key.removeprefix(RANKER): Forest.restore(state) for key, state in states.items() if key.startswith(RANKER)}


def song_facts(dataset: Dataset, plays: NDArray[np.number], workspace: Workspace) -> SongFacts:
    """What rankers look up of the songs. plays: (N,), in what the sources learned from."""
    learned = WordSense.of(read_manifest(workspace.encoder("preference"))).learned
    vectors = read_vectors(workspace.vectors("preference"), "item", dataset) if learned else None
    return SongFacts.of(dataset, plays, vectors)


def read_fits(folder: Path) -> tuple[Manifest, Choices, dict[str, State]]:
    """What was published in a folder of models: its manifest, what was chosen, and the fits by `fit_key`."""
    manifest = verify(folder)
    return manifest, read_choices(folder), {path.stem: _read_state(path) for path in sorted(folder.glob("*.npz"))}


def read_choices(folder: Path) -> Choices:
    """The choices stored beside the fits."""
    return Choices.model_validate_json((folder / CHOICES).read_text("utf-8"))


def _restored(name: str, settings: Mapping[str, Any], states: Mapping[str, State], dataset: Dataset) -> CandidateSource:
    try:
        return make_source(name, settings).restore(dataset, states[fit_key(name, settings)])
    except KeyError as error:
        reason = f"the {name} model was fitted by another version of this program ({error} is not in it)"
        command = "recsys.build_index" if name in BUILT else "eval.run --models all"
        raise UserError(reason, f"Run python -m {command} again: it fits what is out of date.") from error


def make_source(name: str, settings: Mapping[str, Any], likeness: Likeness | None = None) -> CandidateSource:
    """A source of the registry with settings. Raises UserError for a name that is not there.

    likeness: where songs lie, for the sources that fit themselves to that.
    """
    if name in OVER_VECTORS:
        over_vectors = OVER_VECTORS[name]
        return over_vectors(over_vectors.Settings(**settings), likeness)
    if name not in SOURCES:
        raise UserError(f'no model "{name}"', f"There are {', '.join(EVERY_NAME)}.")
    kind = SOURCES[name]
    return kind(kind.Settings(**settings))


def htcl_sources(workspace: Workspace, dataset: Dataset, index: VectorIndex | None = None) -> dict[str, Htcl]:
    """HTCL neighbours in the space of each stage. index: the published one, over stage 2; None makes one."""
    return {name: make() for name, make in _htcl_makers(workspace, dataset, index).items()}


def _htcl_makers(workspace: Workspace, dataset: Dataset, index: VectorIndex | None) -> Mapping[str, Callable[[], Htcl]]:
    """The same, made once when they are first called for, from what is read now: an exact index loads torch."""
    makers = {}
    for name, stage in HTCL_NAMES.items():
        vectors = read_vectors(workspace.vectors(stage), "item", dataset)
        published, text = index if stage == "preference" else None, read_text_encoder(workspace, stage)
        makers[name] = cache(partial(_htcl, name, vectors, published, text, dataset))
    return makers


def _htcl(name: str, vectors: Vectors, index: VectorIndex | None, text: TextEncoder, dataset: Dataset) -> Htcl:
    return Htcl(name, vectors, quick_index(vectors) if index is None else index, text).fit(dataset)


def _with_settings(make: Callable[[], Htcl], settings: Mapping[str, Any]) -> Htcl:
    return make().with_settings(settings)


def likeness_of(workspace: Workspace, dataset: Dataset) -> Likeness | None:
    """Where the workspace's songs lie in the space of stage 2; None where nothing told the encoder."""
    if not WordSense.of(read_manifest(workspace.encoder("preference"))).learned:
        return None
    return Likeness(read_vectors(workspace.vectors("preference"), "item", dataset))


def quick_index(vectors: Vectors) -> VectorIndex:
    """Where nothing is published yet: exact as long as that is quick, like what is published (`recsys.index.choosing`).

    Of a million songs, exact search for the neighbours of a history takes a third of a second.
    """
    if len(vectors.tracks) <= EXACT_UP_TO:
        return exact_index(vectors)
    index = BACKENDS["faiss-ivf"](vectors.dimension)
    index.add(vectors.tracks, vectors.values)
    return index


def exact_index(vectors: Vectors) -> VectorIndex:
    """All vectors in a fresh exact index."""
    index = BACKENDS["exact"](vectors.dimension)
    if len(vectors.tracks):
        index.add(vectors.tracks, vectors.values)
    return index


def _read_state(path: Path) -> State:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
