"""`python -m data.prepare IMPORTER`: read a data set into the workspace's tables."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from pydantic import ValidationError

from data.compose import compose
from data.console.command import WorkspaceOption, run
from data.console.progress import say
from data.dataset import load_dataset
from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.demo import DemoSettings, import_demo
from data.importers.own_tables.importer import FilesSettings, import_files
from data.importers.registry import DATA_SETS
from data.imports.names import import_name
from data.imports.saving import Saved, save_import
from data.imports.shelf import How, take_over
from data.preparing.data_sets import prepare_public
from data.preparing.folder import watch_folder
from data.preparing.listening import prepare_with_listening
from data.preparing.taking import Coming, Taken, check_room, holds, take
from data.reporting import done, meter
from data.storage.duckdb_query import memory_bytes
from data.storage.manifest import is_current
from data.storage.workspace import Workspace

JsonOption = Annotated[bool, typer.Option("--json", help="Print what became of the input as JSON on stdout.")]
AddOption = Annotated[bool, typer.Option("--add", help="Merge with what the workspace holds.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Take the place of all that the workspace holds.")]

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)


def prepare_demo(workspace: Workspace, settings: DemoSettings | None = None, how: How = None) -> None:
    """Make the embedded default data set, unless it is there; audio files that are there are kept.

    A workspace whose imports are there and whose dataset is not gets its dataset back. Raises UserError where it holds
    other data.
    """
    settings = settings or DemoSettings()
    recorded = {"importer": "demo", **settings.model_dump(mode="json")}
    name = import_name(recorded)

    def save(known: pl.Series | None) -> Saved:
        with meter("audio", settings.tracks) as progress:
            imported = import_demo(
                workspace.root / "demo-audio", workspace.root, settings, lambda count, total: progress.to(count)
            )
        return save_import(workspace, imported, recorded)

    with workspace.lock():
        take_over(workspace)
        if holds(workspace, name) and is_current(workspace.imports / name, {}, recorded) and how != "replace":
            compose(workspace)
        else:
            take(workspace, [Coming(name, save)], how)


@app.command()
def demo(
    workspace: WorkspaceOption = "workspace",
    tracks: Annotated[int, typer.Option(min=40, help="Songs to synthesise.")] = DemoSettings().tracks,
    seed: Annotated[int, typer.Option(help="Another seed makes another world.")] = DemoSettings().seed,
    add: AddOption = False,
    replace: ReplaceOption = False,
) -> None:
    """The embedded default: a simulated catalogue with real audio files, listeners and playlists. Needs no network."""
    space = Workspace(Path(workspace))
    share = tracks / DemoSettings().tracks
    settings = DemoSettings(tracks=tracks, seed=seed) if share == 1 else smaller_demo(share, seed)
    started = time.monotonic()
    prepare_demo(space, settings, _how(add, replace))
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
    add: AddOption = False,
    replace: ReplaceOption = False,
    listens: Annotated[Path | None, typer.Option(help="An export of your listening, whose songs are matched.")] = None,
    playlists: Annotated[Path | None, typer.Option(help="A folder of playlists that lie elsewhere.")] = None,
    allow_gone: Annotated[bool, typer.Option("--allow-gone", help="Songs may be gone, however many.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Then scan it whenever it changes, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """A folder of music: wav, flac, ogg, opus, mp3, m4a, aac, with its tags and its .m3u and .m3u8 playlists.

    Run it again after changes: only files that are new or changed are opened, and a song that moved stays itself.
    """
    space, started = Workspace(Path(workspace)), time.monotonic()
    taken = prepare_with_listening(space, path, listens, playlists, _how(add, replace), allow_gone)
    _end(space, taken, started, as_json)
    if watch:
        say(f"Watching {path}. Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            watch_folder(
                space,
                path,
                then=lambda taken: _end(space, taken, time.monotonic(), as_json),
                refused=lambda error: say(f"not scanned: {error}"),
                allow_gone=allow_gone,
            )


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
    add: AddOption = False,
    replace: ReplaceOption = False,
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
    space, started = Workspace(Path(workspace)), time.monotonic()
    settings = {"importer": "tables", **chosen.model_dump(mode="json")}
    name, how = import_name(settings), _how(add, replace)
    check_room(space, [name], how)
    imported = import_files(chosen)
    coming = Coming(name, lambda known: save_import(space, imported, settings, known=known))
    _end(space, take(space, [coming], how), started, as_json)


def _public(data_set: DataSet) -> Callable[[Path, str, str, bool, bool, bool], None]:
    def command(
        path: Annotated[Path, typer.Option(help=f"{data_set.files[0].upper()}{data_set.files[1:]}.")],
        workspace: WorkspaceOption = "workspace",
        memory: Annotated[str, typer.Option(help="For joining and sorting; the rest spills to disk.")] = "1GB",
        add: AddOption = False,
        replace: ReplaceOption = False,
        as_json: JsonOption = False,
    ) -> None:
        say(f"{data_set.about}.\n  Terms: {data_set.terms}.\n  From: {data_set.source}")
        if not path.exists():
            raise UserError(f"no folder {path}.", f"--path is {data_set.files}.")
        memory_bytes(memory)
        space, started = Workspace(Path(workspace)), time.monotonic()
        _end(space, prepare_public(space, data_set, path, memory, _how(add, replace)), started, as_json)

    return command


for _name, _data_set in DATA_SETS.items():
    app.command(_name, help=f"{_data_set.about}. Terms: {_data_set.terms}.")(_public(_data_set))


def _how(add: bool, replace: bool) -> How:
    if add and replace:
        raise UserError("--add and --replace are two answers to one question.", "Give one of them.")
    return "add" if add else "replace" if replace else None


def _end(space: Workspace, taken: Taken, started: float, as_json: bool) -> None:
    done("catalogue", taken.summary(), time.monotonic() - started)
    taken.report()
    if as_json:
        sys.stdout.write(json.dumps(taken.as_json(), ensure_ascii=False, indent=1) + "\n")
    _say_next(space)


def _say_next(space: Workspace) -> None:
    say(f"Tables in {space.dataset}. Next: python -m recsys.build_index --workspace {space.root}")


if __name__ == "__main__":
    run(app)
