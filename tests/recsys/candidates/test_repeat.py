"""Repeat by base-level activation: against plain sums over the dataset's plays."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from recsys.queries import EVIDENCE, Query
from recsys.tasks import held_out
from tests.recsys.candidates.source_toys import make, songs


def hours(moment: datetime, row: datetime) -> float:
    return max((moment - row).total_seconds() / 3600, 1.0)


@pytest.mark.parametrize("decay", [0.2, 0.5, 1.2])
def test_base_level_activation_sums_powers_of_the_ages_of_all_plays_known(fixed_world, decay):
    _, dataset, split = fixed_world
    source = make("repeat", dataset, decay=decay).fit(split.training(dataset))
    question = held_out(dataset, split, "next-song", "test", max_queries=20)
    for query, (tracks, scores) in zip(question.queries, source.candidates(question.queries, 60), strict=True):
        moment = datetime.fromtimestamp(query.asked_at, UTC)
        before = dataset.listens.with_columns(EVIDENCE.alias("value")).filter(
            pl.col("user") == query.user, pl.col("listened_at") < moment
        )
        wanted = np.zeros(len(dataset.track_ids))
        for track, played, value in before.select("track", "listened_at", "value").iter_rows():
            wanted[track] += value * hours(moment, played) ** -decay
        assert len(tracks) == (wanted > 0).sum()
        np.testing.assert_allclose(scores, wanted[tracks], rtol=1e-3)


def test_without_times_ages_are_counted_in_plays(training):
    source = make("repeat", training, decay=1.0).fit(training)
    given = songs(training, "swing-00", "swing-01", "swing-00", "swing-02")
    tracks, scores = source.candidates([Query(history=given)], 5)[0]
    assert training.track_ids.to_names(tracks) == ["swing-02", "swing-00", "swing-01"]
    np.testing.assert_allclose(scores, [1, 1 / 4 + 1 / 2, 1 / 3], rtol=1e-6)
