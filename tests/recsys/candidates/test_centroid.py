"""Centroid: against plain loops over plays, with and without their times."""

import numpy as np
import pytest

from data.dataset import Dataset
from recsys.candidates.content.centroid import Centroid
from recsys.candidates.content.likeness import Likeness
from recsys.queries import Query
from tests.recsys.candidates.source_toys import MUTE, block_of, block_vectors, songs


def source(training: Dataset, **settings: object) -> Centroid:
    return Centroid(Centroid.Settings(**settings), Likeness(block_vectors(training))).fit(training)


@pytest.mark.parametrize(("half_life", "most"), [(30.0, 20), (7.0, 3), (None, 1)])
def test_scores_are_cosines_to_the_weighted_mean_of_the_songs_played_most(training, half_life, most):
    rng = np.random.default_rng(4)
    vectors = block_vectors(training)
    of = {int(track): vectors.values[row].astype(float) for row, track in enumerate(vectors.tracks)}
    asked = source(training, songs=most, recency_days=half_life)
    for _ in range(10):
        history = rng.integers(60, size=25).astype(np.int32)
        ages = np.sort(rng.uniform(0, 200, 25))[::-1].astype(np.float32)
        evidence = rng.choice([2, 1, 0, -0.5], 25).astype(np.float32)
        plays: dict[int, float] = {}
        for track, age, value in zip(history.tolist(), ages, evidence, strict=True):
            plays[track] = plays.get(track, 0.0) + value * (1 if half_life is None else 0.5 ** (age / half_life))
        best = sorted((t for t in plays if plays[t] > 0 and t in of), key=lambda t: (-plays[t], t))[:most]
        mean = np.sum([plays[track] * of[track] for track in best], axis=0)
        mean /= np.linalg.norm(mean)
        query = Query(history=history, evidence=evidence, ages_days=ages)
        found = asked.candidates([query], 60)[0]
        assert len(found[0]) == len(of)
        for track, score in zip(*found, strict=True):
            assert score == pytest.approx(mean @ of[track], abs=1e-4)


def test_old_plays_alone_are_as_good_as_new_ones(training):
    given = songs(training, "swing-00", "metal-00", "metal-01")
    ages = np.array([1e4, 1e4, 1e4 - 1], np.float32)
    query = Query(history=given, ages_days=ages, exclude=given)
    assert set(block_of(training, source(training, recency_days=1.0).candidates([query], 5)[0][0])) == {"metal"}


def test_without_vectors_there_is_no_answer(training):
    given = songs(training, "swing-00")
    assert len(Centroid().fit(training).candidates([Query(history=given)], 5)[0][0]) == 0
    alone = Query(history=songs(training, MUTE))
    assert len(source(training).candidates([alone], 5)[0][0]) == 0
    disliked = Query(history=given, evidence=np.array([-1], np.float32))
    assert len(source(training).candidates([disliked], 5)[0][0]) == 0
