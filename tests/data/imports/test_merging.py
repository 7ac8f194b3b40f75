"""Several imports as one: against the rules written out row by row in Python."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from data.imports.merging import Merged, Part, merge
from data.storage.parquet import read_parquet
from data.tables import SCHEMAS, Imported, to_schema, validate
from tests.data.random_tables import some_tables

Tables = Mapping[str, pl.DataFrame]


def merged(imports: Sequence[Tables], pairs: Mapping[int, Mapping[str, str]] | None = None) -> tuple[Tables, Merged]:
    """What imports make together. pairs: number of an import -> its track's id -> the id an earlier one has."""
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for number, tables in enumerate(imports):
            place = Path(folder) / f"import [{number}]"  # a pattern, were it read as one
            place.mkdir()
            for name in SCHEMAS:
                to_schema(name, tables.get(name)).write_parquet(place / f"{name}.parquet")
            mapped = (pairs or {}).get(number)
            if mapped is not None:
                rows = pl.DataFrame({"new_id": list(mapped), "known_id": list(mapped.values())}, orient="col")
                rows.cast(pl.String).write_parquet(place / "pairs.parquet")
            parts.append(Part(place, None if mapped is None else place / "pairs.parquet"))
        target = Path(folder) / "target"
        target.mkdir()
        made = merge(parts, target, "300MB")
        assert {path.stem for path in target.glob("*.parquet")} == set(SCHEMAS)
        return {name: read_parquet(target / f"{name}.parquet") for name in SCHEMAS}, made


def valid(tables: Tables) -> Tables:
    return validate(Imported(tables)).tables


def rows(frame: pl.DataFrame) -> Counter[str]:
    return Counter(map(repr, frame.rows()))


def later_wins(imports: Sequence[Tables], table: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for tables in imports:
        for row in tables[table].iter_rows(named=True):
            told = {name: value for name, value in row.items() if value is not None and value != []}
            found.setdefault(row[SCHEMAS_ID[table]], {}).update(told)
    return found


SCHEMAS_ID = {"tracks": "track_id", "playlists": "playlist_id"}


def most_often(imports: Sequence[Tables]) -> Counter[tuple[object, ...]]:
    """Listens without what orders those of one moment."""
    found: Counter[tuple[object, ...]] = Counter()
    for tables in imports:
        count = Counter(
            tuple(None if name == "position" and row["listened_at"] is not None else row[name] for name in row)
            for row in tables["listens"].iter_rows(named=True)
        )
        found |= count
    return found


@given(st.lists(some_tables().map(valid), min_size=1, max_size=3))
def test_what_comes_of_any_imports(imports):
    found, made = merged(imports)
    for name, schema in SCHEMAS.items():
        assert found[name].schema == pl.Schema(schema)
        assert made.rows[name] == found[name].height
    for name, key in SCHEMAS_ID.items():
        wanted = later_wins(imports, name)
        given_rows = {
            row[key]: {column: value for column, value in row.items() if value is not None and value != []}
            for row in found[name].iter_rows(named=True)
        }
        assert given_rows == wanted
        assert found[name][key].to_list() == list(wanted)  # in the order they came
    assert most_often([found]) == most_often(imports)
    last = {row: tables for tables in imports for row in tables["playlists"]["playlist_id"]}
    entries = {
        (row["playlist_id"], row["track_id"])
        for playlist, tables in last.items()
        for row in tables["playlist_tracks"].iter_rows(named=True)
        if row["playlist_id"] == playlist
    }
    assert set(found["playlist_tracks"].select("playlist_id", "track_id").rows()) == entries
    assert found["playlist_tracks"].height == len(entries)
    assert made.listeners == len({user for tables in imports for user in tables["listens"]["user_id"]})


@given(some_tables().map(valid))
def test_an_import_with_itself_is_that_import(tables):
    once, _ = merged([tables])
    twice, _ = merged([tables, tables])
    for name in SCHEMAS:
        assert rows(twice[name]) == rows(once[name])
    again, _ = merged([once, tables])
    assert all(rows(again[name]) == rows(once[name]) for name in SCHEMAS)


def apart(tables: Tables, word: str) -> Tables:
    """The same with ids of its own, and features of one width, which is what a row of another import may change."""
    named = {
        name: frame.with_columns(pl.lit(word).add(pl.col(c)).alias(c) for c in frame.columns if c.endswith("_id"))
        for name, frame in tables.items()
    }
    return {**named, "features": named["features"].with_columns(features=pl.lit([1.0, 2.0], pl.List(pl.Float32)))}


@given(st.lists(some_tables().map(valid), min_size=2, max_size=3))
def test_the_order_of_imports_without_common_ids_is_none_of_their_business(drawn):
    imports = [apart(tables, f"{number}-") for number, tables in enumerate(drawn)]
    one, _ = merged(imports)
    other, _ = merged(imports[::-1])
    for name in SCHEMAS:
        assert rows(one[name]) == rows(other[name])
        assert one[name].height == sum(tables[name].height for tables in imports)


class TestMatchedTracks:
    files = {
        "tracks": pl.DataFrame({"track_id": ["a.mp3"], "title": ["Ice"], "audio_path": ["/m/a.mp3"]}),
        "playlists": pl.DataFrame({"playlist_id": ["mine"]}),
        "playlist_tracks": pl.DataFrame({"playlist_id": ["mine"], "position": [0], "track_id": ["a.mp3"]}),
    }
    export = {
        "tracks": pl.DataFrame(
            {"track_id": ["s1", "s2", "s3"], "title": ["ICE (2011 Remaster)"] * 2 + ["Fire"], "artist": ["Low"] * 3}
        ),
        "listens": pl.DataFrame({"user_id": ["me"] * 3, "track_id": ["s1", "s2", "s3"], "position": [0, 1, 2]}),
        "playlists": pl.DataFrame({"playlist_id": ["liked"]}),
        "playlist_tracks": pl.DataFrame(
            {"playlist_id": ["liked"] * 3, "position": [0, 1, 2], "track_id": ["s1", "s3", "s2"]}
        ),
    }

    def test_take_the_earlier_id_and_fill_what_it_does_not_say(self):
        found, made = merged([self.files, self.export], {1: {"s1": "a.mp3", "s2": "a.mp3"}})
        assert found["tracks"].select("track_id", "title", "artist", "audio_path").rows() == [
            ("a.mp3", "Ice", "Low", "/m/a.mp3"),
            ("s3", "Fire", "Low", None),
        ]
        assert found["listens"]["track_id"].to_list() == ["a.mp3", "a.mp3", "s3"]
        liked = found["playlist_tracks"].filter(playlist_id="liked")
        assert liked.select("position", "track_id").rows() == [(0, "a.mp3"), (1, "s3")]
        assert made.rows["tracks"] == 2

    def test_none_matched_is_a_plain_union(self):
        found, _ = merged([self.files, self.export], {1: {}})
        assert found["tracks"]["track_id"].to_list() == ["a.mp3", "s1", "s2", "s3"]


def test_features_of_another_width_than_most_are_left_out_and_counted():
    wide = {
        "tracks": pl.DataFrame({"track_id": ["x"]}),
        "features": pl.DataFrame({"track_id": ["x"], "features": [[1.0, 2.0, 3.0]]}),
    }
    usual = {
        "tracks": pl.DataFrame({"track_id": list("ab")}),
        "features": pl.DataFrame({"track_id": list("ab"), "features": [[1.0, 2.0], [3.0, 4.0]]}),
    }
    found, made = merged([wide, usual])
    assert (found["features"]["track_id"].to_list(), made.narrow) == (["a", "b"], 1)


def test_an_import_of_an_earlier_version_may_lack_columns(tmp_path):
    for name in SCHEMAS:
        to_schema(name, None).write_parquet(tmp_path / f"{name}.parquet")
    pl.DataFrame({"track_id": ["a"], "title": ["Ice"]}).write_parquet(tmp_path / "tracks.parquet")
    target = tmp_path / "target"
    target.mkdir()
    merge([Part(tmp_path)], target, "300MB")
    assert read_parquet(target / "tracks.parquet").equals(
        to_schema("tracks", pl.DataFrame({"track_id": ["a"], "title": ["Ice"]}))
    )
