"""How every command ends: 0 done, 1 the run failed, 2 the input is wrong; a traceback only with --debug.

Imports nothing heavy: every command has this module in its `--help`.
"""

import sys
import traceback
from typing import Annotated

import typer

from data.console.names import as_called
from data.console.progress import console, listen
from data.errors import UserError

WorkspaceOption = Annotated[str, typer.Option("--workspace", "-w", help="Folder that holds everything a run makes.")]

INTERRUPTED = 130
"How typer ends a command after Ctrl-C."


def run(app: typer.Typer) -> None:
    """Run a typer application under the project's rules for errors and exit codes."""
    listen()
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except UserError as error:
        if debug:
            traceback.print_exc()
        console.print(f"error: {as_called(str(error))}", markup=False)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        console.print("Stopped. Finished work is kept; the same command goes on from there.", markup=False)
        sys.exit(1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        console.print(f"error: {type(error).__name__}: {error}\n       --debug shows where.", markup=False)
        sys.exit(1)
