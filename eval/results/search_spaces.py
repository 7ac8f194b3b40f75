"""What is tried for each model on validation, in the terminal: so that anyone can see that all are tuned alike."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from data.console.results import results_console
from recsys.candidates import SETTINGS
from recsys.candidates.declaration import Range
from recsys.settings import TuningSettings
from recsys.tuning.search_space import QUERY_SETTINGS, SPACE


def show_search_spaces() -> None:
    """Print, for each source, its settings, what they may be and their defaults. stdout."""
    table = Table(title="What is tried on validation", box=SIMPLE_HEAD, title_justify="left")
    trials = TuningSettings().trials
    table.caption = f"{trials} trials for each model with settings, its defaults first. log: on a logarithmic scale."
    table.caption_justify = "left"
    for heading in ("Model", "Setting", "Tried", "Default", "Matters"):
        table.add_column(heading, overflow="fold")
    for name, space in SPACE.items():
        defaults = SETTINGS[name]().model_dump()
        for row, (setting, choice) in enumerate(space.items()):
            moment = "at query" if setting in QUERY_SETTINGS else "at fit"
            cells = (setting, _choice_in_words(choice), _value_in_words(defaults[setting]), moment)
            table.add_row("" if row else name, *cells)
        if not space:
            table.add_row(name, "-", "-", "-", "-")
    results_console().print(table)


def _choice_in_words(choice: Range | tuple[Any, ...]) -> str:
    if isinstance(choice, Range):
        return f"{choice.low:g} to {choice.high:g}{', log' if choice.log else ''}"
    return ", ".join(map(_value_in_words, choice))


def _value_in_words(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
