"""Learns a ranker on validation queries, with sources that have not seen them, and says where it is the better answer.

Candidates are the first of the weighted sum, so a ranker can only be asked whether another order of these is better.
It is learned twice, each time on half of the listeners, to be judged on the other half, and then on all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.ranking.learned.features import SongFacts, features, names
from recsys.ranking.learned.forest import Forest
from recsys.ranking.learned.ranker import RankerChoice, first_of, reordered
from recsys.settings import RankerSettings
from recsys.tasks.accuracy import hits, ndcg
from recsys.tasks.fast_membership import contains, pair_keys
from recsys.tasks.targets import Targets

AT = 100
"""Of the NDCG that is compared."""
SEED = 20260101
OFFSETS = tuple(np.arange(-1.0, 2.01, 0.25).tolist())
"""What a song without plays may get on top, in log odds."""


@dataclass(frozen=True)
class Lesson:
    """Queries with their candidates, and which of these were right.

    groups: (Q,) who asks. features: (R, F) of the candidates in `head`. new: (N,) songs without plays.
    """

    task: str
    fused: Ranked
    head: Ranked
    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    targets: Targets
    groups: NDArray[np.int64]
    new: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        task: str,
        queries: Sequence[Query],
        targets: Targets,
        groups: NDArray[np.int64],
        fused: Ranked,
        rankings: Mapping[str, Ranked],
        songs: SongFacts,
        settings: RankerSettings,
    ) -> "Lesson":
        """fused: what the weighted sum answers. rankings: of the sources that the ranker shall read."""
        fused = first_of(fused, max(settings.first, AT))
        head, catalogue = first_of(fused, settings.first), len(songs.plays)
        rows = np.repeat(np.arange(len(head)), np.diff(head.offsets))
        wanted = np.sort(pair_keys(targets.queries(), targets.tracks, catalogue))
        right = contains(wanted, pair_keys(rows, head.tracks, catalogue))
        seen = features(queries, head, rankings, songs, list(rankings))
        return cls(task, fused, head, seen, right, targets, groups, songs.plays == 0)

    @property
    def queries(self) -> NDArray[np.int64]:
        """(R,) the query of each candidate."""
        return np.repeat(np.arange(len(self.head)), np.diff(self.head.offsets))

    @property
    def of_new(self) -> NDArray[np.bool_]:
        """(R,) candidates without plays."""
        return self.new[self.head.tracks]


def learn_ranker(
    judged: Sequence[Lesson], learned_only: Sequence[Lesson], sources: Sequence[str], settings: RankerSettings
) -> tuple[Forest | None, list[RankerChoice]]:
    """The forest, and for each lesson that it is judged on whether it shall answer; None where it shall for none.

    learned_only: lessons of other circumstances (songs kept from the sources, histories cut short). Who asks is the
    same listener or playlist in every lesson by its number in `groups`.
    """
    lessons = [*judged, *learned_only]
    right = sum(int(lesson.right.sum()) for lesson in judged)
    if right < settings.fewest or len(judged[0].head) < settings.fewest:
        return None, []
    scores = [np.zeros(len(lesson.right)) for lesson in judged]
    for half in (0, 1):
        forest = _forest([(lesson, lesson.groups[lesson.queries] % 2 != half) for lesson in lessons], settings)
        for lesson, found in zip(judged, scores, strict=True):
            asked = lesson.groups[lesson.queries] % 2 == half
            found[asked] = forest.scores(lesson.features[asked])
    offset = _offset(judged[0], scores[0], settings)
    task = judged[0].task
    choices = [_judged(lesson, found, task, sources, offset) for lesson, found in zip(judged, scores, strict=True)]
    if not any(choice.answers for choice in choices):
        return None, choices
    return _forest([(lesson, np.ones(len(lesson.right), np.bool_)) for lesson in lessons], settings), choices


def _forest(parts: Sequence[tuple[Lesson, NDArray[np.bool_]]], settings: RankerSettings) -> Forest:
    """Learned on some candidates of each lesson: all that were right, and of the others as many as `others` says."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(SEED)
    seen, right = [], []
    for lesson, allowed in parts:
        taken = allowed & (lesson.right | (random.random(len(lesson.right)) < settings.others))
        seen.append(lesson.features[taken])
        right.append(lesson.right[taken])
    features, labels = np.concatenate(seen), np.concatenate(right)
    varied = np.array([len(np.unique(column[~np.isnan(column)])) > 1 for column in features.T])
    features[:, ~varied] = 0.0  # scikit-learn refuses a column of NaN and a single value
    model = HistGradientBoostingClassifier(
        max_iter=settings.trees,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=50,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=SEED,
    )
    model.fit(features, labels, sample_weight=np.where(labels, 1.0, 1 / settings.others))
    return Forest.of(model)


def _offset(lesson: Lesson, scores: NDArray[np.float64], settings: RankerSettings) -> float:
    """What songs without plays get on top: what is best for all songs where new ones are found as well as by the
    weighted sum, as long as that costs no more of NDCG@100 on all songs than is allowed; else the most that does not.
    """
    wanted = lesson.new[lesson.targets.tracks].mean()
    if lesson.of_new.all() or not lesson.of_new.any() or not wanted:
        return 0.0
    answers = {
        offset: reordered(lesson.fused, lesson.head, scores + offset * lesson.of_new) for offset in (0.0, *OFFSETS)
    }
    reached = {offset: float(_ndcg(answer, lesson.targets, lesson.new).mean()) for offset, answer in answers.items()}
    least = max(reached.values()) * (1 - settings.new_songs_cost * wanted)
    cheap = [offset for offset in answers if reached[offset] >= least]
    summed = _of_new(lesson, lesson.fused)
    enough = [offset for offset in cheap if _of_new(lesson, answers[offset]) >= summed]
    return float(max(enough, key=lambda offset: reached[offset]) if enough else max(cheap))


def _judged(
    lesson: Lesson, scores: NDArray[np.float64], task: str, sources: Sequence[str], offset: float
) -> RankerChoice:
    """Compares the ranker with the weighted sum, listener by listener."""
    before, after = _ndcg(lesson.fused, lesson.targets, lesson.new), _values(lesson, scores + offset * lesson.of_new)
    gains = np.bincount(np.unique(lesson.groups, return_inverse=True)[1], after - before)
    error = float(gains.std(ddof=1) * np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    deviations = float(gains.sum()) / error if error > 0 else 0.0
    return RankerChoice(
        learned_for=task,
        sources=list(sources),
        new_songs=offset,
        answers=deviations >= ENOUGH,
        queries=len(before),
        weighted_sum=float(before.mean()),
        ranker=float(after.mean()),
        deviations=deviations,
        columns=names([]),
    )


ENOUGH = 1.645
"""Standard errors by which the ranker must be ahead: one-sided, 5 %."""


def _values(lesson: Lesson, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return _ndcg(reordered(lesson.fused, lesson.head, scores), lesson.targets, lesson.new)


def _of_new(lesson: Lesson, ranked: Ranked) -> float:
    """NDCG@100 on songs without plays, of the queries that want any."""
    asked = lesson.targets.restrict(lesson.new).nonempty()
    wanted = lesson.targets.restrict(lesson.new).select(asked)
    rows = Ranked.from_rows([row for row, kept in zip(ranked, asked, strict=True) if kept])
    return float(_ndcg(rows, wanted, lesson.new).mean())


def _ndcg(ranked: Ranked, targets: Targets, new: NDArray[np.bool_]) -> NDArray[np.float64]:
    return ndcg(hits(ranked, targets, AT, len(new)), targets.counts(), AT)
