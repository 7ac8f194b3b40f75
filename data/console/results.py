"""Where results go: stdout, as wide as the terminal, and 110 columns wide in a file or a pipe."""

from rich.console import Console

COLUMNS = 110


def results_console(soft_wrap: bool = False) -> Console:
    """A console on stdout. soft_wrap: lines of prose stay whole, for the reader's terminal to wrap."""
    terminal = Console().is_terminal
    return Console(width=None if terminal else COLUMNS, highlight=False, soft_wrap=soft_wrap)
