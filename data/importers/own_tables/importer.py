"""Importer "tables": somebody's own table files, their columns mapped to the contract.

Keys of the map are columns of the contract, `title`, or of one of its tables, `playlists.title`; its values are columns
of the file.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.errors import UserError, closest
from data.importers.own_tables.columns import near_columns, unused
from data.importers.own_tables.parsing import is_blank, null_words, parse
from data.importers.own_tables.reading import read_rows
from data.importers.row_buffer import id_by_name
from data.tables import REJECT_SCHEMA, REQUIRED, SCHEMAS, Imported, no_rejects, no_remarks, reject, remark

IDS = frozenset({"track_id", "user_id", "playlist_id"})
ORDER = frozenset({"listens.listened_at", "listens.position", "playlist_tracks.position"})
"A row whose place in the order cannot be read is rejected, not kept without it."


def _pairs(value: object) -> object:
    """ "title=track_name" items, as flags give them, or nested tables, as TOML gives dotted keys."""
    if isinstance(value, list | tuple):
        if bad := [item for item in value if "=" not in str(item)]:
            raise ValueError(f'"{bad[0]}" is not CONTRACT_COLUMN=COLUMN_OF_THE_FILE')
        return dict(str(item).split("=", 1) for item in value)
    if isinstance(value, Mapping):
        nested = {
            f"{table}.{key}": name for table, of in value.items() if isinstance(of, Mapping) for key, name in of.items()
        }
        return {key: name for key, name in value.items() if not isinstance(name, Mapping)} | nested
    return value


def _names(value: object) -> object:
    """ "energy,tempo" as one flag gives it."""
    items = [value] if isinstance(value, str) else value
    return [name for item in items for name in str(item).split(",")] if isinstance(items, list | tuple) else value


class FilesSettings(BaseModel):
    """Which files hold which tables; two tables may come from one file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracks: Path | None = None
    listens: Path | None = None
    playlists: Path | None = None
    playlist_tracks: Path | None = None
    features: Path | None = None
    map: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(default_factory=dict)
    "Column of the contract to column of the file, for every table that has it; `listens.user_id` is for one table."
    user: str | None = None
    "The listener of a listens table that names none: an export of one person's plays."
    features_columns: Annotated[list[str], BeforeValidator(_names)] = Field(default_factory=list)
    "Numeric columns that together are a track's features, where the file has no list of them."

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Settings from a TOML file; paths are relative to it. Raises UserError."""
        try:
            found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
            for table in SCHEMAS:
                if isinstance(found.get(table), str):
                    found[table] = path.parent / found[table]
            return cls.model_validate(found)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{path}: cannot be read ({error}).") from error
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error

    def files(self) -> dict[str, Path]:
        """The tables that are given, and where."""
        given = {table: getattr(self, table) for table in SCHEMAS}
        return {table: path for table, path in given.items() if path is not None}


def import_files(settings: FilesSettings) -> Imported:
    """The given tables with the types of the contract.

    A row that lacks what it needs, or whose order cannot be read, is rejected; any other value that cannot be parsed
    becomes null and is counted in facts["nulled"]. Raises UserError for files and columns that are not there.
    """
    paths = settings.files()
    if not paths:
        raise UserError("no table given.", f"Give a file for at least one of {', '.join(SCHEMAS)}.")
    tables_of = {path: [table for table, of in paths.items() if of == path] for path in paths.values()}
    rows, rejects, remarks = _read(tables_of, settings)
    _check_map(settings, {table: rows[path].columns for table, path in paths.items()})
    tables: dict[str, pl.DataFrame] = {}
    used: dict[Path, set[str]] = {path: set() for path in rows}
    for table, path in paths.items():
        named, near = _named_columns(settings, table, path, rows[path].columns)
        tables[table], bad, nulled = _convert(table, path, rows[path], named, settings.features_columns)
        rejects.append(bad)
        remarks += [_taken(table, column, name, rows[path].height) for column, name in near.items()]
        remarks.append(nulled)
        used[path].update(name for names in named.values() for name in names)
    remarks += [_unused(tables_of[path], path, frame, used[path]) for path, frame in rows.items()]
    if "tracks" in tables and "audio_path" in tables["tracks"].columns:
        tables["tracks"], bad = _locate_audio(tables["tracks"], paths["tracks"])
        rejects.append(bad)
    said = pl.concat([no_remarks(), *remarks])
    cells = said.filter(what="made null").group_by("where", maintain_order=True).agg(pl.col("rows").sum())
    sources = {table: str(path.resolve()) for table, path in paths.items()}
    facts = {"importer": "tables", "files": sources, "nulled": dict(cells.iter_rows()), "simulated": False}
    return Imported(tables, pl.concat([no_rejects(), *rejects]), facts, said)


def _read(
    tables_of: Mapping[Path, list[str]], settings: FilesSettings
) -> tuple[dict[Path, pl.DataFrame], list[pl.DataFrame], list[pl.DataFrame]]:
    """The rows of each file, those that could not be read, and what is to be said of the files."""
    rows: dict[Path, pl.DataFrame] = {}
    rejects, remarks = [], []
    for path, tables in tables_of.items():
        found = read_rows(path, tables[0])
        rows[path] = _completed(found.frame, tables, settings)
        rejects.append(found.rejects)
        remarks += [remark("read as", tables[0], reason, 1, path.name) for reason in found.remarks]
    return rows, rejects, remarks


def _completed(frame: pl.DataFrame, tables: list[str], settings: FilesSettings) -> pl.DataFrame:
    """With an id by artist and title where the file names no track, and with the listener where it names none."""

    def column(wanted: str) -> str | None:
        mapped = [settings.map.get(key) for key in (*(f"{table}.{wanted}" for table in tables), wanted)]
        named = next((name for name in mapped if name in frame.columns), None)
        near = (near_columns(table, set(), frame.columns).get(wanted) for table in tables)
        return named or next((name for name in near if name), None)

    title, artist = column("title") or _like(frame, "title"), column("artist") or _like(frame, "artist")
    if column("track_id") is None and title and artist and frame.schema[title] == frame.schema[artist] == pl.String:
        frame = frame.with_columns(track_id=_id_by_name(pl.col(artist), pl.col(title)))
    if "listens" in tables and settings.user and column("user_id") is None:
        frame = frame.with_columns(user_id=pl.lit(settings.user))
    return frame


def _like(frame: pl.DataFrame, wanted: str) -> str | None:
    """A column of a name that means this one in the table of tracks, whatever table the file holds."""
    return near_columns("tracks", set(), frame.columns).get(wanted)


def _taken(table: str, column: str, name: str, rows: int) -> pl.DataFrame:
    return remark("read as", f"{table}.{column}", f"{name} is taken for it", rows, name)


def _id_by_name(artist: pl.Expr, title: pl.Expr) -> pl.Expr:
    """As `row_buffer.id_by_name` makes it."""
    return pl.struct(artist.alias("artist"), title.alias("title")).map_elements(
        lambda song: id_by_name(song["artist"], song["title"]), pl.String
    )


def _check_map(settings: FilesSettings, columns: Mapping[str, list[str]]) -> None:
    """Every entry of the map must fit a table of the contract and a column of a file."""
    for key, name in settings.map.items():
        table, _, column = key.rpartition(".")
        known = [f"{of}.{column}" if table else column for of in SCHEMAS for column in SCHEMAS[of] if table in ("", of)]
        if key not in known:
            raise UserError(f'map: the contract has no column "{key}"{closest(key, known)}.')
        files = [of for of in columns if column in SCHEMAS[of] and table in ("", of)]
        if files and not any(name in columns[of] for of in files):
            there = ", ".join(dict.fromkeys(column for of in files for column in columns[of]))
            raise UserError(
                f'map: no column "{name}" for {key}{closest(name, there.split(", "))}.', f"Columns: {there}."
            )


def _named_columns(
    settings: FilesSettings, table: str, path: Path, columns: list[str]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Per column of the contract the column of the file, several of them for features; and those by a near name."""
    named: dict[str, list[str]] = {}
    for column in SCHEMAS[table]:
        general = settings.map.get(column)
        # An entry for all tables may name a column that only one of their files has.
        name = settings.map.get(f"{table}.{column}", general if general in columns else column)
        if name in columns:
            named[column] = [name]
    near = near_columns(table, set(named), [name for name in columns if [name] not in named.values()])
    named |= {column: [name] for column, name in near.items()}
    there = f"Columns of {path.name}: {', '.join(columns)}."
    if table == "features" and settings.features_columns:
        if missing := [name for name in settings.features_columns if name not in columns]:
            raise UserError(f'features: no column "{missing[0]}"{closest(missing[0], columns)}.', there)
        named["features"] = settings.features_columns
    for column in REQUIRED[table]:
        if column not in named and (table, column) != ("playlist_tracks", "position"):
            what = "features_columns, the numeric columns to use" if column == "features" else f"map {column}=COLUMN"
            one = " Where all plays are one person's, give --user NAME." if column == "user_id" else ""
            raise UserError(f"{table}: {path.name} has no column {column}.", f"Set {what}.{one} {there}")
    if table == "listens" and not {"listened_at", "position"} & set(named):
        raise UserError(f"listens: {path.name} says nothing of order.", f"Map listened_at or position. {there}")
    return named, near


def _convert(
    table: str, path: Path, rows: pl.DataFrame, named: dict[str, list[str]], vector_of: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The rows in the contract's types, those that are rejected, and what was made null."""
    columns: list[pl.Series] = []
    reasons = pl.Series("reason", [None] * rows.height, pl.String)
    remarks = [no_remarks()]
    for column, names in named.items():
        several = column == "features" and bool(vector_of)
        parts: list[pl.Series] = []
        for name in names:
            parsed = _parsed(path, rows[name], pl.Float32 if several else SCHEMAS[table][column], column)
            words = null_words(rows[name])
            unread = parsed.is_null() & ~is_blank(rows[name]) & ~words
            if column in IDS:
                unread |= words
            if column in REQUIRED[table] or f"{table}.{column}" in ORDER:
                reasons = _blame(reasons, unread, name)
            else:
                remarks += _made_null(f"{table}.{column}", rows[name], unread, words & parsed.is_null())
            parts.append(parsed.alias(name))
        joined = pl.DataFrame(parts).select(pl.concat_list(pl.all())).to_series() if several else parts[0]
        columns.append(joined.alias(column))
    bad = reasons.is_not_null()
    frame = pl.DataFrame(columns).filter(~bad)
    if table == "playlist_tracks" and "position" not in named:
        frame = frame.with_columns(position=pl.int_range(pl.len(), dtype=pl.Int32).over("playlist_id"))
    used = list(dict.fromkeys(name for names in named.values() for name in names))
    content = [
        json.dumps(row, default=str, ensure_ascii=False) for row in rows.filter(bad).select(used).iter_rows(named=True)
    ]
    rejected = {
        "table": table,
        "source": path.name,
        "reason": reasons.filter(bad),
        "content": pl.Series(content, dtype=pl.String),
    }
    return frame, pl.DataFrame(rejected, REJECT_SCHEMA), pl.concat(remarks)


def _parsed(path: Path, values: pl.Series, dtype: pl.DataType | type[pl.DataType], column: str) -> pl.Series:
    """The values as the contract's type. Raises UserError where a column is of a type that cannot be read as it."""
    try:
        return parse(values, dtype, column in IDS, column)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        said = str(error).splitlines()[0][:120]
        raise UserError(f"{path}: column {values.name} of type {values.dtype} is no {column} ({said}).") from error


def _made_null(where: str, values: pl.Series, unread: pl.Series, words: pl.Series) -> list[pl.DataFrame]:
    found = [("cannot be read", unread), ("a word for nothing", words)]
    return [
        remark("made null", where, reason, int(rows.sum()), values.filter(rows)[0])
        for reason, rows in found
        if rows.any()
    ]


def _unused(tables: list[str], path: Path, frame: pl.DataFrame, used: set[str]) -> pl.DataFrame:
    """Columns of a file that the contract has no place for."""
    left = [name for name in frame.columns if name not in used]
    if not left:
        return no_remarks()
    what, shown = f"columns of {path.name} that are not used", ", ".join(unused(tables, left))
    return remark("passed over", tables[0], what, len(left), shown)


def _blame(reasons: pl.Series, unread: pl.Series, name: str) -> pl.Series:
    """Reasons so far, and the column that could not be read in the rows that have none yet."""
    if not unread.any():
        return reasons
    return reasons.set(unread & reasons.is_null(), f"{name} cannot be read")


def _locate_audio(tracks: pl.DataFrame, file: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Audio paths made absolute, relative ones from the folder of the tracks file, which they may not leave."""
    folder = file.resolve().parent
    found: list[str | None] = []
    rejects = [no_rejects()]
    for track, given in tracks.select("track_id", "audio_path").iter_rows():
        reason = ""
        # resolve() first: a link may lead out of the folder as well as "..".
        path = (folder / given).resolve() if given else None
        if path is not None and not Path(given).is_absolute() and not path.is_relative_to(folder):
            reason = "audio_path leaves the folder of the tracks file"
        elif path is not None and not path.is_file():
            reason = "audio_path: no such file"
        if reason:
            rejects.append(reject("tracks", file.name, reason, json.dumps({"track_id": track, "audio_path": given})))
        found.append(None if reason or path is None else str(path))
    return tracks.with_columns(pl.Series("audio_path", found, pl.String)), pl.concat(rejects)
