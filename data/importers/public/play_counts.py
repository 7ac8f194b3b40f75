"""Listens from play counts: data sets that say how often, and never when.

Each listener and track become one listen. Repeating a listen as often as it was counted would put the same pair into
training and test, and nothing would be left to recommend; how often it was played is lost.

The contract orders listens, and these have no order. Neither the file's order nor the counts may stand in for one: a
split by position would then test everybody on the songs they play least, or on those whose id comes last, which no
training would hold. So the position is drawn: a fixed hash of listener and track. A split by position is then a random
split of each listener's tracks, and what comes next in a session means nothing.
"""

from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl

from data.importers.formats.delimited import refuse


def one_listen_each(counts: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Listens and rejects of a block of counts.

    counts: user_id, track_id, count, all strings. Rows whose count is no number, or less than 1, are rejected.
    """
    count = pl.col("count").str.strip_chars().cast(pl.Int64, strict=False)
    reason = (
        pl.when(count.is_null()).then(pl.lit("count cannot be read")).when(count < 1).then(pl.lit("not played once"))
    )
    good, bad = refuse(counts.select("user_id", "track_id", "count"), reason, "listens", path)
    return good.select("user_id", "track_id", position=drawn(good["user_id"], good["track_id"])), bad


def drawn(users: pl.Series, tracks: pl.Series) -> pl.Series:
    """A position for each pair, 0..2^32-1: the same on every machine, unrelated to where the pair stands."""
    pairs = (f"{user}\t{track}".encode() for user, track in zip(users, tracks, strict=True))
    code = np.fromiter(map(crc32, pairs), np.uint32, len(users))
    # CRC is linear: without mixing, every listener would have the tracks in nearly the same order. MurmurHash3's mix.
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        code = (code ^ (code >> np.uint32(shift))) * np.uint32(factor)
    return pl.Series("position", code.astype(np.int64))
