"""Sessions: what one listener played without a long pause. Where only an order is known, runs of a fixed length."""

from datetime import timedelta

import polars as pl

SESSION_GAP = timedelta(minutes=30)
RUN_LENGTH = 20


def sessions(listens: pl.DataFrame, gap: timedelta = SESSION_GAP, run: int = RUN_LENGTH) -> pl.DataFrame:
    """Adds `session` i64 (unique over listeners) and `place` i64 (0 = first) to listens, sorted by user and time.

    listens: as in Dataset. A pause longer than `gap` starts a new session; rows without a time are cut into runs of
    `run` plays. Plays at the same moment keep the order they have.
    """
    pause = pl.col("listened_at").diff().over("user")
    place_of_user = pl.int_range(pl.len()).over("user")
    starts = (
        pl.when(place_of_user == 0)
        .then(True)
        .when(pl.col("listened_at").is_null())
        .then(place_of_user % run == 0)
        .otherwise((pause > gap).fill_null(True))
    )
    return listens.with_columns(session=starts.cast(pl.Int64).cum_sum() - 1).with_columns(
        place=pl.int_range(pl.len()).over("session").cast(pl.Int64)
    )
