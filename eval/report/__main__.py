"""`python -m eval.report`: one self-contained HTML page from an evaluation's JSON and the workspace."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.console.command import run
from data.console.progress import say
from data.errors import UserError
from data.storage.atomic_files import write_text
from data.storage.workspace import Workspace

if TYPE_CHECKING:
    from eval.results.task_result import TaskResult

app = typer.Typer(add_completion=False, help=__doc__)
NEEDED = ("task", "dataset", "protocol", "models", "tests")
"""What every task's result holds."""


@app.command()
def main(
    report: Annotated[Path | None, typer.Argument(help="JSON of eval.run; default: the workspace's newest.")] = None,
    workspace: Annotated[
        str | None,
        typer.Option("--workspace", "-w", help="Default: the one the report lies in, else ./workspace."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; default: beside the report, .html.")] = None,
) -> None:
    """Write the page. Nothing is trained or measured; what the workspace lacks is left out and named."""
    space = Workspace(Path(workspace) if workspace is not None else _home(report))
    report = report or newest(space)
    results = read_report(report)
    say(f"Reading {report} and {space.root}")
    from eval.report.evidence import gather
    from eval.report.page import render

    page = render(results, gather(space, results), report.name, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    target = out or report.with_suffix(".html")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, page)
    print(target)


def newest(space: Workspace) -> Path:
    """The evaluation written last. Raises UserError where there is none."""
    files = sorted(space.reports.glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    for path in files:
        if _results(path) is not None:
            return path
    raise UserError(f"no evaluation in {space.reports}", "Run python -m eval.run first, or name its JSON file.")


def read_report(path: Path) -> "list[TaskResult]":
    """A result per task. Raises UserError where the file is not what eval.run writes."""
    if not path.is_file():
        raise UserError(f"no file {path}", "Name a JSON file that eval.run wrote.")
    results = _results(path)
    if results is None:
        raise UserError(f"{path} is not an evaluation", "Name a JSON file that eval.run wrote.")
    return results


def _results(path: Path) -> "list[TaskResult] | None":
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError):
        return None
    results = content.get("tasks", [content]) if isinstance(content, dict) else None
    if not isinstance(results, list) or not results:
        return None
    fits = all(isinstance(each, dict) and set(NEEDED) <= set(each) for each in results)
    return results if fits else None


def _home(report: Path | None) -> Path:
    if report is not None and (report.resolve().parent.parent / "dataset").is_dir():
        return report.resolve().parent.parent
    return Path("workspace")


if __name__ == "__main__":
    run(app)
