"""Which imports a workspace holds, in the order they came.

The list is a file of its own, replaced whole: an import counts from the moment its name stands there, whatever folders
lie beside it. So a run that is killed leaves the old list or the new one, and what it left unfinished is removed later.
"""

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from data.errors import DamagedError, UserError
from data.imports.names import import_name
from data.reporting import logger
from data.storage.atomic_files import write_text
from data.storage.manifest import Manifest, read_manifest, verify
from data.storage.publishing import place, publishing
from data.storage.workspace import Workspace

log = logger(__name__)

LIST = "list.json"
How = Literal["add", "replace"] | None
"What becomes of other imports; None: there must be none."


def held(workspace: Workspace) -> list[str]:
    """Names of the imports that make the dataset, the first one first. Raises DamagedError for a damaged list."""
    path = workspace.imports / LIST
    try:
        names = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise DamagedError(
            f"{path} is damaged", f"Remove {workspace.imports} and run python -m data.prepare again."
        ) from error
    return [str(name) for name in names]


def hold(workspace: Workspace, names: Iterable[str]) -> None:
    """Have the dataset made of these imports from now on; each once, in this order."""
    kept = list(dict.fromkeys(names))
    if kept != held(workspace):
        workspace.imports.mkdir(parents=True, exist_ok=True)
        write_text(workspace.imports / LIST, json.dumps(kept))


def held_manifests(workspace: Workspace) -> dict[str, Manifest]:
    """The held imports and their manifests. One whose folder somebody removed is left out, and named."""
    found = {name: read_manifest(workspace.imports / name) for name in held(workspace)}
    for name, manifest in found.items():
        if manifest is None:
            log.warning(f"{workspace.imports / name} is missing: the dataset goes on without it")
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def names_after(workspace: Workspace, coming: list[str], how: How) -> list[str]:
    """What the workspace will hold once the coming imports are there.

    Without add or replace these may only be all that it holds, or a part of that: the same imports once more. Raises
    UserError where it holds other data.
    """
    if how == "replace":
        return coming
    take_over(workspace)
    before = held(workspace)
    if how is None and not (set(coming) <= set(before) or set(before) <= set(coming)):
        raise UserError(
            f"{workspace.root} holds other data: {', '.join(described(workspace, name) for name in before)}.",
            "--add merges the new with it, --replace puts the new in its place.",
        )
    return list(dict.fromkeys([*before, *coming]))


def described(workspace: Workspace, name: str) -> str:
    """An import as a person knows it: by its importer and its path."""
    manifest = read_manifest(workspace.imports / name)
    path = None if manifest is None else manifest.facts.get("path") or manifest.settings.get("path")
    return f"{name} ({path})" if path else name


def take_over(workspace: Workspace) -> None:
    """A dataset from before there were imports becomes the first of them. Raises DamagedError where it is damaged."""
    if (workspace.imports / LIST).exists():
        return
    manifest = read_manifest(workspace.dataset)
    if manifest is None:
        return
    verify(workspace.dataset)
    at = {"path": manifest.facts["path"]} if manifest.facts.get("path") else {}
    name = import_name({**manifest.settings, **at})
    with publishing(workspace.imports / name, "import", settings=manifest.settings) as draft:
        for file in manifest.files:
            place(workspace.dataset / file, draft.folder / file)
        draft.facts |= manifest.facts
    hold(workspace, [name])


def tidy(workspace: Workspace) -> None:
    """Remove what is no held import: replaced ones, and what a killed run has left. The dataset must be published."""
    kept = {*held(workspace), LIST}
    for root in (workspace.imports, workspace.matches):
        with suppress(FileNotFoundError):
            for path in root.iterdir():
                if path.is_dir() and path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)
    for left in ("new", "old"):
        shutil.rmtree(workspace.dataset.with_name(f".{workspace.dataset.name}.{left}"), ignore_errors=True)
