from .challenge_2018 import scenario
from .names import HISTORY, NEEDS_ORDER, ONLY_NEW, SCENARIOS, TASKS, UNTUNED, Scenario, Task, tuned_for
from .questions import held_out
from .task import HeldOut

__all__ = [
    "HISTORY",
    "NEEDS_ORDER",
    "ONLY_NEW",
    "SCENARIOS",
    "TASKS",
    "UNTUNED",
    "HeldOut",
    "Scenario",
    "Task",
    "held_out",
    "scenario",
    "tuned_for",
]
