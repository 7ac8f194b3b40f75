"""`python -m eval.ablation`: the encoder's stage 2, or the answer, without each of its parts, and measured."""

from pathlib import Path
from typing import Annotated

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.errors import UserError

OF_HELP = "encoder: stage 2 without a part of its training. answer: the fusion without one of its sources."
app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    of: Annotated[str, typer.Option(help=OF_HELP)] = "encoder",
    only: Annotated[str | None, typer.Option(help="Only these variants, comma-separated.")] = None,
    max_queries: Annotated[int, typer.Option(min=1, help="Random sample of the queries beyond this many.")] = 5000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
) -> None:
    """Make what is missing (about a minute a variant on the demo), then measure every one on the same questions."""
    if of not in ("encoder", "answer"):
        raise UserError(f'no ablation of "{of}"', "Take --of encoder or --of answer.")
    from data.storage.workspace import Workspace

    space = Workspace(Path(workspace))
    if of == "answer":
        from eval.answer_ablation import run_answer_ablation

        report = run_answer_ablation(space, only, max_queries, json_file)
    else:
        from eval.ablation_study import run_ablation

        report = run_ablation(space, only, max_queries, json_file)
    say(f"\nReport: {report}")


if __name__ == "__main__":
    run(app)
