"""`python -m data.prepare IMPORTER`: read a data set into the workspace's tables."""

import json
import sys
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.dataset import ORDERED, load_dataset, save_dataset, save_parts, summary
from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.demo import DemoSettings, import_demo
from data.importers.library.importer import import_folder
from data.importers.own_tables.importer import FilesSettings, import_files
from data.importers.registry import DATA_SETS
from data.ingest.assemble import Assembled
from data.ingest.closing import Closing
from data.reporting import done, meter
from data.storage.duckdb_query import memory_bytes
from data.storage.manifest import is_current
from data.storage.workspace import Workspace
from data.tables import Imported

JsonOption = Annotated[bool, typer.Option("--json", help="Print what became of the input as JSON on stdout.")]

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)


def prepare_demo(workspace: Workspace, settings: DemoSettings | None = None) -> None:
    """Make the embedded default data set, unless it is there; audio files that are there are kept."""
    settings = settings or DemoSettings()
    recorded = {"importer": "demo", **settings.model_dump(mode="json")}
    if is_current(workspace.dataset, {}, recorded):
        return
    with meter("audio", settings.tracks) as progress:
        imported = import_demo(
            workspace.root / "demo-audio", workspace.root, settings, lambda count, total: progress.to(count)
        )
    save_dataset(workspace, imported, recorded)


@app.command()
def demo(
    workspace: WorkspaceOption = "workspace",
    tracks: Annotated[int, typer.Option(min=40, help="Songs to synthesise.")] = DemoSettings().tracks,
    seed: Annotated[int, typer.Option(help="Another seed makes another world.")] = DemoSettings().seed,
) -> None:
    """The embedded default: a simulated catalogue with real audio files, listeners and playlists. Needs no network."""
    space = Workspace(Path(workspace))
    share = tracks / DemoSettings().tracks
    settings = DemoSettings(tracks=tracks, seed=seed) if share == 1 else smaller_demo(share, seed)
    started = time.monotonic()
    with space.lock():
        prepare_demo(space, settings)
    done("catalogue", load_dataset(space).summary(), time.monotonic() - started)
    _say_next(space)


def smaller_demo(share: float, seed: int) -> DemoSettings:
    """The demo world in another size, everything in proportion."""
    full = DemoSettings()
    sizes = {name: max(5, round(getattr(full, name) * share)) for name in ("tracks", "artists", "listeners")}
    sizes |= {name: max(40, round(getattr(full, name) * share)) for name in ("listens", "playlists")}
    return DemoSettings(seed=seed, **sizes)


@app.command()
def folder(
    path: Annotated[Path, typer.Option(help="The folder of music, any depth.")],
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """A folder of music: wav, flac, ogg, opus, mp3, m4a, aac, with its tags and its .m3u and .m3u8 playlists."""
    if not path.is_dir():
        raise UserError(f"no folder {path}")
    started = time.monotonic()
    with meter("reading", 1) as bar:

        def progress(count: int, total: int) -> None:
            bar.resize(total)
            bar.to(count)

        imported = import_folder(path, progress)
    _save(Workspace(Path(workspace)), imported, {"importer": "folder", "path": str(path)}, started, as_json)


@app.command()
def tables(
    tracks: Annotated[Path | None, typer.Option(help="CSV, CSV.gz, JSONL or Parquet; any subset of the five.")] = None,
    listens: Annotated[Path | None, typer.Option()] = None,
    playlists: Annotated[Path | None, typer.Option()] = None,
    playlist_tracks: Annotated[Path | None, typer.Option()] = None,
    features: Annotated[Path | None, typer.Option()] = None,
    map: Annotated[
        list[str], typer.Option(help="Columns: title=track_name,artist=track_artist,listens.user_id=who")
    ] = [],  # noqa: B006
    features_columns: Annotated[str, typer.Option(help="Numeric columns of the feature vector, comma-separated.")] = "",
    columns: Annotated[Path | None, typer.Option(help="A TOML file with the same settings; flags win.")] = None,
    user: Annotated[str | None, typer.Option(help="The listener of plays whose table names none: me.")] = None,
    workspace: WorkspaceOption = "workspace",
    as_json: JsonOption = False,
) -> None:
    """Your own tables."""
    flags = {
        "tracks": tracks,
        "listens": listens,
        "playlists": playlists,
        "playlist_tracks": playlist_tracks,
        "features": features,
        "features_columns": features_columns or None,
        "user": user,
        "map": [item for value in map for item in value.split(",") if item] or None,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    base = FilesSettings.from_toml(columns).model_dump() if columns else {}
    try:
        chosen = FilesSettings.model_validate({**base, **given})
    except ValidationError as error:
        raise UserError(error.errors()[0]["msg"]) from error
    started = time.monotonic()
    imported = import_files(chosen)
    _save(
        Workspace(Path(workspace)), imported, {"importer": "tables", **chosen.model_dump(mode="json")}, started, as_json
    )


def prepare_public(
    workspace: Workspace, data_set: DataSet, path: Path, memory: str = "1GB"
) -> tuple[Assembled, Closing]:
    """Read the published files of a public data set, of any size.

    memory: for joining and sorting, beside some 400 MB for reading; what takes more spills to the workspace's disk.
    Raises UserError where `path` holds none of the files.
    """
    parts = data_set.read(path)
    first = next(parts, None)  # so that a wrong path is met before anything is made
    if first is None:
        raise UserError(f"nothing to read in {path}.", f"--path is {data_set.files}.")
    facts = {name: getattr(data_set, name) for name in ("about", "terms", "source")}
    order = {} if data_set.ordered(path) else {ORDERED: False}
    recorded: dict[str, object] = {"importer": data_set.name, "path": str(path)}
    with workspace.lock():
        return save_parts(
            workspace,
            chain([first], parts),
            {"importer": data_set.name, **facts, **order, "path": str(path.resolve()), "simulated": False},
            recorded,
            memory,
        )


def _public(data_set: DataSet) -> Callable[[Path, str, str, bool], None]:
    def command(
        path: Annotated[Path, typer.Option(help=f"{data_set.files[0].upper()}{data_set.files[1:]}.")],
        workspace: WorkspaceOption = "workspace",
        memory: Annotated[str, typer.Option(help="For joining and sorting; the rest spills to disk.")] = "1GB",
        as_json: JsonOption = False,
    ) -> None:
        say(f"{data_set.about}.\n  Terms: {data_set.terms}.\n  From: {data_set.source}")
        if not path.exists():
            raise UserError(f"no folder {path}.", f"--path is {data_set.files}.")
        memory_bytes(memory)
        space = Workspace(Path(workspace))
        started = time.monotonic()
        made, closing = prepare_public(space, data_set, path, memory)
        done("catalogue", summary(made.rows, made.listeners), time.monotonic() - started)
        _end(space, closing, as_json)

    return command


for _name, _data_set in DATA_SETS.items():
    app.command(_name, help=f"{_data_set.about}. Terms: {_data_set.terms}.")(_public(_data_set))


def _save(space: Workspace, imported: Imported, settings: dict[str, object], started: float, as_json: bool) -> None:
    with space.lock():
        closing = save_dataset(space, imported, settings)
    done("catalogue", load_dataset(space).summary(), time.monotonic() - started)
    _end(space, closing, as_json)


def _end(space: Workspace, closing: Closing, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(closing.as_json(), ensure_ascii=False, indent=1) + "\n")
    _say_next(space)


def _say_next(space: Workspace) -> None:
    say(f"Tables in {space.dataset}. Next: python -m recsys.build_index --workspace {space.root}")


if __name__ == "__main__":
    run(app)
