"""Small tables with every kind of bad row, for tests of what becomes of them."""

from datetime import UTC, datetime

import polars as pl
from hypothesis import strategies as st

from data.tables import SCHEMAS, to_schema

NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)
IDS = st.sampled_from(["a", "b", "c", "", " ", None])
ROWS = {
    "tracks": st.fixed_dictionaries({"track_id": IDS, "title": st.none() | st.text(max_size=3)}),
    "listens": st.fixed_dictionaries(
        {
            "user_id": IDS,
            "track_id": IDS,
            "listened_at": st.none() | st.just(NOON),
            "position": st.none() | st.integers(0, 3),
            "played_ratio": st.none() | st.floats(-1, 2, width=32) | st.just(float("nan")),
            "feedback": st.sampled_from([None, "like", "dislike", "skip", "love"]),
        }
    ),
    "playlists": st.fixed_dictionaries({"playlist_id": IDS}),
    "playlist_tracks": st.fixed_dictionaries(
        {"playlist_id": IDS, "position": st.none() | st.integers(0, 3), "track_id": IDS}
    ),
    "features": st.fixed_dictionaries(
        {
            "track_id": IDS,
            "features": st.none() | st.lists(st.none() | st.floats(width=32), max_size=3),
        }
    ),
}


@st.composite
def some_tables(draw: st.DrawFn) -> dict[str, pl.DataFrame]:
    """Some of the five tables, a few rows each."""
    names = draw(st.sets(st.sampled_from(list(ROWS))))
    return {name: to_schema(name, _frame(name, draw(st.lists(ROWS[name], max_size=6)))) for name in sorted(names)}


def _frame(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    columns = {row_column: SCHEMAS[name][row_column] for row in rows[:1] for row_column in row}
    return pl.DataFrame(rows, schema=columns or SCHEMAS[name], strict=False)
