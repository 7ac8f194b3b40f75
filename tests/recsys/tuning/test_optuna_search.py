"""Trials on validation: what is tried, how often, and what each task keeps."""

from typing import Any

import numpy as np
import pytest

from recsys.candidates import SETTINGS, SOURCES
from recsys.candidates.declaration import Range, query_settings
from recsys.queries import Query
from recsys.ranked import Ranked
from recsys.tasks import HeldOut
from recsys.tasks.targets import Targets
from recsys.tuning.choices import Choices, fit_key
from recsys.tuning.optuna_search import run_trials
from recsys.tuning.search_space import QUERY_SETTINGS, SPACE
from recsys.tuning.source_settings import choose_settings


def tried(space: Any, count: int, **first: Any) -> list[dict[str, Any]]:
    """Settings, where smaller x is better for one task and larger x for another."""
    found: list[dict[str, Any]] = []

    def evaluate(settings: dict[str, Any]) -> list[float]:
        found.append(settings)
        return [-settings["x"], settings["x"]]

    assert run_trials(space, evaluate, 2, count, first) == count == len(found)
    return found


class TestRunTrials:
    def test_starts_with_the_defaults_and_stays_inside_the_space(self):
        space = {"x": Range(2, 50, log=True), "kind": ("a", None), "rate": Range(1e-3, 1.0, log=True)}
        found = tried(space, 20, x=7, kind="a", rate=0.5, elsewhere=1)
        assert found[0] == {"x": 7, "kind": "a", "rate": 0.5}
        assert all(type(settings["x"]) is int and 2 <= settings["x"] <= 50 for settings in found)
        assert all(1e-3 <= settings["rate"] <= 1 for settings in found)
        assert {settings["kind"] for settings in found} == {"a", None}

    def test_defaults_outside_the_space_are_drawn(self):
        assert 2 <= tried({"x": Range(2, 5)}, 3, x=99)[0]["x"] <= 5

    def test_looks_for_what_is_best_for_any_task(self):
        values = [settings["x"] for settings in tried({"x": Range(0.0, 1.0)}, 40, x=0.5)]
        assert min(values) < 0.05
        assert max(values) > 0.95

    def test_same_seed_same_settings(self):
        space = {"x": Range(0.0, 1.0), "kind": (1.0, None)}
        assert tried(space, 12, x=0.1) == tried(space, 12, x=0.1)

    @pytest.mark.parametrize(("space", "tasks"), [({}, 2), ({"x": Range(0.0, 1.0)}, 0)])
    def test_nothing_to_choose_or_to_measure_takes_one_trial(self, space, tasks):
        found: list[dict[str, Any]] = []
        first = {"x": 0.5, "other": 1}
        assert run_trials(space, lambda settings: (found.append(settings), [0.0] * tasks)[1], tasks, 9, first) == 1
        assert found == [{"x": 0.5} if space else {}]


class TestSpace:
    @pytest.mark.parametrize("name", SPACE)
    def test_every_setting_is_one_of_the_source_and_the_default_lies_inside(self, name):
        kind = SETTINGS[name]
        defaults = kind().model_dump()
        for setting, choice in SPACE[name].items():
            value = defaults[setting]
            assert choice.low <= value <= choice.high if isinstance(choice, Range) else value in choice
            for end in (choice.low, choice.high) if isinstance(choice, Range) else choice:
                kind(**{setting: end})

    def test_every_source_has_one(self):
        assert set(SPACE) == {*SOURCES, "htcl-stage1", "htcl-stage2", "htcl-imputed"}

    def test_a_class_s_own_settings_are_drawn_before_those_it_shares(self):
        assert list(SPACE["ease"]) == ["regularization", "half_life", "again", "again_half_life", "rest"]
        assert list(SPACE["htcl-stage2"]) == ["temperature", "half_life", "again", "again_half_life", "rest"]

    def test_a_setting_matters_at_the_query_for_every_source_that_has_it_or_for_none(self):
        for settings in SETTINGS.values():
            assert query_settings(settings) == QUERY_SETTINGS & set(settings.model_fields)


class Knob:
    """Answers song `at`, whatever is asked."""

    def __init__(self, at: int) -> None:
        self.at = at

    def candidates(self, queries, k):
        return Ranked.from_rows([(np.array([self.at], np.int32), np.ones(1, np.float32))] * len(queries))


def test_each_task_keeps_its_own_best_and_only_fits_that_are_needed_stay(monkeypatch):
    monkeypatch.setitem(SPACE, "knob", {"at": Range(0, 9), "half_life": (1.0, 2.0)})

    def question(task, wanted):
        targets = Targets.from_rows([[wanted]] if wanted is not None else [])
        queries = [Query()] * len(targets)
        return HeldOut(task, queries, targets, np.zeros(len(queries), bool), np.arange(len(queries)), "")

    asked = {"next-song": question("next-song", 3), "playlist": question("playlist", 8)}
    asked["cold-start"] = question("cold-start", None)
    fitted: list[str] = []

    def source_of(settings, fits):
        key = fit_key("knob", settings)
        if key not in fits:
            fitted.append(key)
            fits[key] = {"at": np.array(settings["at"])}
        return Knob(settings["at"])

    chosen = choose_settings(
        "knob", {"at": 0, "half_life": 2.0}, asked, source_of, 10, lambda: None, trials=40, depth=500
    )
    assert (chosen.settings["next-song"]["at"], chosen.settings["playlist"]["at"]) == (3, 8)
    assert (chosen.reached["next-song"], chosen.reached["playlist"], chosen.trials) == (1.0, 1.0, 40)
    assert chosen.settings["cold-start"] == {"at": 0, "half_life": 2.0}
    assert set(chosen.fits) == {fit_key("knob", settings) for settings in chosen.settings.values()}
    choices = Choices()
    choices.add("knob", chosen)
    assert choices.settings["discovery"]["knob"] == {}
    assert "half_life" in QUERY_SETTINGS
    assert fit_key("knob", {"at": 3, "half_life": 1.0}) == fit_key("knob", {"at": 3, "half_life": 2.0})
