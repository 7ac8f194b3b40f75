"""`htcl`: every command under one name, in whichever folder it is called.

A script's search path begins with its own folder and not with the caller's, so a `data.py` or an `eval/` of the
caller's hides nothing of ours. Each command's module is imported when it is called; `htcl --help` imports none.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from data.console.command import run

COMMANDS = {
    "prepare": ("data.prepare", "Read a music folder, your own tables, or a public data set."),
    "build": ("recsys.build_index", "Train, embed, tune and publish the index: whatever is missing."),
    "events": ("data.events.__main__", "Listens, likes, blocks, takedowns, new songs: answers reflect them at once."),
    "recommend": ("recsys.recommend", "Songs for a listener, a playlist, a song or a few words."),
    "evaluate": ("eval.run", "Measure the recommender and its baselines on held-out listening."),
    "report": ("eval.report.__main__", "One HTML page of an evaluation."),
    "bench": ("eval.bench.__main__", "Speed and memory against floors of this machine."),
    "ablation": ("eval.ablation", "What each part of the encoder, or each source of the answer, contributes."),
    "train": ("encoders.train", "Train one stage of the encoder."),
    "embed": ("encoders.embed", "Vectors of every song."),
    "convert": ("encoders.convert", "Original HTCL checkpoints into a model folder, and back."),
}
"Name -> the module that holds its Typer app as `app`, and one line of help."
ROOT = __name__.removesuffix("eval.command_line")
"Empty in a checkout; `htcl.` where the wheel has put the four packages below one name."


class Commands(TyperGroup):
    """The commands of the table. Their modules are imported when one is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command as a stub with its line of help; `resolve_command` brings the real one."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        """Import the command that is called."""
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None or stub is None:
            return name, stub, rest
        return name, typer.main.get_command(import_module(ROOT + COMMANDS[name][0]).app), rest


app = typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True)


@app.callback()
def htcl() -> None:
    """A music recommender that listens. First: htcl prepare --help, or htcl evaluate, which makes a demo catalogue."""


def main() -> None:
    """The entry point of the console script."""
    run(app)
