"""What is tried: the same number of trials for every source, each of them one that the source understands."""

import json

import pytest

from recsys.candidates import SOURCES, HtclSettings
from recsys.models import HTCL_NAMES, Choices, _forget_others, fit_key
from recsys.search_space import AT_ASKING, SPACE, TRIALS

SETTINGS = {name: settings for name, (_, settings) in SOURCES.items()} | dict.fromkeys(HTCL_NAMES, HtclSettings)


def test_every_source_is_tuned():
    assert set(SPACE) == {*SOURCES, *HTCL_NAMES}


@pytest.mark.parametrize("name", SPACE)
def test_all_have_the_same_number_of_different_trials(name):
    different = {json.dumps(trial, sort_keys=True) for trial in SPACE[name]}
    assert len(different) == len(SPACE[name]) == (1 if name == "random" else TRIALS)


@pytest.mark.parametrize("name", SPACE)
def test_every_trial_names_settings_that_there_are(name):
    for trial in SPACE[name]:
        made = SETTINGS[name](**trial)
        assert {key: getattr(made, key) for key in trial} == trial


def test_trials_that_differ_only_at_asking_share_a_fit():
    for name in SOURCES:
        keys = [fit_key(name, trial) for trial in SPACE[name]]
        fits = {json.dumps({k: v for k, v in trial.items() if k not in AT_ASKING}) for trial in SPACE[name]}
        assert len(set(keys)) == len(fits)


def test_tuning_keeps_only_the_fits_that_a_task_chose():
    chosen, other = SPACE["ease"][0], SPACE["ease"][-1]
    kept, dropped, foreign = fit_key("ease", chosen), fit_key("ease", other), fit_key("item-knn", {})
    assert kept != dropped
    fitted = {kept: {}, dropped: {}, foreign: {}}
    _forget_others(fitted, "ease", Choices(settings={"playlist": {"ease": chosen}, "discovery": {"ease": chosen}}))
    assert set(fitted) == {kept, foreign}
