"""What `data.prepare NAME` does for the published files of a data set, or a person's export."""

from itertools import chain
from pathlib import Path

import polars as pl

from data.dataset import ORDERED
from data.errors import UserError
from data.importers.data_set import DataSet
from data.imports.names import import_name
from data.imports.saving import Saved, save_import_parts
from data.imports.shelf import How
from data.preparing.taking import Coming, Taken, check_room, take
from data.storage.workspace import Workspace


def prepare_public(workspace: Workspace, data_set: DataSet, path: Path, memory: str = "1GB", how: How = None) -> Taken:
    """Read the published files of a public data set, of any size.

    memory: for joining and sorting, beside some 400 MB for reading; what takes more spills to the workspace's disk.
    Raises UserError where `path` holds none of the files, and where the workspace holds other data and `how` is None.
    """
    coming = data_set_coming(workspace, data_set, path, memory)
    check_room(workspace, [coming.name], how)
    return take(workspace, [coming], how, memory)


def data_set_coming(workspace: Workspace, data_set: DataSet, path: Path, memory: str) -> Coming:
    """The files as an import. Raises UserError where there are none, before anything is made."""
    recorded: dict[str, object] = {"importer": data_set.name, "path": str(path.resolve())}
    parts = data_set.read(path)
    first = next(parts, None)
    if first is None:
        raise UserError(f"nothing to read in {path}.", f"--path is {data_set.files}.")
    told = {name: getattr(data_set, name) for name in ("about", "terms", "source")}
    order = {} if data_set.ordered(path) else {ORDERED: False}
    facts = {"importer": data_set.name, **told, **order, "path": str(path.resolve()), "simulated": False}

    def save(known: pl.Series | None) -> Saved:
        return save_import_parts(workspace, chain([first], parts), facts, recorded, memory)

    return Coming(import_name(recorded), save)
