"""A ranker answers where it is really better than the weighted sum, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.ranked import Ranked
from recsys.settings import RankerSettings
from recsys.tasks.targets import Targets
from recsys.tuning.ranker_learning import Lesson, learn_ranker

SONGS, EACH = 60, 20
SETTINGS = RankerSettings(trees=40, others=1.0)


def lesson(seed: int, telling: float, queries: int = 400, new: float = 0.0) -> Lesson:
    """Queries with EACH candidates in a random order, one of them right. telling: how far the first feature is higher
    for the right one; the second is noise. new: share of the songs without plays."""
    random = np.random.default_rng(seed)
    tracks = np.concatenate([random.permutation(SONGS)[:EACH] for _ in range(queries)]).astype(np.int32)
    offsets = np.arange(queries + 1, dtype=np.int64) * EACH
    fused = Ranked(offsets, tracks, np.tile(np.linspace(1, 0, EACH), queries).astype(np.float32))
    right = np.zeros(len(tracks), np.bool_)
    right[offsets[:-1] + random.integers(0, EACH, queries)] = True
    features = random.standard_normal((len(tracks), 2)).astype(np.float32)
    features[:, 0] += telling * right
    targets = Targets.from_rows([[track] for track in tracks[right]])
    groups = random.integers(0, 80, queries)
    return Lesson("next-song", fused, fused, features, right, targets, groups, np.arange(SONGS) < new * SONGS)


def test_it_answers_where_features_tell() -> None:
    forest, (choice,) = learn_ranker([lesson(1, telling=2.0)], [], ["one", "two"], SETTINGS)
    assert forest is not None
    assert choice.answers
    assert choice.ranker > choice.weighted_sum + 0.1
    assert choice.deviations > 5


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_preferred(seed: int) -> None:
    forest, (choice,) = learn_ranker([lesson(10 + seed, telling=0.0)], [], ["one", "two"], SETTINGS)
    assert not choice.answers
    assert forest is None


def test_each_lesson_is_judged_for_itself() -> None:
    both = [lesson(1, telling=2.0), lesson(2, telling=0.0)]
    forest, (told, noise) = learn_ranker(both, [], ["one", "two"], SETTINGS)
    assert forest is not None
    assert told.answers
    assert not noise.answers


def test_too_few_queries_teach_nothing() -> None:
    assert learn_ranker([lesson(1, telling=2.0, queries=60)], [], ["one", "two"], SETTINGS) == (None, [])


def new_first(asked: Lesson) -> Lesson:
    """The same lesson over a weighted sum that puts songs without plays ahead of all others."""
    order = np.lexsort((~asked.of_new, asked.queries))
    fused = Ranked(asked.fused.offsets, asked.fused.tracks[order], asked.fused.scores)
    return replace(asked, fused=fused, head=fused, features=asked.features[order], right=asked.right[order])


def offsets(asked: Lesson) -> list[float]:
    """What new songs get on top, where nothing may be paid for them and where half of everything may."""
    allowed = (SETTINGS.model_copy(update={"new_songs_cost": cost}) for cost in (0.0, 2.0))
    return [learn_ranker([asked], [], ["one", "two"], settings)[1][0].new_songs for settings in allowed]


def test_new_songs_are_brought_forward_to_where_the_weighted_sum_has_them() -> None:
    """As far as it may cost that much."""
    free, dear = offsets(new_first(lesson(3, telling=0.7, new=0.3)))
    assert dear > free


def test_new_songs_that_are_found_better_anyway_are_not_brought_forward() -> None:
    free, dear = offsets(lesson(3, telling=2.0, new=0.3))
    assert dear == free
