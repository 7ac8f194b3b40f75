"""`python -m eval.ablation`: stage 2 trained again without each of its parts, and measured."""

from pathlib import Path
from typing import Annotated

import typer

from data.console.command import WorkspaceOption, run
from data.console.progress import say

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    workspace: WorkspaceOption = "workspace",
    only: Annotated[str | None, typer.Option(help="Only these variants, comma-separated.")] = None,
    max_queries: Annotated[int, typer.Option(min=1, help="Random sample of the queries beyond this many.")] = 5000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here as well.")] = None,
) -> None:
    """Train what is missing (about a minute each on the demo), then measure every variant on the same questions."""
    from data.storage.workspace import Workspace
    from eval.ablation_study import run_ablation

    say(f"\nReport: {run_ablation(Workspace(Path(workspace)), only, max_queries, json_file)}")


if __name__ == "__main__":
    run(app)
