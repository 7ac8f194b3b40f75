"""Sessions of a Parquet file: the same as in memory, whatever the order of the file and however little memory."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import UserError
from data.listening.sessions import sessions, sql, write_sessions
from data.storage.duckdb_query import connect

START = datetime(2025, 1, 1, tzinfo=UTC)
SCHEMA = {"user": pl.Int32, "listened_at": pl.Datetime("us", "UTC"), "position": pl.Int64, "row": pl.Int64}


@st.composite
def listens(draw: st.DrawFn) -> pl.DataFrame:
    """In any order; many at the same moment, many without a time and some of these without a position."""
    moment = st.none() | st.integers(0, 90).map(lambda minute: START + timedelta(minutes=minute))
    rows = draw(st.lists(st.tuples(st.integers(0, 3), moment, st.none() | st.integers(0, 3)), max_size=40))
    return pl.DataFrame([(*row, number) for number, row in enumerate(rows)], SCHEMA, orient="row")


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """As `load_dataset` sorts listens."""
    return frame.sort("user", "listened_at", "position", "row")


def written(frame: pl.DataFrame, folder: Path, **options) -> pl.DataFrame:
    source, target = folder / "listens.parquet", folder / "deep" / "sessions.parquet"
    frame.write_parquet(source)
    assert write_sessions(source, target, **options) == frame.height
    assert [path.name for path in target.parent.iterdir()] == ["sessions.parquet"]
    return pl.read_parquet(target)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=listens(), minutes=st.integers(1, 40), run=st.integers(1, 5))
def test_a_file_is_cut_as_a_table_in_memory(tmp_path, frame, minutes, run):
    gap = timedelta(minutes=minutes)
    expected = sessions(in_order(frame), gap, run)
    assert written(frame, tmp_path, gap=gap, run=run).equals(expected)
    ids = frame.select(pl.format("listener-{}", "user").alias("user_id"), pl.exclude("user"))
    found = written(ids, tmp_path, gap=gap, run=run)
    assert found.drop("user_id").equals(expected.drop("user"))


def crowd(rows: int) -> pl.DataFrame:
    """Interleaved listeners, one of whom has half of all listens; several rows of each at one moment."""
    number = pl.int_range(rows, eager=True).alias("row")
    return pl.DataFrame({"row": number}).select(
        user=pl.when(number % 2 == 0).then(0).otherwise(number.hash(1) % 500).cast(pl.Int32),
        listened_at=pl.lit(START) + pl.duration(minutes=(number // 1000 * 7 + number.hash(2) % 20)),
        position=pl.lit(None, pl.Int64),
        row=number.cast(pl.Int64),
        name=pl.format(
            "song number {}, with a title that is {} than titles are", number.hash(3), pl.lit("longer " * 15)
        ),
    )


def test_what_does_not_fit_in_memory_is_cut_all_the_same(tmp_path):
    frame = crowd(1_000_000)
    assert frame.estimated_size("mb") > 160
    assert written(frame, tmp_path, memory="128MB").equals(sessions(in_order(frame)))


def test_only_the_sort_keeps_rows(tmp_path):
    """A window that does not stream would hold all listens, outside what spills."""
    source = tmp_path / "listens.parquet"
    crowd(10).write_parquet(source)
    with connect(tmp_path / "spill", "100MB", in_order=True) as connection:
        values = {"source": str(source), "gap": 1, "run": 1}
        plan = str(connection.execute(f"EXPLAIN {sql(connection, source)}", values).fetchall()).lower()
    assert plan.count("window") == plan.count("streaming window") + plan.count("streaming_window") > 0
    assert plan.count("order by") == 2  # the operator's name and its columns


def test_columns_may_be_called_anything_and_old_sessions_are_replaced(tmp_path):
    frame = in_order(crowd(200)).with_columns(pl.lit(7).alias("number"), pl.lit("x").alias('a "b" c'))
    again = frame.with_columns(session=pl.lit(-1, pl.Int64), place=pl.lit(-1, pl.Int64))
    assert written(again, tmp_path).equals(sessions(frame))


def test_an_interrupted_run_leaves_the_old_file(tmp_path):
    source, target = tmp_path / "listens.parquet", tmp_path / "sessions.parquet"
    target.write_text("old")
    source.write_text("no Parquet")
    with pytest.raises(Exception, match=r"(?i)parquet"):
        write_sessions(source, target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["listens.parquet", "sessions.parquet"]


@pytest.mark.parametrize("missing", ["user", "listened_at"])
def test_a_file_without_listeners_or_times_is_refused(tmp_path, missing):
    source = tmp_path / "listens.parquet"
    crowd(5).drop(missing).write_parquet(source)
    with pytest.raises(UserError, match="no listener or no time"):
        write_sessions(source, tmp_path / "sessions.parquet")
