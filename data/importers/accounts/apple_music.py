"""Importer "apple-music": what Apple gives a person of their listening (privacy.apple.com, Apple Media Services).

Apple Music Play Activity.csv has every play, but in newer exports not the artist. That is found by song and album in
Apple Music Library Tracks.json, else by the song in Apple Music - Play History Daily Tracks.csv, where it is the only
one of that name; a song without an artist is named by its album. Zips inside the zip are opened as well.

Places, addresses and devices, which the file holds for every play, are never kept.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

import polars as pl

from data.errors import UserError
from data.importers.data_set import DataSet
from data.importers.formats.archives import DAMAGED, members
from data.importers.formats.json_records import elements, number_of, text_of
from data.importers.formats.moments import moments
from data.importers.own_tables.csv_rows import decode, read_csv
from data.importers.row_buffer import Gathered, id_by_name
from data.tables import TablePart, remark

LISTENER = "me"
ACTIVITY = "Apple Music Play Activity.csv"
DAILY = "Apple Music - Play History Daily Tracks.csv"
LIBRARY = "Apple Music Library Tracks.json"
PLAYED = "PLAY_END"
SKIPPED = ("TRACK_SKIPPED_FORWARDS", "TRACK_SKIPPED_BACKWARDS", "MANUALLY_SELECTED_PLAYBACK_OF_A_DIFF_ITEM")
COLUMNS = {
    "tracks": ("track_id", "title", "artist", "album", "genres", "duration_s"),
    "listens": ("user_id", "track_id", "listened_at", "played_ratio", "feedback"),
}


@dataclass
class _Known:
    """Artists by (title, album) and by title alone, None where there are several; genres by (title, album)."""

    by_album: dict[tuple[str, str], str | None] = field(default_factory=dict)
    by_title: dict[str, str | None] = field(default_factory=dict)
    genres: dict[tuple[str, str], str] = field(default_factory=dict)

    def learn(self, title: str, album: str | None, artist: str) -> None:
        """One song."""
        key = title.casefold()
        self.by_title[key] = artist if self.by_title.get(key, artist) == artist else None
        if album:
            pair = key, album.casefold()
            self.by_album[pair] = artist if self.by_album.get(pair, artist) == artist else None

    def artist(self, title: str, album: str | None) -> str | None:
        """Whose song it is, where that is plain."""
        return self.by_album.get((title.casefold(), (album or "").casefold())) or self.by_title.get(title.casefold())


def read(path: Path) -> Iterator[TablePart]:
    """Tracks, listens and rejects. Raises UserError where Apple's list of plays is not there."""
    files = {PurePosixPath(name).name: content for name, content in _files(path)}
    if ACTIVITY not in files:
        raise UserError(f"no {ACTIVITY} in {path}.", f"--path takes {DATA_SET.files}.")
    known = _Known()
    _learn(known, files)
    text, _ = decode(files[ACTIVITY])
    found = read_csv(text)
    rows, others = Gathered(COLUMNS), 0
    if found is not None:
        for reason, line, content in found.rejected:
            rows.reject("listens", f"{ACTIVITY}:{line}", reason, content[:60])
        table = _plays(found.frame)
        others = found.frame.height - table.height
        for line, play in enumerate(table.iter_rows(named=True), start=1):
            _add_play(rows, play, f"{ACTIVITY}, play {line}", known)
            if rows.full:
                yield from rows.take()
    yield from rows.take()
    if others:
        what = "events that are no end of a song (starts, lyrics, videos)"
        yield "remarks", remark("passed over", "listens", what, others)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files wanted, wherever they lie, in zips of zips too."""
    wanted = (ACTIVITY, DAILY, LIBRARY)
    for member in members(path, lambda name: PurePosixPath(name).name in wanted or name.lower().endswith(".zip")):
        with member.open() as stream:
            content = stream.read()
        yield from _unpacked(member.name, content)


def _unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    if not name.lower().endswith(".zip"):
        yield name, content
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                inside = PurePosixPath(info.filename).name
                if inside in (ACTIVITY, DAILY, LIBRARY) or inside.lower().endswith(".zip"):
                    yield from _unpacked(info.filename, archive.read(info))
    except DAMAGED as error:
        raise UserError(f"{name}: not a whole zip ({error}).", "Download it again.") from error


def _learn(known: _Known, files: Mapping[str, bytes]) -> None:
    if LIBRARY in files:
        for _, song in elements(io.BytesIO(files[LIBRARY])):
            if isinstance(song, dict):
                title, artist, album = (text_of(song.get(key)) for key in ("Title", "Artist", "Album"))
                if title and artist:
                    known.learn(title, album, artist)
                if title and (genre := text_of(song.get("Genre"))):
                    known.genres[title.casefold(), (album or "").casefold()] = genre
    found = read_csv(decode(files[DAILY])[0]) if DAILY in files else None
    if found is not None and "Track Description" in found.frame.columns:
        for described in found.frame["Track Description"].unique().to_list():
            artist, dash, title = (described or "").partition(" - ")
            if dash and title.strip() and title.strip().casefold() not in known.by_title:
                known.learn(title.strip(), None, artist.strip())


def _plays(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that end a song, by one name whatever the year of the export."""

    def column(*names: str) -> pl.Expr:
        there = [pl.col(name) for name in names if name in frame.columns]
        return pl.coalesce(there) if there else pl.lit(None, pl.String)

    kind, media = column("Event Type"), column("Media Type")
    found = frame.with_columns(
        _title=column("Song Name", "Content Name", "Title"),
        _artist=column("Artist Name"),
        _album=column("Album Name", "Container Album Name", "Container Name"),
        _time=column("Event Start Timestamp", "Event End Timestamp", "Event Timestamp"),
        _length=column("Media Duration In Milliseconds"),
        _played=column("Play Duration Milliseconds"),
        _reason=column("End Reason Type"),
    ).filter((kind.is_null() | (kind == PLAYED)) & (media.is_null() | (media == "AUDIO")))
    return found.with_columns(_at=moments(found["_time"].cast(pl.String)))


def _add_play(rows: Gathered, play: Mapping[str, object], source: str, known: _Known) -> None:
    title, album = text_of(play["_title"]), text_of(play["_album"])
    artist = text_of(play["_artist"]) or (known.artist(title, album) if title else None)
    track = id_by_name(artist or album, title)
    at = play["_at"]
    if track is None or not isinstance(at, datetime):
        rows.reject("listens", source, "no time" if track else "no song named", json.dumps([title, str(play["_time"])]))
        return
    length, played = number_of(play["_length"]), number_of(play["_played"])
    ratio = min(1.0, max(0.0, played) / length) if length and length > 0 and played is not None else None
    skipped = play["_reason"] in SKIPPED and (ratio is None or ratio < 0.5)
    rows.add("listens", LISTENER, track, int(at.timestamp() * 1_000_000), ratio, "skip" if skipped else None)
    genre = known.genres.get(((title or "").casefold(), (album or "").casefold()))
    rows.add("tracks", track, title, artist, album, [genre] if genre else None, length / 1000 if length else None)


DATA_SET = DataSet(
    name="apple-music",
    about="One person's listening on Apple Music: every play, and what the library knows of the songs",
    terms="The person's own data; Apple gives it under the right of access to personal data",
    source="https://privacy.apple.com/ (Apple Media Services information)",
    files=f"the .zip that came, or its folder, with {ACTIVITY}, and with {LIBRARY} and {DAILY} for the artists",
    read=read,
)
