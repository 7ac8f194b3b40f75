"""A settings file: TOML with tables, each the fields of one settings class. One file serves several commands."""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from data.errors import UserError, closest

SEE = "encoders/README.md and recsys/README.md say where settings stand."


def read_settings(
    path: Path, tables: Mapping[str, type[BaseModel]], others: Collection[str]
) -> dict[str, dict[str, Any]]:
    """What the file changes: table -> setting -> value, of `tables` alone. others: tables that someone else reads.

    Raises UserError for a file that cannot be read, an unknown table or setting, and a value out of its range.
    """
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    for table, values in written.items():
        if table not in (*tables, *others) or not isinstance(values, dict):
            raise UserError(f"{path}: {table} is no table of settings{closest(table, (*tables, *others))}.", SEE)
        if table in tables:
            _check(path, table, values, tables[table])
    return {table: values for table, values in written.items() if table in tables}


def _check(path: Path, table: str, values: Mapping[str, Any], settings: type[BaseModel]) -> None:
    try:
        settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name, said = str(first["loc"][0]), f" {first['msg']}."
        if first["type"] == "extra_forbidden":
            said = f" no such setting{closest(name, settings.model_fields)}."
        raise UserError(f"{path}: [{table}] {name}:{said}", SEE) from error
