"""What `data.prepare folder` does: scan a folder of music into its import, once, again, or whenever it changes."""

import threading
from collections.abc import Callable
from pathlib import Path

from data.errors import UserError
from data.importers.library.files import FILES, FileRecord, as_frame, read_records
from data.importers.library.importer import as_tables
from data.importers.library.scanning import scan
from data.importers.library.watching import watch
from data.imports.names import import_name
from data.imports.saving import Saved, save_import
from data.imports.shelf import How, held_manifests
from data.preparing.taking import Coming, Taken, check_room, holds, take
from data.reporting import meter
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace


def prepare_folder(workspace: Workspace, path: Path, how: How = None, allow_gone: bool = False) -> Taken:
    """Scan the folder; files that are as they were when it was last scanned are not opened.

    Raises UserError where there is no music, where the workspace holds other data and `how` is None, and where many of
    the songs are gone that were there, unless allow_gone.
    """
    coming = [folder_coming(workspace, path, how, allow_gone)]
    check_room(workspace, [coming[0].name], how)
    return take(workspace, coming, how)


def folder_coming(workspace: Workspace, path: Path, how: How, allow_gone: bool) -> Coming:
    """The folder as an import. Raises UserError where there is none and never was."""
    settings = _settings(path)
    name = import_name(settings)
    if not path.is_dir() and not holds(workspace, name):
        raise UserError(f"no folder {path}")
    return Coming(name, lambda known: _scanned(workspace, path, settings, how, allow_gone))


def watch_folder(
    workspace: Workspace,
    path: Path,
    then: Callable[[Taken], None],
    refused: Callable[[UserError], None],
    allow_gone: bool = False,
    stop: threading.Event | None = None,
) -> None:
    """Scan an imported folder whenever it changes, until Ctrl-C or `stop`.

    then: called with what each scan has brought, without the workspace's lock. refused: with what was not to be done,
    such as a folder that lost most of its songs; watching goes on.
    """

    def changed() -> bool:
        try:
            taken = prepare_folder(workspace, path, "add", allow_gone)
        except UserError as error:
            refused(error)
            return False
        then(taken)
        return _unsettled(workspace, path)

    watch(path, changed, stop)


def _unsettled(workspace: Workspace, path: Path) -> bool:
    """Whether the last scan has left files for the next."""
    manifest = read_manifest(workspace.imports / import_name(_settings(path)))
    return manifest is not None and manifest.facts["scan"]["unsettled"] > 0


def _settings(path: Path) -> dict[str, object]:
    return {"importer": "folder", "path": str(path.resolve())}


def _scanned(workspace: Workspace, path: Path, settings: dict[str, object], how: How, allow_gone: bool) -> Saved:
    name = import_name(settings)
    prefix, unfinished = _prefix(workspace, name, how), workspace.scratch(f"scan-{name}")
    with meter("reading", 1) as bar:

        def progress(count: int, total: int) -> None:
            bar.resize(total)
            bar.to(count)

        scanned = scan(
            path,
            read_records(workspace.imports / name),
            prefix,
            allow_gone,
            progress,
            unfinished=read_records(unfinished),
            keep=_keeper(unfinished),
        )
    imported = as_tables(path, scanned, prefix)
    beside = {FILES: as_frame(scanned.records)}
    saved = save_import(workspace, imported, settings, beside)
    workspace.discard_scratch(f"scan-{name}")
    return saved


def _keeper(folder: Path) -> Callable[[list[FileRecord]], None]:
    """Keeps what a scan has read so far, for the next one if it is cut off."""

    def keep(records: list[FileRecord]) -> None:
        aside = folder / "half.parquet"
        as_frame(records).write_parquet(aside)
        aside.replace(folder / f"{FILES}.parquet")

    return keep


def _prefix(workspace: Workspace, name: str, how: How) -> str:
    """What ids of the folder begin with: nothing in the only one, for two folders have paths in common."""
    held = held_manifests(workspace)
    if name in held:
        return str(held[name].facts.get("prefix", ""))
    others = [each for each in held.values() if each.settings.get("importer") == "folder"]
    return f"{name.removeprefix('folder-')}/" if others and how != "replace" else ""
