"""Importer "yambda": Yandex Music's Yambda, the flat files of one of its sizes.

Times: `timestamp` counts seconds in steps of five ("binned into 5s units") from an origin that is not told. Ten months
are 26,000,000 of them, and the benchmark of its authors subtracts 86,400 for a day: multiplying by five would be wrong.
They become Unix time, so that listened_at reads 1970, which nobody takes for a date, and the published number can be
read back. Hours of the day and days of the week mean nothing.

Likes and dislikes are published as events of their own, with no word on the listen they belong to, and stay so: rows
with feedback and no played_ratio. One that was taken back later (unlikes, undislikes) remains: it was meant when it was
given, and leaving it out would tell the past what the future brings. is_organic has no place in the contract.

Tracks are those that the events name: every size comes with the mappings and embeddings of all 9.4 million. Their
artist and album are the first that the mappings give, which are numbers. Features are `normalized_embed`.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.delimited import nothing_found, refuse
from data.storage.parquet import scan_parquet
from data.tables import TIME, TablePart

ROWS = 100_000
VECTORS = 20_000
"Rows of a part of features: 128 numbers each."
FILES = {"listens": "listen", "likes": "like", "dislikes": "dislike"}
TAKEN_BACK = ("unlike", "undislike")
ALL_EVENTS = "multi_event"


def read(path: Path) -> Iterator[TablePart]:
    """Listens of every event, tracks with length, artist and album, features of the tracks that the events name."""
    folder = _events_folder(path)
    found = [pl.DataFrame(schema={"item_id": pl.Int64, "track_length_seconds": pl.Int64})]
    pending = 0
    for file, events in _events(folder):
        good, bad = refuse(events, _unknown_kind(), "listens", file, shown=["uid", "item_id", "timestamp", "event"])
        yield "rejects", bad
        heard = good.filter(~pl.col("event").is_in(TAKEN_BACK))
        yield "listens", heard.select(**LISTENS)
        found.append(_distinct([heard.select("item_id", "track_length_seconds").drop_nulls("item_id")]))
        pending += found[-1].height
        # Merged whenever the new ones outgrow the old, so that each is merged a few times and memory holds no plays.
        if pending > max(10 * ROWS, found[0].height):
            found, pending = [_distinct(found)], 0
    items = _distinct(found).sort("item_id")
    for kind in ("artist", "album"):
        items = items.join(_first_of(kind, folder, items), "item_id", "left", maintain_order="left")
    for part in items.iter_slices(ROWS):
        yield (
            "tracks",
            part.select(
                track_id=pl.col("item_id").cast(pl.String),
                artist=pl.col("artist_id").cast(pl.String),
                album=pl.col("album_id").cast(pl.String),
                duration_s=pl.col("track_length_seconds").cast(pl.Float32),
            ),
        )
    yield from _features(folder, items.select("item_id"))


LISTENS = {
    "user_id": pl.col("uid").cast(pl.String),
    "track_id": pl.col("item_id").cast(pl.String),
    "listened_at": (pl.col("timestamp") * 1_000_000).cast(TIME),
    # Above 100 where parts were played again. Divided in float64: in float32 the last bit depends on the part's length.
    "played_ratio": (pl.col("played_ratio_pct") / 100.0).clip(upper_bound=1).cast(pl.Float32),
    "feedback": pl.when(pl.col("event") != "listen").then("event"),
}


def _events_folder(path: Path) -> Path:
    """The folder with the events of one size, `path` or below it."""
    names = ["listens.parquet", f"{ALL_EVENTS}.parquet"]
    within = [path, *sorted(path.glob("*")), *sorted(path.glob("flat/*"))]
    folders = [folder for folder in within if any((folder / name).is_file() for name in names)]
    if not folders:
        raise nothing_found(path, names, f"--path is {DATA_SET.files}.")
    if len(folders) > 1 and folders[0] != path:
        sizes = ", ".join(str(folder.relative_to(path)) for folder in folders)
        raise UserError(f"{path} holds several sizes: {sizes}.", f"Give one of them, --path {folders[0]}.")
    return folders[0]


def _events(folder: Path) -> Iterator[tuple[Path, pl.DataFrame]]:
    """uid, item_id, timestamp, event, played_ratio_pct, track_length_seconds, as far as the files have them."""
    if not (folder / "listens.parquet").is_file():
        file = folder / f"{ALL_EVENTS}.parquet"
        yield from ((file, part) for part in _batches(file, pl.col("event_type").cast(pl.String).alias("event")))
        return
    for name, event in FILES.items():
        if (file := folder / f"{name}.parquet").is_file():
            yield from ((file, part) for part in _batches(file, pl.lit(event, pl.String).alias("event")))


def _batches(file: Path, event: pl.Expr) -> Iterator[pl.DataFrame]:
    columns = ["uid", "item_id", "timestamp", *event.meta.root_names()]
    schema = _schema(file, columns)
    if isinstance(schema["item_id"], pl.List):
        raise UserError(f"{file} holds sequences.", "Give the flat files, --path .../flat/50m.")
    extra = [
        (pl.col(name) if name in schema else pl.lit(None)).cast(pl.Int64).alias(name)
        for name in ("played_ratio_pct", "track_length_seconds")
    ]
    numbers = pl.col("uid", "item_id", "timestamp").cast(pl.Int64)
    return _parts(file, scan_parquet(file).select(numbers, event, *extra), ROWS)


def _unknown_kind() -> pl.Expr:
    known = pl.col("event").is_in([*FILES.values(), *TAKEN_BACK]).fill_null(False)
    return pl.when(~known).then(pl.format('unknown event_type "{}"', pl.col("event").fill_null("")))


def _distinct(found: list[pl.DataFrame]) -> pl.DataFrame:
    """One row a track, with its length where one of them says it: likes do not."""
    return pl.concat(found).group_by("item_id").agg(pl.col("track_length_seconds").drop_nulls().min())


def _shared(folder: Path, name: str) -> Path | None:
    """A file that all sizes have in common: published two folders up, often copied beside the events."""
    places = (folder, folder.parent, folder.parent.parent)
    return next((file for place in places if (file := place / f"{name}.parquet").is_file()), None)


def _first_of(kind: str, folder: Path, items: pl.DataFrame) -> pl.DataFrame:
    """item_id and its first `{kind}_id`; empty where the mapping is not there."""
    column = f"{kind}_id"
    found = pl.DataFrame(schema={"item_id": pl.Int64, column: pl.Int64})
    if (file := _shared(folder, f"{kind}_item_mapping")) is None:
        return found
    _schema(file, ["item_id", column])
    lazy = scan_parquet(file).select(pl.col("item_id").cast(pl.Int64), pl.col(column).cast(pl.Int64))
    parts = [part.join(items, "item_id", "semi", maintain_order="left") for part in _parts(file, lazy, ROWS)]
    return pl.concat([found, *parts]).drop_nulls().unique("item_id", keep="first", maintain_order=True)


def _features(folder: Path, items: pl.DataFrame) -> Iterator[TablePart]:
    if (file := _shared(folder, "embeddings")) is None:
        return
    _schema(file, ["item_id", "normalized_embed"])
    lazy = scan_parquet(file).select(pl.col("item_id").cast(pl.Int64), "normalized_embed")
    for part in _parts(file, lazy, VECTORS):
        ours = part.join(items, "item_id", "semi", maintain_order="left")
        yield (
            "features",
            ours.select(
                track_id=pl.col("item_id").cast(pl.String),
                features=pl.col("normalized_embed").cast(pl.List(pl.Float32)),
            ),
        )


def _schema(file: Path, needed: list[str]) -> pl.Schema:
    try:
        schema = pl.read_parquet_schema(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({str(error).splitlines()[0][:200]}).", "Fetch it again.") from error
    if missing := [name for name in needed if name not in schema]:
        raise UserError(f"{file} has no column {missing[0]}.", f"Expected {', '.join(needed)}.")
    return pl.Schema(schema)


def _parts(file: Path, lazy: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    try:
        for batch in lazy.collect_batches(chunk_size=rows, maintain_order=True):
            yield from batch.iter_slices(rows)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{file}: cannot be read ({str(error).splitlines()[0][:200]}).", "Fetch it again.") from error


DATA_SET = DataSet(
    name="yambda",
    about="Yandex Music: 50 million, 500 million or 4.8 billion listens, likes and dislikes with relative times, "
    "audio embeddings of 7.7 million tracks",
    terms="Apache 2.0; cite arXiv 2505.22238",
    source="https://huggingface.co/datasets/yandex/yambda",
    files="one size of the flat files, e.g. flat/50m: listens.parquet, likes.parquet, dislikes.parquet (or "
    "multi_event.parquet); embeddings.parquet, artist_item_mapping.parquet, album_item_mapping.parquet there or two "
    "folders up",
    read=read,
)
