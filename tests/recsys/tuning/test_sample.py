"""The sample that settings are tried on."""

import numpy as np
import polars as pl
import pytest

from recsys.tuning.sample import sampled


@pytest.fixture(scope="module")
def training(fixed_world):
    _, dataset, split = fixed_world
    return split.training(dataset)


def test_a_small_dataset_is_its_own_sample(training):
    assert sampled(training) is training
    owners = training.listens["user"].n_unique(), training.playlist_tracks["playlist"].n_unique()
    assert sampled(training, plays=10**9, listeners=max(owners)) is training


def test_listeners_and_playlists_come_whole(training):
    few = sampled(training, listeners=5)
    for of, owner in (("listens", "user"), ("playlist_tracks", "playlist")):
        part, every = getattr(few, of), getattr(training, of)
        assert part[owner].n_unique() == 5
        assert part.equals(every.filter(pl.col(owner).is_in(part[owner].unique().to_list())))
    assert few.tracks is training.tracks


def test_the_number_of_plays_is_passed_by_one_listener_at_most(training):
    few = sampled(training, plays=100)
    most = training.listens["user"].value_counts()["count"].max()
    assert 100 <= few.listens.height <= 100 + most


def test_same_seed_same_listeners(training):
    first, again, other = (sampled(training, listeners=10, seed=seed) for seed in (1, 1, 2))
    assert first.listens.equals(again.listens)
    assert not np.array_equal(first.listens["user"].unique(), other.listens["user"].unique())
