"""What a source's settings are chosen on, and what its fits are made of."""

import numpy as np
import pytest

from recsys.fitted import tuning_data
from recsys.fitted.tuning_data import TuningData
from recsys.settings import ProductSettings, TuningSettings
from recsys.tasks import TASKS
from recsys.tuning.budget import Share
from recsys.tuning.choices import Chosen, fit_key
from recsys.tuning.sample import sampled
from recsys.tuning.search_space import SPACE
from recsys.tuning.source_settings import sharing_one_fit, validation_questions

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


def test_a_small_dataset_is_tried_whole_and_nothing_is_too_dear(ground, asked):
    assert ground.tried_on is ground.training
    assert ground.too_dear("item-knn", asked, Share(0, 0)) is None


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


class Clock:
    """Seconds that pass with every look."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def test_what_takes_longer_than_an_equal_share_is_too_dear(ground, asked, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    why = ground.too_dear("item-knn", asked, Share(5, 5, Clock(10)))
    assert why is not None
    assert "more than the 10 s" in why
    share = Share(1e6, 1e6)
    assert ground.too_dear("item-knn", asked, share) is None
    assert share.fits == len(TASKS)
    assert 0 < share.seconds < 1e6, "the time of fits on all is kept from the trials"


def test_what_takes_seconds_and_what_the_product_needs_is_never_left_out(ground, asked, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    assert ground.too_dear("item-knn", asked, Share(0, 0, Clock(0.01))) is None
    for name in ("random", "popularity"):
        assert ground.too_dear(name, asked, Share(0, 0, Clock(1000))) is None


def test_in_a_large_catalogue_answers_may_be_too_dear_however_few_the_plays(ground, asked, monkeypatch):
    assert ground.too_dear("item-knn", asked, Share(5, 5, Clock(10))) is None
    monkeypatch.setattr(tuning_data, "EXACT_UP_TO", 10)
    assert ground.too_dear("item-knn", asked, Share(5, 5, Clock(10))) is not None
    share = Share(1e6, 1e6, Clock(10))
    assert ground.too_dear("item-knn", asked, share) is None
    assert (share.seconds, share.fits) == (1e6, None), "what is tried on all is not fitted again"


def test_with_less_time_all_tasks_share_a_fit_and_with_still_less_it_is_that_of_the_defaults(
    ground, asked, monkeypatch
):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    fit, fixed, ask = ground._seconds("item-knn", asked, Clock(10))
    assert fixed == 0, "nothing is searched among vectors"
    whole, part = (len(data.listens) + len(data.playlist_tracks) for data in (ground.training, ground.tried_on))
    whole = fit * whole / part
    for seconds, fits in (
        (len(TASKS) * whole + ask + 3.5 * (fit + ask), len(TASKS)),
        (whole + ask + 3.5 * (fit + ask), 1),
        (whole + ask + 0.5 * (fit + ask), 0),
    ):
        share = Share(seconds, seconds, Clock(10))
        assert ground.too_dear("item-knn", asked, share) is None
        assert share.fits == fits


def test_one_fit_serves_all_tasks(ground, asked, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    share = Share(1e6, 1e6, fits=1)
    chosen = ground.choose("item-knn", asked, lambda: None, share)
    assert chosen.trials == TRIALS
    assert len(chosen.fits) == 1
    assert set(chosen.settings) == set(asked)
    whole: dict[str, dict[str, np.ndarray]] = {}
    ground.source("item-knn", chosen.settings["next-song"], whole)
    (key,) = whole
    assert same(chosen.fits[key], whole[key]), "of all listening"


def test_the_defaults_alone_are_fitted_on_all_at_once(ground, asked, monkeypatch):
    monkeypatch.setattr(tuning_data, "sampled", few_listeners)
    chosen = ground.choose("item-knn", asked, lambda: None, Share(1e6, 1e6, fits=0))
    assert chosen.trials == 1
    whole: dict[str, dict[str, np.ndarray]] = {}
    ground.source("item-knn", chosen.settings["next-song"], whole)
    ((key, state),) = whole.items()
    assert same(chosen.fits[key], state)
    assert chosen.a_query > 0


def test_the_fit_that_keeps_most_of_every_tasks_best_is_shared():
    chosen = Chosen(reached={"next-song": 0.4, "playlist": 0.9})
    chosen.tried = [
        ({"neighbours": 5, "half_life": 1.0}, {"next-song": 0.4, "playlist": 0.3}),
        ({"neighbours": 9, "half_life": 1.0}, {"next-song": 0.3, "playlist": 0.9}),
        ({"neighbours": 9, "half_life": 5.0}, {"next-song": 0.35, "playlist": 0.1}),
    ]
    assert sharing_one_fit("item-knn", chosen) == {
        "next-song": {"neighbours": 9, "half_life": 5.0},
        "playlist": {"neighbours": 9, "half_life": 1.0},
    }


def same(one, other) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)
