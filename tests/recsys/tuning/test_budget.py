"""Time for trials is shared fairly, and changes nothing where it suffices."""

from recsys.settings import TuningSettings
from recsys.tuning.budget import Budget, Pace, Share, other_time, trials_in_words
from recsys.tuning.choices import Choices
from recsys.tuning.optuna_search import run_trials
from recsys.tuning.search_space import SPACE


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestShares:
    def test_what_one_leaves_goes_to_all_that_follow(self):
        clock = Clock()
        budget = Budget(60, 3, clock)
        first = budget.share()
        assert (first.seconds, first.most) == (20, 20)
        clock.now += 6
        assert budget.share().seconds == 27
        clock.now += 27
        assert budget.share().seconds == 27

    def test_who_takes_more_than_all_leaves_nothing(self):
        clock = Clock()
        budget = Budget(60, 2, clock)
        share = budget.share()
        clock.now += 29
        assert not share.over()
        clock.now += 50
        assert share.over()
        assert budget.share().over()

    def test_what_is_left_of_more_than_the_trials(self):
        clock = Clock()
        budget = Budget(60, 2, clock)
        clock.now += 70
        assert (budget.left(100), budget.left(60)) == (30, 0)

    def test_without_a_bound(self):
        assert not Share.endless().over()


def test_where_many_wait_the_defaults_of_one_may_take_more_than_its_share():
    share = Budget(100, 10, Clock()).share()
    assert (share.seconds, share.most) == (10, 25)


class TestPace:
    def test_as_many_as_are_wanted_where_there_is_time(self):
        pace = Pace(100, 2, 0.01, Clock())
        assert [pace.queries(2000), pace.queries(2000)] == [2000, 2000]

    def test_together_the_steps_end_in_time_however_wrong_the_first_guess_was(self):
        clock = Clock()
        pace, asked = Pace(100, 4, 0.01, clock), []
        for rounds in (1, 1, 2):
            asked.append(pace.queries(2000, rounds))
            clock.now += 0.05 * asked[-1] * rounds
        assert asked[0] == 2000, "the guess of a hundredth of a second had room for 2,500"
        assert asked[1:] == [0, 0], "they took all the time there was"

    def test_what_a_step_took_is_what_the_next_one_is_given_time_for(self):
        clock = Clock()
        pace, asked = Pace(100, 4, 0.04, clock), []
        for rounds in (1, 1, 2):
            asked.append(pace.queries(2000, rounds))
            clock.now += 0.02 * asked[-1] * rounds
        assert asked == [625, 1458, 1458]
        assert clock.now <= 100.0 + 100

    def test_no_time_is_no_query(self):
        assert Pace(0, 1, 0.1, Clock()).queries(100) == 0


def settings_tried(over_after: int) -> list[dict[str, float]]:
    tried: list[dict[str, float]] = []

    def evaluate(settings):
        tried.append(settings)
        return [-settings["bpr"]]

    ran = run_trials({"bpr": SPACE["bpr"]["regularization"]}, evaluate, 1, 8, {}, over=lambda: len(tried) >= over_after)
    assert ran == len(tried)
    return tried


def test_the_defaults_are_always_tried_and_fewer_trials_are_the_first_of_more():
    every = settings_tried(99)
    assert len(every) == 8
    assert settings_tried(0) == every[:1]
    assert settings_tried(3) == every[:3]


def test_who_ended_early_is_named():
    choices = Choices(trials={"random": 1, "bpr": 3, "ease": 16})
    assert trials_in_words(choices) == ("3 sources, 20 trials; the 20 minutes of [tuning] ended early those of bpr 3")
    choices.trials["bpr"] = 16
    assert trials_in_words(choices) == "3 sources, 33 trials"


def test_the_default_time_keeps_what_was_chosen():
    assert other_time(TuningSettings()) == []
    assert other_time(TuningSettings(minutes=5)) == [5]
