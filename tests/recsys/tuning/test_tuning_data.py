"""What a source's settings are chosen on, and what its fits are made of."""

import numpy as np
import pytest

from recsys.fitted import tuning_data
from recsys.fitted.tuning_data import TuningData
from recsys.settings import ProductSettings, TuningSettings
from recsys.tuning.budget import Share
from recsys.tuning.choices import fit_key
from recsys.tuning.sample import sampled
from recsys.tuning.search_space import SPACE
from recsys.tuning.source_settings import validation_questions

TRIALS = 3


@pytest.fixture
def ground(fixed_world):
    _, dataset, split = fixed_world
    product = ProductSettings(tuning=TuningSettings(trials=TRIALS))
    return TuningData(dataset, split.training(dataset), {}, None, product)


@pytest.fixture(scope="module")
def asked(fixed_world):
    _, dataset, split = fixed_world
    return validation_questions(dataset, split, 20)


def few_listeners(training):
    return sampled(training, listeners=8)


def test_a_small_dataset_is_tried_whole_and_nothing_is_too_dear(ground):
    assert ground.tried_on is ground.training
    assert ground.too_dear("item-knn", Share(0, 0)) is None


def test_settings_chosen_on_a_sample_are_fitted_on_all(ground, asked, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    chosen = ground.choose("item-knn", asked, lambda: None, Share.endless())
    assert chosen.trials == TRIALS
    assert set(chosen.fits) == {fit_key("item-knn", settings) for settings in chosen.settings.values()}
    for settings in chosen.settings.values():
        whole, part = ({}, {})
        ground.source("item-knn", settings, whole)
        ground.source("item-knn", settings, part, few_listeners(ground.training))
        key = fit_key("item-knn", settings)
        assert same(chosen.fits[key], whole[key])
        assert not same(chosen.fits[key], part[key])
    for task, question in asked.items():
        answer = ground.source("item-knn", chosen.settings[task], {}).candidates(question.queries, 500)
        np.testing.assert_array_equal(chosen.ranked[task].tracks, answer.tracks)


def test_where_the_share_is_over_the_defaults_stand(ground, asked):
    advanced: list[int] = []
    chosen = ground.choose("item-knn", asked, lambda: advanced.append(1), Share(0, 0))
    assert chosen.trials == 1
    assert len(advanced) == TRIALS, "what is not tried is not waited for"
    defaults = tuning_data.make_source("item-knn", {}).settings.model_dump()
    assert all(settings[name] == defaults[name] for settings in chosen.settings.values() for name in SPACE["item-knn"])


def test_what_takes_longer_than_an_equal_share_is_too_dear(ground, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    ticks = iter(range(0, 1000, 10))
    why = ground.too_dear("item-knn", Share(5, 5, lambda: float(next(ticks))))
    assert why is not None
    assert "more than its 5 s" in why
    share = Share(1e6, 1e6)
    assert ground.too_dear("item-knn", share) is None
    assert 0 < share.seconds < 1e6, "the time of fits on all is kept from the trials"


def same(one, other) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)
