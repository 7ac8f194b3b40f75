"""Importer "msd-taste-profile": The Echo Nest's Taste Profile, play counts of Million Song Dataset songs.

Counts say nothing of order: play_counts.py turns them into listens. Songs are the items. Known wrong
matches of song and track (sid_mismatches.txt) name music that is not what was played: their counts are rejected, as the
data set's authors advise. Titles come from unique_tracks.txt, for the songs that are played; a song with several
tracks has the title of the first.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.importers.data_set import DataSet
from data.importers.formats.delimited import blocks, find, nothing_found, records, refuse, rejected
from data.importers.public.play_counts import one_listen_each
from data.tables import TablePart

TRIPLETS, TITLES, MISMATCHES = "train_triplets.txt", "unique_tracks.txt", "sid_mismatches.txt"
MISMATCH = re.compile(r"ERROR: <(SO\w{16}) (TR\w{16})>")


def read(path: Path) -> Iterator[TablePart]:
    """Listens from train_triplets.txt, tracks from unique_tracks.txt."""
    triplets = find(path, TRIPLETS)
    if triplets is None:
        raise nothing_found(path, [TRIPLETS], f"--path is {DATA_SET.files}.")
    wrong: set[str] = set()
    if file := find(path, MISMATCHES):
        yield "rejects", _read_mismatches(file, wrong)
    mismatched = pl.Series(sorted(wrong), dtype=pl.String).implode()
    bad_song = pl.when(pl.col("track_id").is_in(mismatched)).then(pl.lit(f"song matched wrongly ({MISMATCHES})"))
    played: set[str] = set()
    for block, bad in records(triplets, "listens", ("user_id", "track_id", "count")):
        kept, known = refuse(block, bad_song, "listens", triplets)
        listens, uncounted = one_listen_each(kept, triplets)
        yield from (("rejects", bad), ("rejects", known), ("rejects", uncounted), ("listens", listens))
        played.update(listens["track_id"].drop_nulls().unique())
    if titles := find(path, TITLES):
        songs = pl.DataFrame({"song": list(played)}, {"song": pl.String})
        for block, bad in records(titles, "tracks", ("track", "song", "artist", "title"), separator="<SEP>"):
            yield "rejects", bad
            ours = block.join(songs, "song", "semi", maintain_order="left")
            yield "tracks", ours.select("title", "artist", track_id="song")


def _read_mismatches(file: Path, wrong: set[str]) -> pl.DataFrame:
    """Adds the songs that are matched wrongly; rejects are the lines that name none."""
    odd: list[str] = []
    for lines in blocks(file):
        found = [(line, MISMATCH.match(line)) for line in lines if line.strip()]
        wrong.update(match[1] for _, match in found if match)
        odd += [line for line, match in found if not match]
    reason = pl.Series(["names no song and track"] * len(odd), dtype=pl.String)
    return rejected("tracks", file, reason, pl.Series(odd, dtype=pl.String))


DATA_SET = DataSet(
    name="msd-taste-profile",
    about="48,373,586 play counts without times, of 1,019,318 listeners and 384,546 songs",
    terms="research only, non-commercial; cite The Echo Nest Taste Profile Subset and the Million Song Dataset",
    source="http://millionsongdataset.com/tasteprofile/",
    files="a folder with train_triplets.txt (or train_triplets.txt.zip), unique_tracks.txt and sid_mismatches.txt",
    read=read,
    ordered=lambda path: False,
)
