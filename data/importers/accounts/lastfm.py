"""Importer "lastfm": one person's scrobbles, as the usual exporters and players write them.

CSV and TSV with a header (uts, artist, album, track; Last.fm's own names too) or without (artist, album, track, time;
or time, track, artist, album), and the .scrobbler.log of players without a network (Audioscrobbler's portable player
format 1.1). A track is its artist and title: Last.fm knows a MusicBrainz id for some plays of a song and none for
others. A play that two files hold counts once; they agree to the minute, for some exporters give no seconds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

import polars as pl

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.archives import TARS, members
from data.importers.formats.json_records import number_of, text_of
from data.importers.formats.moments import moments
from data.importers.own_tables.csv_rows import decode, read_csv
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart, remark

LISTENER = "me"
TABLES = (".csv", ".tsv", ".txt")
LOG = re.compile(r"\.?scrobbler.*\.log", re.IGNORECASE)
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album", "duration_s"),
    "listens": ("user_id", "track_id", "listened_at", "feedback"),
}
HEADERS = {
    "time": (
        "uts",
        "unixtime",
        "timestamp",
        "utctime",
        "isotime",
        "date",
        "datetime",
        "time",
        "scrobbledat",
        "dateplayed",
    ),
    "artist": ("artist", "artistname"),
    "album": ("album", "albumname"),
    "title": ("track", "trackname", "title", "song", "name", "tracktitle"),
}
"""Names of columns without case and punctuation, the best first: seconds before minutes."""
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-.*$"


@dataclass
class _Seen:
    """Plays that have come, by minute and track; and how often one came again."""

    plays: set[int] = field(default_factory=set)
    again: int = 0
    example: str = ""

    def before(self, at: datetime, track: str, source: str) -> bool:
        """Whether the play has come before."""
        key = hash((int(at.timestamp()) // 60, track))
        if key in self.plays:
            self.again, self.example = self.again + 1, self.example or source
            return True
        self.plays.add(key)
        return False


def read(path: Path) -> Iterator[TablePart]:
    """Tracks, listens and rejects. Raises UserError where there is no file of scrobbles."""
    rows, seen, found = Gathered(COLUMNS), _Seen(), False
    for name, content in _files(path):
        found = True
        text, _ = decode(content)
        if text.startswith("#AUDIOSCROBBLER") or LOG.fullmatch(PurePosixPath(name).name):
            yield from _read_log(text, name, rows, seen)
        else:
            yield from _read_table(text, name, rows, seen)
        yield from rows.take()
    if not found:
        raise UserError(f"no scrobbles in {path}.", f"--path takes {DATA_SET.files}.")
    if seen.again:
        yield "remarks", remark("merged", "listens", "the same play in several files", seen.again, seen.example)


def is_scrobbles(content: bytes, name: str) -> bool:
    """Whether a file, or its beginning, is a player's log or a table of plays with a time."""
    text, _ = decode(content)
    if text.startswith("#AUDIOSCROBBLER") or LOG.fullmatch(PurePosixPath(name).name):
        return True
    try:
        return _are_times(_table(text, name)["time"])
    except (UserError, ValueError):
        return False


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_file() and not path.name.lower().endswith((".zip", *TARS)):
        yield path.name, path.read_bytes()
        return
    for member in members(path, lambda name: name.lower().endswith((*TABLES, ".log"))):
        with member.open() as stream:
            yield member.name, stream.read()
    if path.is_dir():  # Rockbox hides its log, and hidden files are no members
        for log in sorted(path.rglob(".scrobbler*.log")):
            yield log.relative_to(path).as_posix(), log.read_bytes()


def _read_table(text: str, name: str, rows: Gathered, seen: _Seen) -> Iterator[TablePart]:
    """Raises UserError where no column holds times, or none artist and track."""
    table = _table(text, name)
    times = moments(table["time"])
    columns = (table[column].to_list() for column in ("artist", "album", "title", "time"))
    for line, (at, artist, album, title, written) in enumerate(zip(times.to_list(), *columns, strict=True), start=1):
        source, track = f"{name}:{line}", id_by_name(text_of(artist), text_of(title))
        if track is None or at is None:
            # A song that plays now has no time yet.
            reason = "no time" if track else "artist or title is missing"
            rows.reject("listens", source, reason, f"{artist or '?'} - {title or '?'}, {written or '?'}")
        elif not seen.before(at, track, source):
            rows.add("listens", LISTENER, track, int(at.timestamp()) * 1_000_000, None)
            rows.add("tracks", track, text_of(title), text_of(artist), text_of(album), None)
        if rows.full:
            yield from rows.take()


def _table(text: str, name: str) -> pl.DataFrame:
    """Columns time, artist, album and title, all texts."""
    try:
        found = read_csv(text)
    except ValueError:  # a play of a song that is called like its album
        found = None
    columns = [] if found is None else found.frame.columns
    plain = {re.sub(r"[\W_]", "", column.lower()): column for column in columns}
    chosen = {of: next((plain[known] for known in names if known in plain), None) for of, names in HEADERS.items()}
    if found is not None and chosen["artist"] and chosen["title"] and chosen["time"]:
        given = {of: pl.col(column) if column else pl.lit(None, pl.String) for of, column in chosen.items()}
        return found.frame.select(**given)
    separator = max("\t,;", key=text.split("\n", 1)[0].count)
    width = text.split("\n", 1)[0].count(separator) + 1
    found = read_csv(separator.join(f"c{at}" for at in range(width)) + "\n" + text)
    frame = pl.DataFrame() if found is None else found.frame
    at = next((place for place, column in enumerate(frame.columns) if _are_times(frame[column])), None)
    names = [column for column in frame.columns if not _are_ids(frame[column])]
    if at is None or len(names) < 3:
        raise UserError(
            f"{name}: no header names artist, track and time, and no column holds times.", "Is it scrobbles?"
        )
    time = frame.columns[at]
    others = [column for column in names if column != time][:3]
    order = ("artist", "album", "title") if at >= 2 else ("title", "artist", "album")
    holds = dict(zip(order, others, strict=False)) if len(others) == 3 else {"artist": others[0], "title": others[1]}
    texts = {of: pl.col(holds[of]) if of in holds else pl.lit(None, pl.String) for of in order}
    return frame.select(time=pl.col(time), **texts)


def _are_times(values: pl.Series) -> bool:
    some = values.drop_nulls().head(100)
    return len(some) > 0 and 2 * moments(some).is_not_null().sum() > len(some)


def _are_ids(values: pl.Series) -> bool:
    some = values.drop_nulls().head(100)
    return len(some) > 0 and bool(some.str.contains(UUID).all())


def _read_log(text: str, name: str, rows: Gathered, seen: _Seen) -> Iterator[TablePart]:
    """Artist, album, title, number, seconds, L for listened or S for skipped, Unix time; with tabs between them."""
    for line, content in enumerate(text.split("\n"), start=1):
        content = content.rstrip("\r")
        if not content.strip() or content.startswith("#"):
            continue
        fields = [*content.split("\t"), *[""] * 7]
        artist, album, title = (text_of(value) for value in fields[:3])
        track, stamp, source = id_by_name(artist, title), number_of(fields[6]), f"{name}:{line}"
        if track is None or not stamp or stamp < 0:
            rows.reject("listens", source, "no time" if track else "artist or title is missing", content)
        elif not seen.before(datetime.fromtimestamp(stamp), track, source):
            rows.add("listens", LISTENER, track, int(stamp * 1_000_000), "skip" if fields[5].upper() == "S" else None)
            rows.add("tracks", track, title, artist, album, number_of(fields[4]) or None)
        if rows.full:
            yield from rows.take()


DATA_SET = DataSet(
    name="lastfm",
    about="One person's scrobbles on Last.fm, or a player's .scrobbler.log",
    terms="The person's own data",
    source="https://www.last.fm/settings/dataexporter, exporters such as lastfm-to-csv, or the player",
    files="a CSV or TSV of scrobbles (with or without a header), a .scrobbler.log, or a folder or .zip of them",
    read=read,
)
